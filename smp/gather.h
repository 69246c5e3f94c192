/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What was unlinked from a page table and is not yet free: the only way from
 * "no longer reachable" to "released". Order, forced by the functions:
 * unlink (pt_zap) -> shootdown over -> gather_release() -> RCU -> free.
 * The MMU is no RCU reader: the shootdown covers it; a shootdown says nothing
 * of software walkers: the grace period covers them.
 *
 * A gather lives on the stack of one thread.
 */
#ifndef SMP_GATHER_H
#define SMP_GATHER_H

#include "pt_table.h"

struct gather {
	bool unflushed;		/* a CPU may still use what was unlinked */
	bool any;		/* something was unlinked */
	u16 replicas;		/* where it was unlinked from; see replicas.h */
	u32 nr_tables;
	u32 leaves[4];		/* leaves removed, by level; [0] unused */
	struct pt_table *tables;	/* unlinked, chained */
};

#define GATHER_INIT	{ .unflushed = false }

static inline void gather_init(struct gather *gather)
{
	*gather = (struct gather)GATHER_INIT;
}

/*
 * True when a CPU may still use what was unlinked. A table without a single
 * present leaf needs the flush too: CPUs cache upper entries apart from leaves
 * and would go on walking the freed page.
 */
static inline bool gather_needs_flush(const struct gather *gather)
{
	return gather->unflushed;
}

static inline bool gather_is_empty(const struct gather *gather)
{
	return !gather->any;
}

static inline u32 gather_nr_leaves(const struct gather *gather)
{
	return gather->leaves[1] + gather->leaves[2] + gather->leaves[3];
}

/* For shootdown.c only: the flush is over, or someone else will finish it. */
static inline void gather_flushed(struct gather *gather)
{
	gather->unflushed = false;
}

void gather_release_tables(struct gather *gather);

/* Frees the tables after a grace period; warns when the flush was skipped. */
static inline void gather_release(struct gather *gather)
{
	if (gather->tables || gather_needs_flush(gather))
		gather_release_tables(gather);
}

/*
 * Somebody else may be removing in the same range (INVAL_UNKNOWN), from which
 * table is not known: the flush goes to all. See replicas.h.
 */
static inline void gather_of_others(struct gather *gather)
{
	gather->replicas = (u16)~0u;
}

/* For pt_*.c only. What is added after a flush needs the next one. */
enum gather_leaf { GATHER_LEAF_CACHED, GATHER_LEAF_NEVER_CACHED };
static inline void gather_leaf(struct gather *gather, unsigned int level,
			       enum gather_leaf how)
{
	gather->any = true;
	gather->leaves[level]++;
	if (how == GATHER_LEAF_CACHED)
		gather->unflushed = true;
}
/* Still there, with fewer rights or with accessed or dirty cleared. */
static inline void gather_reduced(struct gather *gather, enum gather_leaf how)
{
	gather->any = true;
	if (how == GATHER_LEAF_CACHED)
		gather->unflushed = true;
}
/* With its leaves, if any, or after they got another place. */
void gather_table(struct gather *gather, struct pt_table *table);
void gather_merged_table(struct gather *gather, struct pt_table *table);

#endif /* SMP_GATHER_H */
