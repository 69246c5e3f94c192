// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The test backend: locks that check their order, delays, hooks, warnings. */
#include "plat.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_HELD	8

static struct plat_test_hooks hooks;
static u64 nr_warnings;

/* --- delays --- */

_Thread_local uint32_t plat_test_chaos_left;
static _Thread_local u32 chaos_mean;
static _Thread_local u64 chaos_random;

static u64 chaos_next(void)
{
	chaos_random ^= chaos_random << 13;
	chaos_random ^= chaos_random >> 7;
	chaos_random ^= chaos_random << 17;
	return chaos_random >> 11;
}

void plat_test_chaos(u32 mean, u64 seed)
{
	chaos_mean = mean;
	chaos_random = seed * 0x9e3779b97f4a7c15ull | 1;
	plat_test_chaos_left = mean ? 1 + chaos_next() % mean : 0;
}

/* A short one, for another core to get ahead, or others run on this one. */
void plat_test_chaos_now(void)
{
	u64 kind = chaos_next();

	if (kind % 4)
		for (u64 i = chaos_next() % 1000; i; i--)
			__asm__ volatile("");
	else
		for (u64 i = kind / 4 % 8; i; i--)
			sched_yield();
	plat_test_chaos_left = 1 + chaos_next() % (2 * chaos_mean);
}

/* --- locks --- */

static _Thread_local struct {
	unsigned int nr;
	struct {
		const plat_lock_t *lock;
		unsigned int rank;
	} lock[MAX_HELD];
} held;

__attribute__((noreturn))
static void broken(const char *what, const void *object)
{
	printf("FAIL plat: %s: %p\n", what, object);
	fflush(stdout);
	abort();
}

void plat_lock_init(plat_lock_t *lock)
{
	lock->held = 0;
}

static void check_order(const plat_lock_t *lock, unsigned int rank)
{
	if (held.nr == MAX_HELD ||
	    (held.nr && held.lock[held.nr - 1].rank <= rank))
		broken("lock taken inside of one of the same or a lower rank",
		       lock);
	PLAT_CHAOS();
}

static void now_held(const plat_lock_t *lock, unsigned int rank)
{
	held.lock[held.nr].lock = lock;
	held.lock[held.nr++].rank = rank;
	PLAT_CHAOS();
}

unsigned int plat_lock(plat_lock_t *lock, unsigned int rank)
{
	unsigned int contended = 0;

	check_order(lock, rank);
	while (!plat_spin_try(lock)) {
		contended = 1;
		plat_cpu_relax();
	}
	now_held(lock, rank);
	return contended;
}

bool plat_trylock(plat_lock_t *lock, unsigned int rank)
{
	check_order(lock, rank);
	if (!plat_spin_try(lock))
		return false;
	now_held(lock, rank);
	return true;
}

void plat_unlock(plat_lock_t *lock)
{
	if (!held.nr || held.lock[held.nr - 1].lock != lock)
		broken("lock released that was not taken last", lock);
	held.nr--;
	PLAT_CHAOS();
	plat_spin_release(lock);
}

/* --- hooks --- */

void plat_test_hooks(const struct plat_test_hooks *new)
{
	hooks = *new;
}

void plat_cpu_relax(void)
{
	if (hooks.relax)
		hooks.relax();
	sched_yield();	/* what is waited for may need this CPU */
}

plat_cpumask_t *plat_kick_mask(void)
{
	static _Thread_local plat_cpumask_t mask;

	return &mask;
}

void plat_kick(const plat_cpumask_t *mask, unsigned int nr)
{
	(void)nr;
	if (hooks.kick)
		hooks.kick(mask);
}

bool plat_call(unsigned int cpu, plat_call_t *call)
{
	PLAT_CHAOS();
	return hooks.call && hooks.call(cpu, call);
}

void plat_multicast(const plat_cpumask_t *mask)
{
	PLAT_CHAOS();
	if (hooks.multicast)
		hooks.multicast(mask);
}

void plat_mark_bump(u64 root_pa, const u64 *gen)
{
	if (hooks.mark_bump)
		hooks.mark_bump(root_pa, gen);
}

void plat_mark_done(u64 root_pa, u64 gen)
{
	if (hooks.mark_done)
		hooks.mark_done(root_pa, gen);
}

void plat_warn_once(const char *msg)
{
	fprintf(stderr, "plat: warning: %s\n", msg);
	__atomic_fetch_add(&nr_warnings, 1, __ATOMIC_RELAXED);
}

u64 plat_test_warnings(void)
{
	return __atomic_exchange_n(&nr_warnings, 0, __ATOMIC_RELAXED);
}
