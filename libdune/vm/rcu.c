// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What is freed after a grace period waits with the thread that unlinked it.
 * When that has RETIRED_MAX of them it waits for one grace period for all, at the
 * end of an operation: outside of locks, with interrupts as the caller had them.
 *
 * synchronize_rcu() is libc's and liburcu's code: in the guest a fast handler
 * may be below, so vector registers are saved around it (hw_call()).
 */
#include "op.h"

/* Of threads that have ended, and about how many: some are on their way. */
static plat_rcu_t *orphans;
static u32 nr_orphans;

/* Each ended thread leaves a small one, mostly. */
#define ORPHANS_MAX	64u

void plat_call_rcu(plat_rcu_t *rcu, void (*fn)(plat_rcu_t *rcu))
{
	struct vm_local *local = vm_local_here();

	rcu->fn = fn;
	rcu->next = local->retired;
	local->retired = rcu;
	local->nr_retired++;
}

static void run_all(plat_rcu_t *list)
{
	while (list) {
		plat_rcu_t *rcu = list;

		list = rcu->next;
		rcu->fn(rcu);
	}
}

/*
 * Held over calls of liburcu that take its locks, and over a fork(): so that a
 * child does not inherit them taken. A fork that libc does not make may.
 */
static u32 liburcu_lock;

/*
 * urcu_bp_read_ongoing() registers who is not registered. A thread that ends in the
 * guest comes here after libc's destructors: nothing would take its reader away.
 */
static bool read_ongoing(void)
{
	return URCU_TLS(urcu_bp_reader) && urcu_bp_read_ongoing();
}

static void synchronize(void *unused)
{
	(void)unused;
	vm_lock(&liburcu_lock);
	urcu_bp_synchronize_rcu();
	vm_unlock(&liburcu_lock);
}

void rcu_before_fork(void)
{
	vm_lock(&liburcu_lock);
}

void rcu_after_fork(void)
{
	vm_unlock(&liburcu_lock);
}

int op_synchronize(struct vm_op *op)
{
	int err = 0;

	dune_rcu_unlock();
	if (op->guest)
		hw_irq_restore(op->irq);
	if (read_ongoing())
		err = -EBUSY;
	else
		hw_call(synchronize, NULL);
	if (op->guest)
		hw_irq_save();
	dune_rcu_lock();
	return err;
}

/* Interrupts are off. False: this function is below a handler. */
static bool take_retired(struct vm_local *local, plat_rcu_t **mine, plat_rcu_t **others)
{
	if (local->reclaiming)
		return false;
	local->reclaiming = true;
	*mine = local->retired;
	local->retired = NULL;
	local->nr_retired = 0;
	plat_store(&nr_orphans, 0);
	*others = __atomic_exchange_n(&orphans, NULL, __ATOMIC_ACQUIRE);
	return true;
}

void rcu_reclaim(struct vm_local *local)
{
	bool guest = hw_in_guest(), taken;
	plat_rcu_t *mine, *others;
	u64 irq = 0;

	/* A read section of the program below (it may use the same flavour): later. */
	if (read_ongoing())
		return;
	if (guest)
		irq = hw_irq_save();
	taken = take_retired(local, &mine, &others);
	if (guest)
		hw_irq_restore(irq);
	if (!taken)
		return;
	hw_call(synchronize, NULL);
	if (hw_in_guest())
		irq = hw_irq_save();
	run_all(mine);
	run_all(others);
	local->reclaiming = false;
	if (hw_in_guest())
		hw_irq_restore(irq);
}

/* The thread ends: somebody else waits, or the next one that ends. */
void rcu_end(struct vm_local *local)
{
	plat_rcu_t *first, *last;

	if (local->nr_retired + plat_load(&nr_orphans) >= ORPHANS_MAX)
		rcu_reclaim(local);
	first = last = local->retired;
	if (!last)
		return;
	__atomic_fetch_add(&nr_orphans, local->nr_retired, __ATOMIC_RELAXED);
	while (last->next)
		last = last->next;
	local->retired = NULL;
	local->nr_retired = 0;
	last->next = __atomic_load_n(&orphans, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&orphans, &last->next, first, false,
					    __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

/* In a forked child: other threads' read sections will never end. */
void rcu_forget(void)
{
	orphans = NULL;
	nr_orphans = 0;
	liburcu_lock = 0;
	urcu_bp_before_fork();
	urcu_bp_after_fork_child();
}
