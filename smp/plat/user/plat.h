/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Platform verbs of smp/, user-space backend for tests: compiler atomics in
 * C11 orders, and a table allocator that can fail on request, poisons what is
 * freed, counts what lives, and ends a grace period only when told to.
 * The allocator's state lives in plat.c.
 */
#ifndef SMP_PLAT_H
#define SMP_PLAT_H

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t u32;
typedef int32_t s32;
typedef unsigned long long u64;

/* Any of u32, s32, u64, in one access. */
#define plat_load(p)			__atomic_load_n((p), __ATOMIC_RELAXED)
#define plat_store(p, v)		__atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define plat_load_acquire(p)		__atomic_load_n((p), __ATOMIC_ACQUIRE)
#define plat_store_release(p, v)	__atomic_store_n((p), (v), __ATOMIC_RELEASE)

/* True when *p was *old and is now new; otherwise *old is what was there. */
static inline bool plat_cas64(u64 *p, u64 *old, u64 new)
{
	return __atomic_compare_exchange_n(p, old, new, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE);
}

static inline bool plat_cas32(u32 *p, u32 *old, u32 new)
{
	return __atomic_compare_exchange_n(p, old, new, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE);
}

/* Returns the old value. */
static inline u64 plat_xchg64(u64 *p, u64 new)
{
	return __atomic_exchange_n(p, new, __ATOMIC_ACQ_REL);
}

/* *p &= mask; returns the old value. */
static inline u64 plat_and64(u64 *p, u64 mask)
{
	return __atomic_fetch_and(p, mask, __ATOMIC_ACQ_REL);
}

/* *p += n; returns the new value. */
static inline u64 plat_add64(u64 *p, u64 n)
{
	return __atomic_add_fetch(p, n, __ATOMIC_ACQ_REL);
}

/* Orders every access before it against every one after it. */
static inline void plat_full_mb(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static inline void plat_cpu_relax(void)
{
	sched_yield();	/* what is waited for may need this CPU */
}

/* A zeroed table page, or NULL when a failure was asked for. */
void *plat_table_alloc(void);
void plat_table_free(void *table);
/* Frees at the next plat_test_grace_period(). */
void plat_table_free_rcu(void *table);
/* Link an unlinked table to another, outside of its content. */
void plat_table_chain(void *table, void *next);
void *plat_table_next(const void *table);

static inline u64 plat_pa(const void *table)
{
	return (uintptr_t)table;
}

static inline void *plat_va(u64 pa)
{
	return (void *)(uintptr_t)pa;
}

/* A broken invariant of the core; counted, so that a test may expect it. */
void plat_warn_once(const char *msg);

/* For tests only. */
#define PLAT_TEST_POISON	0xdfdfdfdfdfdfdfdfull
void plat_test_fail_nth(u64 nth);	/* 1: the next allocation; 0: none */
void plat_test_grace_period(void);	/* frees what is deferred */
u64 plat_test_live(void);		/* tables allocated and not freed */
u64 plat_test_deferred(void);		/* of these, waiting for the period */
u64 plat_test_warnings(void);		/* since the last call */

#endif /* SMP_PLAT_H */
