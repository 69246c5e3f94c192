/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What was unlinked from a page table and is not yet free: the only way from
 * "no longer reachable" to "released". Order, forced by the functions:
 * unlink (pt_map, pt_zap) -> shootdown over -> gather_release() -> RCU -> free.
 * The MMU is no RCU reader: the shootdown covers it; a shootdown says nothing
 * of software walkers: the grace period covers them.
 *
 * A gather lives on the stack of one thread.
 */
#ifndef SMP_GATHER_H
#define SMP_GATHER_H

#include "plat.h"

enum gather_state { GATHER_OPEN, GATHER_FLUSHED };

struct gather {
	enum gather_state state;
	u64 leaves;		/* leaves removed */
	void *tables;		/* unlinked table pages, chained through plat */
	u64 nr_tables;
};

void gather_init(struct gather *gather);
/* True when a CPU may still use what was unlinked. */
int gather_needs_flush(const struct gather *gather);
/* For shootdown.c only: the flush is over. */
void gather_flushed(struct gather *gather);
/* Frees the tables after a grace period; warns when the flush was skipped. */
void gather_release(struct gather *gather);

/* For pt.c only. */
void gather_leaf(struct gather *gather);
void gather_table(struct gather *gather, void *table);

#endif /* SMP_GATHER_H */
