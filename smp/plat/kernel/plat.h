/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Platform verbs of smp/, kernel backend: Linux primitives.
 *
 * Ordering is the weaker of the Linux and C11 models, so that one source is
 * right on both: cas, xchg, and, add are acquire + release and no more. Where
 * the core needs store -> load order it writes plat_full_mb().
 *
 * A module that uses plat_table_free_rcu() must call rcu_barrier() before it
 * is unloaded: the callback is code of the module.
 */
#ifndef SMP_PLAT_H
#define SMP_PLAT_H

#include <linux/atomic.h>
#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/processor.h>
#include <linux/rcupdate.h>
#include <linux/types.h>

/* Any of u32, s32, u64, in one access. */
#define plat_load(p)			READ_ONCE(*(p))
#define plat_store(p, v)		WRITE_ONCE(*(p), (v))
#define plat_load_acquire(p)		smp_load_acquire(p)
#define plat_store_release(p, v)	smp_store_release((p), (v))

/* True when *p was *old and is now new; otherwise *old is what was there. */
static inline bool plat_cas64(u64 *p, u64 *old, u64 new)
{
	return try_cmpxchg(p, old, new);
}

static inline bool plat_cas32(u32 *p, u32 *old, u32 new)
{
	return try_cmpxchg(p, old, new);
}

/* Returns the old value. */
static inline u64 plat_xchg64(u64 *p, u64 new)
{
	return xchg(p, new);
}

/* *p &= mask; returns the old value. Does not write when it would not change. */
static inline u64 plat_and64(u64 *p, u64 mask)
{
	u64 old = READ_ONCE(*p);

	while ((old & mask) != old && !try_cmpxchg(p, &old, old & mask))
		;
	return old;
}

/* *p += n; returns the new value. */
static inline u64 plat_add64(u64 *p, u64 n)
{
	u64 old = READ_ONCE(*p);

	while (!try_cmpxchg(p, &old, old + n))
		;
	return old + n;
}

/* Orders every access before it against every one after it. */
static inline void plat_full_mb(void)
{
	smp_mb();
}

static inline void plat_cpu_relax(void)
{
	cpu_relax();
}

/* A zeroed table page, charged to the current task's group; may sleep. */
static inline void *plat_table_alloc(void)
{
	return (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
}

static inline void plat_table_free(void *table)
{
	struct page *page = virt_to_page(table);

	set_page_private(page, 0);
	__free_page(page);
}

static inline void plat_table_rcu_cb(struct rcu_head *head)
{
	plat_table_free(page_address(container_of(head, struct page, rcu_head)));
}

/* Frees after a grace period. Needs no memory, never sleeps. */
static inline void plat_table_free_rcu(void *table)
{
	call_rcu(&virt_to_page(table)->rcu_head, plat_table_rcu_cb);
}

/*
 * Link an unlinked table to another. The link lives in struct page, because a
 * walker (hardware or software) may still read the table's content.
 */
static inline void plat_table_chain(void *table, void *next)
{
	set_page_private(virt_to_page(table), (unsigned long)next);
}

static inline void *plat_table_next(const void *table)
{
	return (void *)page_private(virt_to_page(table));
}

static inline u64 plat_pa(const void *table)
{
	return __pa(table);
}

static inline void *plat_va(u64 pa)
{
	return __va(pa);
}

/* A broken invariant of the core; never a user's mistake. */
#define plat_warn_once(msg)	WARN_ONCE(1, "smp: %s\n", (msg))

#endif /* SMP_PLAT_H */
