/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Platform verbs of smp/, user-space backend for tests. Atomics and CPU sets
 * are those of plat_c11.h; RCU is liburcu or, under the thread sanitizer, a
 * shim: whichever plat_rcu.h the include path finds. On top of that it is
 * hostile: an allocation can be made to fail, what is freed is poisoned and
 * watched for a while, locks check their order, and any verb may lose time.
 */
#ifndef SMP_PLAT_H
#define SMP_PLAT_H

#include <stdint.h>

/* Counts down to the next delay of this thread; 0: none. */
extern _Thread_local uint32_t plat_test_chaos_left;
void plat_test_chaos_now(void);
#define PLAT_CHAOS() \
	((void)(plat_test_chaos_left && --plat_test_chaos_left == 0 ? \
		plat_test_chaos_now() : (void)0))

#include "plat_c11.h"
#include "plat_rcu.h"

/* While something is awaited; runs the relax hook. */
void plat_cpu_relax(void);

/* --- locks: a higher rank first, or the test ends --- */

typedef struct plat_spin plat_lock_t;

void plat_lock_init(plat_lock_t *lock);
/* Returns 1 when somebody else held it. */
unsigned int plat_lock(plat_lock_t *lock, unsigned int rank);
/* Does not wait; true: it was free, and is held. */
bool plat_trylock(plat_lock_t *lock, unsigned int rank);
void plat_unlock(plat_lock_t *lock);

/* --- memory --- */

/* Zeroed, or NULL when a failure was asked for. */
void *plat_page_alloc(u32 place);
void plat_page_free(void *page);
void *plat_object_alloc(size_t size);
void plat_object_free(void *object);

static inline u64 plat_pa(const void *page)
{
	return (uintptr_t)page;
}

static inline void *plat_va(u64 pa)
{
	return (void *)(uintptr_t)pa;
}

/* Kept behind the page. A page that is not allocated ends the test. */
void plat_page_set_owner(void *page, void *owner);
void *plat_page_owner(u64 pa);
void *plat_page_owner_at(const void *page);

/* --- CPUs, marks, warnings --- */

/* Of this thread. */
plat_cpumask_t *plat_kick_mask(void);
void plat_kick(const plat_cpumask_t *mask, unsigned int nr);
#define plat_interrupt(mask, nr)	plat_kick((mask), (nr))

/* A call of another CPU; the hook sees to it that fn(arg) runs there. */
typedef struct plat_call {
	void (*fn)(void *arg);
	void *arg;
	struct plat_call *next;		/* the hook's, as is the next */
	u32 queued;
} plat_call_t;

static inline void plat_call_init(plat_call_t *call, void (*fn)(void *arg),
				  void *arg)
{
	*call = (plat_call_t){ fn, arg, NULL, 0 };
}

/* False, and nothing happens, without a hook. */
bool plat_call(unsigned int cpu, plat_call_t *call);
void plat_multicast(const plat_cpumask_t *mask);

void plat_mark_bump(u64 root_pa, const u64 *gen);
void plat_mark_done(u64 root_pa, u64 gen);
#define plat_note(p, size, name)	((void)0)
#define plat_note_gone(p)	((void)0)

/* A broken invariant of the core; counted, so that a test may expect it. */
void plat_warn_once(const char *msg);

/* --- for tests only --- */

/* What a test does in the verbs' place; NULL: nothing. Set before threads. */
struct plat_test_hooks {
	void (*relax)(void);
	void (*kick)(const plat_cpumask_t *mask);
	bool (*call)(unsigned int cpu, plat_call_t *call);
	void (*multicast)(const plat_cpumask_t *mask);
	void (*mark_bump)(u64 root_pa, const u64 *gen);
	void (*mark_done)(u64 root_pa, u64 gen);
};
void plat_test_hooks(const struct plat_test_hooks *hooks);

#define PLAT_TEST_POISON	0xdfdfdfdfdfdfdfdfull

/* About every mean-th verb of this thread loses time; 0: none does. */
void plat_test_chaos(u32 mean, u64 seed);
/* 1: the next allocation, of a page or an object, fails; 0: none. */
void plat_test_fail_nth(u64 nth);
/* Did the failure that was asked for last happen? */
bool plat_test_failed(void);
/* Every callback has run, everything freed is checked. Not under RCU. */
void plat_test_grace_period(void);
u64 plat_test_live(void);		/* pages allocated and not freed */
u64 plat_test_live_objects(void);
u32 plat_test_place(const void *page);	/* as it was asked for */
u64 plat_test_warnings(void);		/* since the last call */

#endif /* SMP_PLAT_H */
