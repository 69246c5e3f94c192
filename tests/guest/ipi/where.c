// SPDX-License-Identifier: GPL-2.0 OR MIT
/* To another thread, wherever that is; and who is interrupted for it. */
#include "ipi.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define V 0x45

/* It is in the guest and makes no exits of its own: kicks, none lost. */
void part_running(void)
{
	struct target *t = target_new();
	struct dune_ipi_counts before, after;
	uint64_t calls;

	counting_begin(V);
	mode_enter();
	before = counts_now();
	calls = vcpu_stat(DUNE_VCPU_kick_calls);
	for (uint64_t i = 0; i < (uint64_t)opt.rounds / 100; i++) {
		CHECK_EQ(dune_ipi_send(target_id(t), V), 0);
		if (!target_waits_for(t, V, i + 1))
			break;
	}
	after = counts_now();
	calls = vcpu_stat(DUNE_VCPU_kick_calls) - calls;
	mode_exit();
	CHECK_EQ(calls, after.kicks - before.kicks);
	printf("    %lu kicks of %lu\n", after.kicks - before.kicks, after.sent - before.sent);
	CHECK_EQ(after.sent - before.sent, (uint64_t)opt.rounds / 100);
	/* With one CPU it is never in the guest while this thread is. */
	if (nr_cpus() > 1)
		CHECK(after.kicks > before.kicks);
	target_end(t, TARGET_ENDS);
}

/* Blocked, or in plain mode: nobody is kicked, and nothing happens before it is back. */
static void one_outside(struct target *t, enum target_does where)
{
	struct dune_ipi_counts before, after;
	uint64_t got;

	target_tell(t, where);
	got = target_got(t, V);
	mode_enter();
	before = counts_now();
	CHECK_EQ(dune_ipi_send(target_id(t), V), 0);
	CHECK_EQ(dune_ipi_send(target_id(t), V), DUNE_IPI_COALESCED);
	after = counts_now();
	mode_exit();
	usleep(5000);
	CHECK_EQ(target_got(t, V), got);
	target_tell(t, TARGET_RUNS);
	target_waits_for(t, V, got + 1);
	CHECK_EQ(after.kicks, before.kicks);
	CHECK_EQ(after.sent - before.sent, 1);
	CHECK_EQ(after.coalesced - before.coalesced, 1);
}

void part_outside(void)
{
	struct target *t = target_new();

	counting_begin(V);
	for (int i = 0; i < 10; i++) {
		one_outside(t, TARGET_BLOCKS);
		one_outside(t, TARGET_PLAIN);
	}
	/* It runs with interrupts off: it is kicked, and takes it when they are on. */
	for (int i = 0; i < 10; i++) {
		uint64_t got = target_got(t, V);

		target_tell(t, TARGET_MASKED);
		mode_enter();
		CHECK_EQ(dune_ipi_send(target_id(t), V), 0);
		mode_exit();
		usleep(2000);
		CHECK_EQ(target_got(t, V), got);
		target_tell(t, TARGET_RUNS);
		target_waits_for(t, V, got + 1);
	}
	target_end(t, TARGET_ENDS);
}

void part_polling(void)
{
	struct target *t = target_new();
	struct dune_ipi_counts before, after;

	counting_begin(V);
	target_tell(t, TARGET_POLLS);
	mode_enter();
	before = counts_now();
	for (uint64_t i = 0; i < 100; i++) {
		CHECK_EQ(dune_ipi_send(target_id(t), V), 0);
		target_waits_for(t, V, i + 1);
	}
	mode_exit();
	/* It does not poll any more: what was sent meanwhile it has at the end. */
	for (uint64_t i = 100; i < 120; i++) {
		target_tell(t, TARGET_DEAF);
		mode_enter();
		CHECK_EQ(dune_ipi_send(target_id(t), V), 0);
		mode_exit();
		target_tell(t, TARGET_RUNS);
		target_waits_for(t, V, i + 1);
	}
	mode_enter();
	after = counts_now();
	mode_exit();
	CHECK_EQ(after.kicks, before.kicks);
	target_end(t, TARGET_ENDS);
}

/* A thread that has never been in Dune mode, and one that is not at the time. */
static void *sends_natively(void *arg)
{
	struct target *t = arg;
	uint64_t got = target_got(t, V);

	for (uint64_t i = 0; i < 50; i++) {
		CHECK_EQ(dune_ipi_send(target_id(t), V), 0);
		target_waits_for(t, V, got + i + 1);
	}
	return NULL;
}

void part_plain_sender(void)
{
	struct target *t = target_new();
	pthread_t thread;

	counting_begin(V);
	REQUIRE(pthread_create(&thread, NULL, sends_natively, t) == 0);
	pthread_join(thread, NULL);
	CHECK_EQ(target_got(t, V), 50);
	sends_natively(t);
	CHECK_EQ(target_got(t, V), 100);
	target_end(t, TARGET_ENDS);
}

/* One call of the module for all; each has its own result. */
void part_multicast(void)
{
	struct target *t[5];
	dune_ipi_id ids[7];
	int results[7];
	uint64_t calls, got;

	counting_begin(V);
	for (int i = 0; i < 5; i++) {
		t[i] = target_new();
		ids[i] = target_id(t[i]);
	}
	target_tell(t[2], TARGET_BLOCKS);
	target_end(t[4], TARGET_ENDS);
	mode_enter();
	ids[5] = dune_ipi_self();
	ids[6] = ids[2];	/* twice */
	got = own_got(V);
	for (uint64_t i = 1; i <= 20; i++) {
		memset(results, 0x55, sizeof(results));
		calls = vcpu_stat(DUNE_VCPU_kick_calls);
		CHECK_EQ(dune_ipi_multicast(ids, 7, V, results), -ESRCH);
		CHECK(vcpu_stat(DUNE_VCPU_kick_calls) - calls <= 1);
		for (int n = 0; n < 7; n++) {
			int want = n == 4 ? -ESRCH : n == 6 || (n == 2 && i > 1);

			CHECK_EQ(results[n], want);
		}
		own_waits_for(V, got + i);
		for (int n = 0; n < 4; n++)
			if (n != 2)
				target_waits_for(t[n], V, i);
		CHECK_EQ(target_got(t[2], V), 0);
	}
	/* Without the dead one. */
	CHECK_EQ(dune_ipi_multicast(ids, 4, V, NULL), 0);
	mode_exit();
	target_tell(t[2], TARGET_RUNS);
	target_waits_for(t[2], V, 1);
	for (int i = 0; i < 4; i++)
		target_end(t[i], TARGET_ENDS);
}
