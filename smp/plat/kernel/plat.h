/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Platform verbs of smp/, kernel backend: Linux primitives.
 *
 * Ordering is the weaker of the Linux and C11 models, so that one source is
 * right on both: cas and xchg are acquire + release and no more. Where the
 * core needs store -> load order it writes plat_full_mb() or uses a verb whose
 * name says _full.
 *
 * A module that uses plat_call_rcu() must call rcu_barrier() before it is
 * unloaded: the callback is code of the module.
 */
#ifndef SMP_PLAT_H
#define SMP_PLAT_H

#include <linux/atomic.h>
#include <linux/bug.h>
#include <linux/cpumask.h>
#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/processor.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/types.h>

/* Any of u32, s32, u64, in one access. */
#define plat_load(p)			READ_ONCE(*(p))
#define plat_store(p, v)		WRITE_ONCE(*(p), (v))
#define plat_load_acquire(p)		smp_load_acquire(p)
#define plat_store_release(p, v)	smp_store_release((p), (v))

#define plat_container_of		container_of
#define plat_noinline			noinline

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

/* *p += n; returns the new value. A full fence before and after. */
static inline u64 plat_add64_full(u64 *p, u64 n)
{
	return atomic64_add_return(n, (atomic64_t *)p);
}

/* *p += n; a release. */
static inline void plat_add64_release(u64 *p, u64 n)
{
	smp_mb__before_atomic();
	atomic64_add(n, (atomic64_t *)p);
}

/*
 * *p += 1 by its only writer; a release. One instruction, which
 * smp_store_release(p, *p + 1) is not.
 */
static inline void plat_inc64_owner(u64 *p)
{
	asm volatile("incq %0" : "+m" (*p) : : "memory", "cc");
}

/* *p |= bits; a full fence before and after. */
static inline void plat_or32_full(u32 *p, u32 bits)
{
	smp_mb__before_atomic();
	atomic_or(bits, (atomic_t *)p);
	smp_mb__after_atomic();
}

/* *p &= ~bits. */
static inline void plat_andnot32(u32 *p, u32 bits)
{
	smp_mb__before_atomic();
	atomic_andnot(bits, (atomic_t *)p);
	smp_mb__after_atomic();
}

/* *p |= bits; returns the old value. */
static inline u64 plat_or64(u64 *p, u64 bits)
{
	return atomic64_fetch_or(bits, (atomic64_t *)p);
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

/* --- locks; rank: that of the lock card, for lockdep --- */

typedef spinlock_t plat_lock_t;

#define plat_lock_init(lock)	spin_lock_init(lock)

/* Returns 1 when somebody else held it at first sight. */
static inline unsigned int plat_lock(plat_lock_t *lock, unsigned int rank)
{
	unsigned int contended = spin_is_locked(lock);

	spin_lock_nested(lock, rank);
	return contended;
}

/* Does not wait; true: it was free, and is held. */
static inline bool plat_trylock(plat_lock_t *lock, unsigned int rank)
{
	return spin_trylock(lock);
}

static inline void plat_unlock(plat_lock_t *lock)
{
	spin_unlock(lock);
}

/* --- RCU --- */

typedef struct rcu_head plat_rcu_t;

/* Preemption off is a reader of call_rcu(), at the price of one instruction. */
static inline void plat_rcu_lock(void)
{
	rcu_read_lock_sched();
}

static inline void plat_rcu_unlock(void)
{
	rcu_read_unlock_sched();
}

#define plat_call_rcu(rcu, fn)	call_rcu((rcu), (fn))

/* --- memory, charged to the current task's group; may sleep --- */

/*
 * A zeroed page, or NULL. place: 0: of the node where this runs, whatever memory
 * policy the process has for its own pages; else of node place - 1, if it has any.
 */
static inline void *plat_page_alloc(u32 place)
{
	int node = place ? (int)place - 1 : numa_mem_id();
	struct page *page = alloc_pages_node(node, GFP_KERNEL_ACCOUNT | __GFP_ZERO, 0);

	return page ? page_address(page) : NULL;
}

static inline void plat_page_free(void *page)
{
	free_page((unsigned long)page);
}

static inline u64 plat_pa(const void *page)
{
	return __pa(page);
}

static inline void *plat_va(u64 pa)
{
	return __va(pa);
}

/* One pointer goes with a page; found from the page's physical address. */
static inline void plat_page_set_owner(void *page, void *owner)
{
	set_page_private(virt_to_page(page), (unsigned long)owner);
}

static inline void *plat_page_owner(u64 pa)
{
	return (void *)page_private(pfn_to_page(pa >> PAGE_SHIFT));
}

static inline void *plat_page_owner_at(const void *page)
{
	return (void *)page_private(virt_to_page(page));
}

static inline void *plat_object_alloc(size_t size)
{
	return kzalloc(size, GFP_KERNEL_ACCOUNT);
}

static inline void plat_object_free(void *object)
{
	kfree(object);
}

/* --- CPUs --- */

typedef struct cpumask plat_cpumask_t;

#define plat_percpu		__percpu
#define plat_percpu_line(p, cpu) per_cpu_ptr((p), (cpu))
/*
 * By words: cpumask_next() is a call. A CPU that joins a word that was read
 * already is not visited. The body may continue or return, not break.
 */
#define plat_for_each_cpu(cpu, mask)					\
	for (unsigned long w_ = 0; w_ < BITS_TO_LONGS(nr_cpu_ids); w_++) \
		for (unsigned long left_ = READ_ONCE((mask)->bits[w_]), cpu; \
		     left_ && (cpu = w_ * BITS_PER_LONG + __ffs(left_), true); \
		     left_ &= left_ - 1)
#define plat_cpumask_clear(mask)	cpumask_clear(mask)
#define plat_cpumask_set(mask, cpu)	__cpumask_set_cpu((cpu), (mask))

/*
 * kmod/flush.c. A mask of this CPU's own, for the time that preemption is off,
 * and: interrupt every CPU in a mask of nr CPUs, at least one, that were in guest
 * since preemption is off. On return each interrupt is on its way; who needs to
 * know that a CPU has left the guest looks at its mode. plat_interrupt(): the same
 * for who does not flush; one CPU for less.
 */
plat_cpumask_t *plat_kick_mask(void);
void plat_kick(const plat_cpumask_t *mask, unsigned int nr);
void plat_interrupt(const plat_cpumask_t *mask, unsigned int nr);

/* For fanout.c. Preemption off, interrupts on or off; all CPUs are online. */

#define plat_cpumask_bytes()	cpumask_size()

typedef call_single_data_t plat_call_t;

/* fn(arg) as an interrupt of the CPU that is called. */
#define plat_call_init(call, fn, arg)	INIT_CSD(call, fn, arg)

/*
 * Makes the CPU leave the guest and call; until its function runs, call is that
 * CPU's. What was written before the call is seen by the function. False: call
 * is still under way to somebody, and nothing was sent.
 */
static inline bool plat_call(unsigned int cpu, plat_call_t *call)
{
	return !smp_call_function_single_async(cpu, call);
}

/*
 * Interrupts every CPU of the mask, which may be empty, and nothing more: Linux'
 * interrupt for calls, which finds none of ours in its queue. Written once per
 * group of CPUs where the APICs have groups.
 */
static inline void plat_multicast(const plat_cpumask_t *mask)
{
	arch_send_call_function_ipi_mask(mask);
}

/* --- what the emulator's TLB sanitizer listens to; a NOP for hardware --- */

#define PLAT_MARK_BUMP	0x44554e01
#define PLAT_MARK_DONE	0x44554e02
#define plat_mark(what, root_pa, gen)					\
	asm volatile("nopl %c0(%%rax)"					\
		     : : "i"(what), "a"(gen), "D"(root_pa) : "memory")

/*
 * *gen is about to be raised: all that was removed so far belongs to *gen + 1.
 * Before the raise, because a CPU that reads the new generation may cache an
 * entry that another flusher removes before a later mark.
 */
static inline void plat_mark_bump(u64 root_pa, const u64 *gen)
{
	plat_mark(PLAT_MARK_BUMP, root_pa, gen);
}

/* No CPU can use what was removed before the bump to gen. */
static inline void plat_mark_done(u64 root_pa, u64 gen)
{
	plat_mark(PLAT_MARK_DONE, root_pa, gen);
}

/*
 * --- what the emulator's conflict detector listens to; a NOP for hardware ---
 *
 * The size bytes at p are the module's from now on, until plat_note_gone(p).
 * name: what they hold; a struct's name where they are one.
 */
#define PLAT_MARK_OBJECT	0x44554e03
#define PLAT_MARK_GONE		0x44554e04

static inline void plat_note(const void *p, size_t size, const char *name)
{
	asm volatile("nopl %c0(%%rax)"
		     : : "i"(PLAT_MARK_OBJECT), "a"(p), "D"(size), "S"(name)
		     : "memory");
}

static inline void plat_note_gone(const void *p)
{
	asm volatile("nopl %c0(%%rax)"
		     : : "i"(PLAT_MARK_GONE), "a"(p) : "memory");
}

/* A broken invariant of the core; never a user's mistake. */
#define plat_warn_once(msg)	WARN_ONCE(1, "smp: %s\n", (msg))

#endif /* SMP_PLAT_H */
