/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * RCU verbs of a user library: liburcu's bulletproof flavour. Why that one:
 * docs/guest-paging.md. Callbacks wait with the thread that asked for them, who
 * reclaims many at once outside of all locks (libdune/vm/rcu.c): the library
 * starts no thread of its own. Link with -lurcu-bp.
 */
#ifndef SMP_PLAT_RCU_H
#define SMP_PLAT_RCU_H

/* Its inline functions are short, and their licence allows this one's. */
#define _LGPL_SOURCE
#include <urcu/urcu-bp.h>

typedef struct plat_rcu {
	struct plat_rcu *next;
	void (*fn)(struct plat_rcu *rcu);
} plat_rcu_t;

/*
 * The engine's read sections cost nothing here: the library is in one of its
 * own (dune_rcu_lock()) around every call of the engine, and around what leads
 * there.
 */
static inline void plat_rcu_lock(void)
{
}

static inline void plat_rcu_unlock(void)
{
}

static inline void dune_rcu_lock(void)
{
	urcu_bp_read_lock();
}

static inline void dune_rcu_unlock(void)
{
	urcu_bp_read_unlock();
}

/*
 * The same for a thread that knows its reader: what the two above do, without
 * looking for it. NULL: they have to be used.
 */
static inline struct urcu_bp_reader *dune_rcu_reader(void)
{
	return urcu_bp_has_sys_membarrier ? URCU_TLS(urcu_bp_reader) : NULL;
}

static inline void dune_rcu_lock_by(struct urcu_bp_reader *reader)
{
	unsigned long ctr = reader->ctr;

	/* synchronize_rcu() makes this CPU's fences: sys_membarrier(). */
	CMM_STORE_SHARED(reader->ctr, ctr & URCU_BP_GP_CTR_NEST_MASK ?
			 ctr + URCU_BP_GP_COUNT : CMM_LOAD_SHARED(urcu_bp_gp.ctr));
	cmm_barrier();
}

static inline void dune_rcu_unlock_by(struct urcu_bp_reader *reader)
{
	cmm_barrier();
	CMM_STORE_SHARED(reader->ctr, reader->ctr - URCU_BP_GP_COUNT);
	cmm_barrier();
}

/* fn(rcu) after a grace period; never waits. */
void plat_call_rcu(plat_rcu_t *rcu, void (*fn)(plat_rcu_t *rcu));

static inline void plat_rcu_register(void)
{
	urcu_bp_register_thread();
}

/* A thread's end does that by itself. */
static inline void plat_rcu_unregister(void)
{
}

#endif /* SMP_PLAT_RCU_H */
