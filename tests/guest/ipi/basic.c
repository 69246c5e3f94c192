// SPDX-License-Identifier: GPL-2.0 OR MIT
/* One thread that sends to itself: arguments, the interrupt flag, polling. */
#include "ipi.h"

#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define V 0x45

void part_arguments(void)
{
	static const unsigned int bad[] = { 0, 14, 31, 255, 256, 256 + V, ~0u };
	static dune_ipi_id many[DUNE_MAX_VCPUS + 1];
	struct dune_ipi_counts counts;
	dune_ipi_id self;

	CHECK_EQ(dune_ipi_self(), 0);
	CHECK_EQ(dune_ipi_counts(&counts), -EINVAL);
	CHECK_EQ(dune_ipi_disable(), -EINVAL);
	CHECK_EQ(dune_ipi_enable(), -EINVAL);
	CHECK_EQ(dune_ipi_send(0, V), -ESRCH);
	counting_begin(V);
	mode_enter();
	self = dune_ipi_self();
	CHECK(self != 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CHECK_EQ(dune_ipi_send(self, bad[i]), -EINVAL);
		CHECK_EQ(dune_ipi_multicast(&self, 1, bad[i], NULL), -EINVAL);
	}
	CHECK_EQ(dune_ipi_send(0, V), -ESRCH);
	CHECK_EQ(dune_ipi_send(self & 0xffffffff, V), -ESRCH);
	CHECK_EQ(dune_ipi_send(self + 1, V), -ESRCH);
	CHECK_EQ(dune_ipi_send(self + DUNE_MAX_VCPUS, V), -ESRCH);
	CHECK_EQ(dune_ipi_send(self + (1ull << 32), V), -ESRCH);
	CHECK_EQ(dune_ipi_send(~0ull, V), -ESRCH);
	CHECK_EQ(dune_ipi_multicast(many, DUNE_MAX_VCPUS + 1, V, NULL), -EINVAL);
	CHECK_EQ(dune_ipi_multicast(many, DUNE_MAX_VCPUS, V, NULL), -ESRCH);
	CHECK_EQ(dune_ipi_multicast(NULL, 0, V, NULL), 0);
	CHECK(irqs_are_on());
	counts = counts_now();
	mode_exit();
	CHECK_EQ(counts.sent, 0);
	CHECK_EQ(counts.taken, 0);
	CHECK_EQ(own_got(V), 0);
	CHECK_EQ(dune_ipi_self(), self);
}

void part_self(void)
{
	struct dune_ipi_counts before, after;

	for (unsigned int v = 32; v < 255; v++)
		counting_begin(v);
	mode_enter();
	before = counts_now();
	for (unsigned int v = 32; v < 255; v++) {
		uint64_t got = own_got(v);

		CHECK_EQ(dune_ipi_send(dune_ipi_self(), v), 0);
		own_waits_for(v, got + 1);
	}
	spin(10000);
	after = counts_now();
	mode_exit();
	CHECK_EQ(after.sent - before.sent, 223);
	CHECK_EQ(after.taken - before.taken, 223);
	CHECK_EQ(after.coalesced, before.coalesced);
	CHECK_EQ(after.unhandled, before.unhandled);
}

void part_masking(void)
{
	dune_ipi_id self;
	uint64_t got;

	counting_begin(V);
	mode_enter();
	self = dune_ipi_self();
	got = own_got(V);
	CHECK_EQ(dune_ipi_enable(), 1);
	CHECK_EQ(dune_ipi_disable(), 1);
	CHECK_EQ(dune_ipi_disable(), 0);
	CHECK_EQ(dune_ipi_send(self, V), 0);
	CHECK_EQ(dune_ipi_send(self, V), DUNE_IPI_COALESCED);
	CHECK_EQ(dune_ipi_send(self, V), DUNE_IPI_COALESCED);
	spin(2000000);		/* ticks as well */
	CHECK_EQ(own_got(V), got);
	CHECK(!irqs_are_on());
	CHECK_EQ(dune_ipi_enable(), 0);
	own_waits_for(V, got + 1);
	CHECK_EQ(dune_ipi_send(self, V), 0);
	own_waits_for(V, got + 2);

	/* It stays pending over plain mode, and dune_enter() turns them on. */
	CHECK_EQ(dune_ipi_disable(), 1);
	CHECK_EQ(dune_ipi_send(self, V), 0);
	mode_exit();
	CHECK_EQ(own_got(V), got + 2);
	CHECK(irqs_are_on());
	mode_enter();
	CHECK(irqs_are_on());
	own_waits_for(V, got + 3);
	spin(10000);
	mode_exit();
	CHECK_EQ(own_got(V), got + 3);
}

/* System calls of every way leave them off. */
void part_masked_calls(void)
{
	uint64_t got;

	counting_begin(V);
	mode_enter();
	got = own_got(V);
	for (int i = 0; i < 200; i++) {
		CHECK_EQ(dune_ipi_disable(), 1);
		CHECK_EQ(dune_ipi_send(dune_ipi_self(), V), 0);
		CHECK_EQ(syscall(SYS_getppid), getppid());
		CHECK_EQ(dune_syscall(SYS_getppid, 0, 0, 0, 0, 0, 0), getppid());
		sched_yield();
		if (i % 20 == 0)
			usleep(100);
		CHECK(!irqs_are_on());
		CHECK_EQ(own_got(V), got + i);
		dune_ipi_enable();
		own_waits_for(V, got + i + 1);
	}
	mode_exit();
}

void part_unhandled(void)
{
	struct dune_ipi_counts before, after;
	uint64_t got;

	counting_begin(V);
	dune_trap_unregister(V + 1);
	mode_enter();
	got = own_got(V);
	before = counts_now();
	CHECK_EQ(dune_ipi_send(dune_ipi_self(), V + 1), 0);
	CHECK_EQ(dune_ipi_send(dune_ipi_self(), V), 0);
	own_waits_for(V, got + 1);
	after = counts_now();
	mode_exit();
	CHECK_EQ(after.unhandled - before.unhandled, 1);
	CHECK_EQ(after.taken - before.taken, 2);
}

/* What is taken in a poll, and what is not. */
void part_polls(void)
{
	dune_ipi_id self;
	uint64_t got;

	counting_begin(V);
	mode_enter();
	self = dune_ipi_self();
	got = own_got(V);
	CHECK_EQ(dune_vm_poll_begin(), 0);
	CHECK_EQ(dune_ipi_send(self, V), 0);
	dune_vm_poll();
	CHECK_EQ(own_got(V), got + 1);
	CHECK_EQ(dune_vm_poll(), 0);

	CHECK_EQ(dune_ipi_disable(), 1);
	CHECK_EQ(dune_ipi_send(self, V), 0);
	dune_vm_poll();
	CHECK_EQ(own_got(V), got + 1);
	dune_ipi_enable();
	dune_vm_poll();
	own_waits_for(V, got + 2);

	CHECK_EQ(dune_ipi_send(self, V), 0);
	CHECK_EQ(dune_vm_poll_end(), 0);
	own_waits_for(V, got + 3);

	/* The end of a poll with interrupts off: when they come on. */
	CHECK_EQ(dune_vm_poll_begin(), 0);
	CHECK_EQ(dune_ipi_disable(), 1);
	CHECK_EQ(dune_ipi_send(self, V), 0);
	CHECK_EQ(dune_vm_poll_end(), 0);
	CHECK_EQ(own_got(V), got + 3);
	dune_ipi_enable();
	asm volatile("nop");
	CHECK_EQ(own_got(V), got + 4);
	mode_exit();
}
