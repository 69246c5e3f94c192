/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Platform verbs of smp/, backend for guest page tables in a user library:
 * atomics of plat_c11.h, liburcu, and pages that the library provides. What
 * the library alone can know comes from struct plat_guest_ops, set once before
 * anything else.
 *
 * A thread that walks tables is registered with plat_rcu_register().
 */
#ifndef SMP_PLAT_H
#define SMP_PLAT_H

#include "plat_c11.h"
#include "plat_rcu.h"

/*
 * Pages come from arenas: aligned to PLAT_ARENA_SIZE, contiguous in guest
 * physical space, zeroed, the first page of each reserved for the owners of
 * the others and never handed out.
 */
#define PLAT_ARENA_SHIFT	21
#define PLAT_ARENA_SIZE		(1ull << PLAT_ARENA_SHIFT)
#define PLAT_PAGE_SHIFT		12
#define PLAT_SLOT_SHIFT		30
#define PLAT_SLOT_SIZE		(1ull << PLAT_SLOT_SHIFT)

struct plat_guest_ops {
	void *(*page_alloc)(void);	/* zeroed, or NULL */
	void (*page_free)(void *page);
	/* Zeroed but for its first 8 bytes, which only an object's user writes. */
	void *(*object_alloc)(size_t size);
	void (*object_free)(void *object);
	u64 (*pa)(const void *page);	/* guest physical address of a page */
	/*
	 * And back: slot_hva[i] is the address of guest physical i << 30. Set
	 * for a slot before the first of its pages is handed out.
	 */
	const u64 *slot_hva;
	void (*kick)(const plat_cpumask_t *mask);	/* as plat_kick() */
	void (*warn)(const char *msg);
	void (*yield)(void);		/* the CPU, while a lock is held elsewhere */
};
void plat_guest_init(const struct plat_guest_ops *ops);
extern const struct plat_guest_ops *plat_guest_ops;
extern const u64 *plat_guest_slot_hva;	/* ops->slot_hva */

static inline void plat_cpu_relax(void)
{
	__builtin_ia32_pause();
}

/* --- locks --- */

typedef struct plat_spin plat_lock_t;

/*
 * An object's lock is free when it is new. Later somebody may hold it who remembers
 * the object that was there before, and finds out (pt_table.place).
 */
static inline void plat_lock_init(plat_lock_t *lock)
{
	(void)lock;
}

/* Does not wait; true: it was free, and is held. */
static inline bool plat_trylock(plat_lock_t *lock, unsigned int rank)
{
	(void)rank;
	/* As one bit it is LOCK BTS and a jump. */
	return !(__atomic_fetch_or(&lock->held, 1, __ATOMIC_ACQUIRE) & 1);
}

/* Returns 1 when somebody else held it. Its holder may have been preempted. */
static inline unsigned int plat_lock(plat_lock_t *lock, unsigned int rank)
{
	/* Mostly free: no look at it first. */
	if (plat_trylock(lock, rank))
		return 0;
	for (unsigned int i = 0; !plat_spin_try(lock); i++)
		if (i % 64 == 63)
			plat_guest_ops->yield();
		else
			plat_cpu_relax();
	return 1;
}

static inline void plat_unlock(plat_lock_t *lock)
{
	plat_spin_release(lock);
}

/* --- memory --- */

static inline void *plat_page_alloc(u32 place)
{
	(void)place;	/* the pool chooses */
	return plat_guest_ops->page_alloc();
}

static inline void plat_page_free(void *page)
{
	plat_guest_ops->page_free(page);
}

static inline void *plat_object_alloc(size_t size)
{
	return plat_guest_ops->object_alloc(size);
}

static inline void plat_object_free(void *object)
{
	plat_guest_ops->object_free(object);
}

static inline u64 plat_pa(const void *page)
{
	return plat_guest_ops->pa(page);
}

static inline void *plat_va(u64 pa)
{
	return (void *)(uintptr_t)(plat_guest_slot_hva[pa >> PLAT_SLOT_SHIFT] +
				   (pa & (PLAT_SLOT_SIZE - 1)));
}

static inline void **plat_arena_slot(const void *page)
{
	uintptr_t at = (uintptr_t)page;

	return (void **)(at & ~(PLAT_ARENA_SIZE - 1)) +
	       ((at & (PLAT_ARENA_SIZE - 1)) >> PLAT_PAGE_SHIFT);
}

static inline void plat_page_set_owner(void *page, void *owner)
{
	*plat_arena_slot(page) = owner;
}

static inline void *plat_page_owner_at(const void *page)
{
	return *plat_arena_slot(page);
}

static inline void *plat_page_owner(u64 pa)
{
	return plat_page_owner_at(plat_va(pa));
}

/* --- CPUs: the vCPU threads that share a table --- */

plat_cpumask_t *plat_kick_mask(void);

static inline void plat_kick(const plat_cpumask_t *mask, unsigned int nr)
{
	(void)nr;
	plat_guest_ops->kick(mask);
}
#define plat_interrupt(mask, nr)	plat_kick((mask), (nr))

/*
 * --- what the emulator's conflict detector listens to, in the build for tests ---
 *
 * The size bytes at p are the library's from now on, until plat_note_gone(p): as in
 * plat/kernel. The emulator knows memory by its place on the machine, so each page
 * of them gets one.
 */
#ifndef VM_MARKS
#define VM_MARKS 0
#endif
#define PLAT_MARK_LIBRARY	0x44554e09
#define PLAT_MARK_LIBRARY_GONE	0x44554e0a

static inline void plat_note(const void *p, size_t size, const char *name)
{
	uintptr_t page = (uintptr_t)p;

	if (!VM_MARKS)
		return;
	for (; page < (uintptr_t)p + size; page = (page | 4095) + 1)
		__atomic_fetch_or((unsigned char *)page, 0, __ATOMIC_RELAXED);
	__asm__ volatile("nopl %c0(%%rax)"
			 : : "i"(PLAT_MARK_LIBRARY), "a"(p), "D"(size), "S"(name)
			 : "memory");
}

static inline void plat_note_gone(const void *p)
{
	if (VM_MARKS)
		__asm__ volatile("nopl %c0(%%rax)"
				 : : "i"(PLAT_MARK_LIBRARY_GONE), "a"(p) : "memory");
}

/* Nobody listens to these of guest tables. */

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

/* A broken invariant of the core; never a user's mistake. */
static inline void plat_warn_once(const char *msg)
{
	plat_guest_ops->warn(msg);
}

#endif /* SMP_PLAT_H */
