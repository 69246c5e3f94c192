// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Which handler a vector has, and waiting for the old ones. */
#include <errno.h>
#include <sys/syscall.h>

#include "rawsys.h"
#include "trap.h"

struct trap_entry dune_traps[DUNE_NR_VECTORS];
uint32_t dune_trap_epoch;

/* Of writers; traps read without it. */
static char traps_lock;

/* An interrupt's handler on this thread must not find the lock taken. */
static uint64_t irqs_off(void)
{
	uint64_t flags = __builtin_ia32_readeflags_u64();

	if (!dune_in_guest())
		return 0;
	asm volatile("cli" : : : "memory");
	return flags & FLAG_IF;
}

static void irqs_restore(uint64_t on)
{
	if (on)
		asm volatile("sti" : : : "memory");
}

static void yield(void)
{
	dune_syscall(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
}

static void publish(struct trap_entry *e, dune_trap_fn fn, void *arg, uint32_t flags)
{
	uint64_t slot = !(e->version & VERSION_SLOT);
	uint64_t count = (e->version & -(uint64_t)VERSION_STEP) + VERSION_STEP;

	__atomic_store_n(&e->fn[slot], fn, __ATOMIC_RELAXED);
	__atomic_store_n(&e->arg[slot], arg, __ATOMIC_RELAXED);
	if (!fn)
		flags = 0;
	__atomic_store_n(&e->version, count | flags << VERSION_FLAGS | slot,
			 __ATOMIC_RELEASE);
}

void dune_traps_init(void)
{
	unsigned int i;

	for (i = 0; i < DUNE_NR_VECTORS; i++) {
		struct trap_entry *e = &dune_traps[i];

		e->ist = offsetof(struct dune_thread, tss.ist) +
			 (dune_vector_ist(i) - 1) * sizeof(uint64_t);
		e->keep_if = i < DUNE_VECTOR_USER ? FLAG_IF : 0;
	}
	publish(&dune_traps[DUNE_VECTOR_IPI], dune_ipi_notify, NULL,
		DUNE_TRAP_FAST | DUNE_TRAP_RING3);
}

int dune_trap_register(unsigned int vector, dune_trap_fn fn, void *arg,
		       unsigned int flags)
{
	uint64_t irqs;

	if (vector >= DUNE_NR_VECTORS || vector == VECTOR_TOLD ||
	    vector == DUNE_VECTOR_IPI || flags & ~DUNE_TRAP_FLAGS)
		return -EINVAL;
	irqs = irqs_off();
	while (__atomic_test_and_set(&traps_lock, __ATOMIC_ACQUIRE))
		yield();
	publish(&dune_traps[vector], fn, arg, flags);
	__atomic_clear(&traps_lock, __ATOMIC_RELEASE);
	irqs_restore(irqs);
	return 0;
}

int dune_trap_unregister(unsigned int vector)
{
	return dune_trap_register(vector, NULL, NULL, 0);
}

int dune_trap_sync(void)
{
	struct dune_thread *self = dune_thread_current();
	uint32_t epoch;

	if (self && dune_in_handler(self))
		return -EBUSY;
	epoch = trap_grace_new_epoch(&dune_trap_epoch);
	while (dune_alive() && !dune_threads_passed(epoch))
		yield();
	return 0;
}
