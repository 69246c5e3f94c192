// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The gather: holds unlinked tables until the shootdown is over. */
#include "gather.h"

void gather_merged_table(struct gather *gather, struct pt_table *table)
{
	gather->unflushed = gather->any = true;
	table->next = gather->tables;
	gather->tables = table;
	gather->nr_tables++;
}

/* The leaves of a whole table: no one looked which of them were ever used. */
void gather_table(struct gather *gather, struct pt_table *table)
{
	gather->leaves[table->level] += table->nr_leaves;
	gather_merged_table(gather, table);
}

/*
 * A skipped flush is a bug of the caller. Keep the tables then: a leak is
 * bounded, a page that a CPU still walks after its release is not.
 */
void gather_release_tables(struct gather *gather)
{
	if (gather_needs_flush(gather)) {
		plat_warn_once("gather_release: the shootdown was skipped");
		return;
	}
	while (gather->tables) {
		struct pt_table *table = gather->tables;

		gather->tables = table->next;
		pt_table_free_rcu(table);
	}
	gather_init(gather);
}
