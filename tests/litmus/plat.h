/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Platform verbs of smp/ for the litmus tests: the C11 ones as they are, and
 * what the included code names but the tests never reach.
 */
#ifndef SMP_PLAT_H
#define SMP_PLAT_H

#include <stdlib.h>

#include "plat_c11.h"

typedef struct plat_spin plat_lock_t;
typedef struct { char unused; } plat_rcu_t;

static inline void plat_cpu_relax(void)
{
	__builtin_ia32_pause();
}

static inline void plat_lock_init(plat_lock_t *lock)
{
	lock->held = 0;
}

static inline unsigned int plat_lock(plat_lock_t *lock, unsigned int rank)
{
	(void)rank;
	while (!plat_spin_try(lock))
		plat_cpu_relax();
	return 0;
}

static inline bool plat_trylock(plat_lock_t *lock, unsigned int rank)
{
	(void)rank;
	return plat_spin_try(lock);
}

static inline void plat_unlock(plat_lock_t *lock)
{
	plat_spin_release(lock);
}

static inline void plat_rcu_lock(void)
{
}

static inline void plat_rcu_unlock(void)
{
}

static inline u64 plat_pa(const void *page)
{
	return (u64)(uintptr_t)page;
}

static inline void *plat_va(u64 pa)
{
	return (void *)(uintptr_t)pa;
}

static inline void *plat_page_owner(u64 pa)
{
	(void)pa;
	return NULL;
}

static inline void *plat_page_owner_at(const void *page)
{
	(void)page;
	return NULL;
}

static inline plat_cpumask_t *plat_kick_mask(void)
{
	abort();
}

static inline void plat_kick(const plat_cpumask_t *mask, unsigned int nr)
{
	(void)mask;
	(void)nr;
}

#define plat_interrupt(mask, nr)	plat_kick((mask), (nr))

static inline void plat_mark_bump(u64 root_pa, const u64 *gen)
{
	(void)root_pa;
	(void)gen;
}

static inline void plat_mark_done(u64 root_pa, u64 gen)
{
	(void)root_pa;
	(void)gen;
}

static inline void plat_warn_once(const char *msg)
{
	(void)msg;
	abort();
}

#endif /* SMP_PLAT_H */
