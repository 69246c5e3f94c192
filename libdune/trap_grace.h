/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Which threads are in a handler: so that dune_trap_sync() knows when nobody
 * runs one that is no longer registered. Pure: tests/litmus includes it.
 */
#ifndef DUNE_TRAP_GRACE_H
#define DUNE_TRAP_GRACE_H

#include <stdbool.h>
#include <stdint.h>

/* Of a thread, which alone writes it. */
struct trap_grace {
	uint32_t depth;		/* handlers that run, one in the other */
	uint32_t epoch;		/* the global one, when depth went back to 0 */
};

static inline void trap_grace_begin(struct trap_grace *g)
{
	/*
	 * [TRAP-1] SB: depth is up before the table is read; pairs with
	 * [TRAP-2] trap_grace_new_epoch(). Without it a trap takes the old
	 * handler while dune_trap_sync() sees no trap.
	 */
	__atomic_fetch_add(&g->depth, 1, __ATOMIC_SEQ_CST);
}

static inline void trap_grace_end(struct trap_grace *g, const uint32_t *epoch)
{
	uint32_t depth = g->depth - 1;

	if (!depth)
		__atomic_store_n(&g->epoch, __atomic_load_n(epoch, __ATOMIC_ACQUIRE),
				 __ATOMIC_RELEASE);
	/* Releases: what the handler did is over for who sees it. */
	__atomic_store_n(&g->depth, depth, __ATOMIC_RELEASE);
}

/* What ran will not go on: its stack is given up. */
static inline void trap_grace_reset(struct trap_grace *g)
{
	__atomic_store_n(&g->depth, 0, __ATOMIC_RELEASE);
}

/* After the table changed. The value is for trap_grace_passed(). */
static inline uint32_t trap_grace_new_epoch(uint32_t *epoch)
{
	/*
	 * [TRAP-2] SB: the table has changed before any depth is read; pairs
	 * with [TRAP-1] trap_grace_begin(), see there. An atomic addition is a
	 * full fence.
	 */
	return __atomic_add_fetch(epoch, 1, __ATOMIC_SEQ_CST);
}

/* Has what ran at the begin of the epoch ended? */
static inline bool trap_grace_passed(const struct trap_grace *g, uint32_t epoch)
{
	return !__atomic_load_n(&g->depth, __ATOMIC_ACQUIRE) ||
	       (int32_t)(__atomic_load_n(&g->epoch, __ATOMIC_ACQUIRE) - epoch) >= 0;
}

#endif /* DUNE_TRAP_GRACE_H */
