/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What the platforms outside of the kernel have in common: types, compiler
 * atomics in C11 orders, a spinlock, sets of CPUs. plat.h of user/ and guest/
 * include it and add the rest.
 *
 * A verb starts with PLAT_CHAOS(), which a test backend may define to lose
 * some time there; nothing otherwise.
 */
#ifndef SMP_PLAT_C11_H
#define SMP_PLAT_C11_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint16_t u16;
typedef uint8_t u8;
typedef uint32_t u32;
typedef int32_t s32;
typedef unsigned long long u64;

#ifndef PLAT_CHAOS
#define PLAT_CHAOS()	((void)0)
#endif

/* Any of u32, s32, u64, in one access. */
#define plat_load(p)		__atomic_load_n((p), __ATOMIC_RELAXED)
#define plat_store(p, v) \
	({ PLAT_CHAOS(); __atomic_store_n((p), (v), __ATOMIC_RELAXED); })
#define plat_load_acquire(p) \
	({ PLAT_CHAOS(); __atomic_load_n((p), __ATOMIC_ACQUIRE); })
#define plat_store_release(p, v) \
	({ PLAT_CHAOS(); __atomic_store_n((p), (v), __ATOMIC_RELEASE); })

#define plat_noinline	__attribute__((noinline))
#define plat_container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

/* True when *p was *old and is now new; otherwise *old is what was there. */
static inline bool plat_cas64(u64 *p, u64 *old, u64 new)
{
	PLAT_CHAOS();
	return __atomic_compare_exchange_n(p, old, new, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE);
}

static inline bool plat_cas32(u32 *p, u32 *old, u32 new)
{
	PLAT_CHAOS();
	return __atomic_compare_exchange_n(p, old, new, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE);
}

/* Returns the old value. */
static inline u64 plat_xchg64(u64 *p, u64 new)
{
	PLAT_CHAOS();
	return __atomic_exchange_n(p, new, __ATOMIC_ACQ_REL);
}

/* Orders every access before it against every one after it. */
static inline void plat_full_mb(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/*
 * *p += n; returns the new value. A full fence before and after: as
 * plat_or32_full().
 */
static inline u64 plat_add64_full(u64 *p, u64 n)
{
	_Static_assert(__x86_64__, "needs fences");
	PLAT_CHAOS();
	return __atomic_add_fetch(p, n, __ATOMIC_SEQ_CST);
}

/* *p += n; a release. */
static inline void plat_add64_release(u64 *p, u64 n)
{
	PLAT_CHAOS();
	__atomic_fetch_add(p, n, __ATOMIC_RELEASE);
}

/* *p += 1 by its only writer; a release. */
static inline void plat_inc64_owner(u64 *p)
{
	PLAT_CHAOS();
	__atomic_store_n(p, __atomic_load_n(p, __ATOMIC_RELAXED) + 1,
			 __ATOMIC_RELEASE);
}

/*
 * *p |= bits; a full fence before and after. The locked instruction of x86 is
 * one; a fence of its own would double the price.
 */
static inline void plat_or32_full(u32 *p, u32 bits)
{
	_Static_assert(__x86_64__, "needs fences");
	PLAT_CHAOS();
	__atomic_fetch_or(p, bits, __ATOMIC_SEQ_CST);
}

/* *p &= ~bits. */
static inline void plat_andnot32(u32 *p, u32 bits)
{
	PLAT_CHAOS();
	__atomic_fetch_and(p, ~bits, __ATOMIC_ACQ_REL);
}

/* *p |= bits; returns the old value. */
static inline u64 plat_or64(u64 *p, u64 bits)
{
	PLAT_CHAOS();
	return __atomic_fetch_or(p, bits, __ATOMIC_ACQ_REL);
}

/* --- a spinlock; the waiting is left to plat.h --- */

struct plat_spin {
	u32 held;
};

static inline bool plat_spin_try(struct plat_spin *spin)
{
	return !__atomic_load_n(&spin->held, __ATOMIC_RELAXED) &&
	       !__atomic_exchange_n(&spin->held, 1, __ATOMIC_ACQUIRE);
}

static inline void plat_spin_release(struct plat_spin *spin)
{
	__atomic_store_n(&spin->held, 0, __ATOMIC_RELEASE);
}

/* --- sets of CPUs --- */

#define PLAT_NR_CPUS	256

typedef struct plat_cpumask {
	u64 word[PLAT_NR_CPUS / 64];
} plat_cpumask_t;

#define plat_cpumask_bytes()	sizeof(plat_cpumask_t)

/* The first CPU in the mask from this one on; PLAT_NR_CPUS: none. */
static inline int plat_cpumask_from(const plat_cpumask_t *mask, int cpu)
{
	for (; cpu < PLAT_NR_CPUS; cpu = (cpu | 63) + 1) {
		/* What a CPU did before it left the mask comes before. */
		u64 left = __atomic_load_n(&mask->word[cpu / 64],
					   __ATOMIC_ACQUIRE) >> (cpu % 64);

		if (left)
			return cpu + __builtin_ctzll(left);
	}
	return PLAT_NR_CPUS;
}

static inline void plat_cpumask_clear(plat_cpumask_t *mask)
{
	for (unsigned int i = 0; i < PLAT_NR_CPUS / 64; i++)
		plat_store(&mask->word[i], 0);
}

/* Full fences: who looks at the mask after it was changed sees the change. */
static inline void plat_cpumask_set(plat_cpumask_t *mask, int cpu)
{
	__atomic_fetch_or(&mask->word[cpu / 64], 1ull << (cpu % 64),
			  __ATOMIC_SEQ_CST);
}

static inline void plat_cpumask_del(plat_cpumask_t *mask, int cpu)
{
	__atomic_fetch_and(&mask->word[cpu / 64], ~(1ull << (cpu % 64)),
			   __ATOMIC_SEQ_CST);
}

#define plat_percpu
#define plat_percpu_line(p, cpu)	(&(p)[cpu])
#define plat_for_each_cpu(cpu, mask) \
	for (int cpu = plat_cpumask_from((mask), 0); cpu < PLAT_NR_CPUS; \
	     cpu = plat_cpumask_from((mask), cpu + 1))

#endif /* SMP_PLAT_C11_H */
