/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Platform verbs of smp/, backend of the simulator: one host thread, so plain C
 * does; each verb first spends its time on the simulated CPU that runs it (sim.h).
 * Only what shootdown.c, kick.c and fanout.c use is simulated; page tables are
 * not there.
 */
#ifndef SMP_PLAT_H
#define SMP_PLAT_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "sim.h"

#define plat_load(p)		({ sim_read(p); *(p); })
#define plat_load_acquire(p)	plat_load(p)
#define plat_store(p, v)	({ sim_write(p); *(p) = (v); })
#define plat_store_release(p, v) plat_store(p, v)

#define plat_noinline	__attribute__((noinline))
#define plat_container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

static inline bool plat_cas64(u64 *p, u64 *old, u64 new)
{
	bool same;

	sim_rmw(p);
	same = *p == *old;
	*(same ? p : old) = same ? new : *p;
	return same;
}

static inline bool plat_cas32(u32 *p, u32 *old, u32 new)
{
	bool same;

	sim_rmw(p);
	same = *p == *old;
	*(same ? p : old) = same ? new : *p;
	return same;
}

static inline u64 plat_xchg64(u64 *p, u64 new)
{
	u64 old;

	sim_rmw(p);
	old = *p;
	*p = new;
	return old;
}

static inline u64 plat_add64_full(u64 *p, u64 n)
{
	sim_rmw(p);
	return *p += n;
}

static inline void plat_add64_release(u64 *p, u64 n)
{
	plat_add64_full(p, n);
}

static inline void plat_inc64_owner(u64 *p)
{
	plat_store(p, *p + 1);
}

static inline void plat_full_mb(void)
{
	sim_fence();
}

static inline void plat_cpu_relax(void)
{
	sim_relax();
}

/* --- not simulated --- */

typedef struct plat_lock {
	int unused;
} plat_lock_t;

typedef struct plat_rcu {
	int unused;
} plat_rcu_t;

static inline void *plat_page_owner(u64 pa)
{
	(void)pa;
	abort();
}

static inline void *plat_page_owner_at(const void *page)
{
	(void)page;
	abort();
}

static inline u64 plat_pa(const void *page)
{
	return (uintptr_t)page;
}

/* Marks are NOPs for hardware. */
#define plat_mark_bump(root_pa, gen)	((void)(root_pa), (void)(gen))
#define plat_mark_done(root_pa, gen)	((void)(root_pa), (void)(gen))
#define plat_warn_once(msg)		((void)(msg), abort())

/* --- CPUs --- */

typedef struct plat_cpumask {
	u64 word[SIM_MAX_CPUS / 64];
} __attribute__((aligned(64))) plat_cpumask_t;

#define plat_cpumask_bytes()	sizeof(plat_cpumask_t)

static inline void plat_cpumask_clear(plat_cpumask_t *mask)
{
	for (u32 i = 0; i < (sim_nr_cpus() + 63) / 64; i++)
		plat_store(&mask->word[i], 0);
}

static inline void plat_cpumask_set(plat_cpumask_t *mask, u32 cpu)
{
	plat_store(&mask->word[cpu / 64], mask->word[cpu / 64] | 1ull << cpu % 64);
}

#define plat_percpu
#define plat_percpu_line(p, cpu)	(&(p)[cpu])
/* By words, as the kernel's. */
#define plat_for_each_cpu(cpu, mask)					\
	for (u32 w_ = 0; w_ < (sim_nr_cpus() + 63) / 64; w_++)		\
		for (u64 left_ = plat_load(&(mask)->word[w_]), cpu;	\
		     left_ && (cpu = w_ * 64 + (u64)__builtin_ctzll(left_), true); \
		     left_ &= left_ - 1)

/* What they do: kick.c of the simulator. */
plat_cpumask_t *plat_kick_mask(void);
void plat_kick(const plat_cpumask_t *mask, unsigned int nr);
#define plat_interrupt(mask, nr)	plat_kick((mask), (nr))

typedef struct plat_call {
	void (*fn)(void *arg);
	void *arg;
	u64 locked;		/* Linux' flag of a call under way */
} __attribute__((aligned(64))) plat_call_t;

static inline void plat_call_init(plat_call_t *call, void (*fn)(void *arg),
				  void *arg)
{
	*call = (plat_call_t){ fn, arg, 0 };
}

bool plat_call(unsigned int cpu, plat_call_t *call);
void plat_multicast(const plat_cpumask_t *mask);

#endif /* SMP_PLAT_H */
