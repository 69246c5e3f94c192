// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The gather: holds unlinked tables until the shootdown is over.
 *
 * A table without a single present leaf needs the flush too: CPUs cache upper
 * entries apart from leaves and would go on walking the freed page.
 */
#include "gather.h"

void gather_init(struct gather *gather)
{
	*gather = (struct gather){ .state = GATHER_OPEN };
}

int gather_needs_flush(const struct gather *gather)
{
	return gather->state == GATHER_OPEN &&
	       (gather->leaves || gather->nr_tables);
}

void gather_flushed(struct gather *gather)
{
	gather->state = GATHER_FLUSHED;
}

/* What is added after a flush needs the next one. */
void gather_leaf(struct gather *gather)
{
	gather->state = GATHER_OPEN;
	gather->leaves++;
}

void gather_table(struct gather *gather, void *table)
{
	gather->state = GATHER_OPEN;
	plat_table_chain(table, gather->tables);
	gather->tables = table;
	gather->nr_tables++;
}

/*
 * A skipped flush is a bug of the caller. Keep the tables then: a leak is
 * bounded, a page that a CPU still walks after its release is not.
 */
void gather_release(struct gather *gather)
{
	if (gather_needs_flush(gather)) {
		plat_warn_once("gather_release: the shootdown was skipped");
		return;
	}
	while (gather->tables) {
		void *table = gather->tables;

		gather->tables = plat_table_next(table);
		plat_table_free_rcu(table);
	}
	gather_init(gather);
}
