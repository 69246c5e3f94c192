// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Kicks of vCPUs, step by step. sb_test has their store-buffering pair on real
 * cores.
 */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "kick.h"

#define NR	8
#define NR_IDS	128u

static struct {
	struct sd_vm vm;
	struct sd_cpu cpu[NR];
	plat_cpumask_t cpus;
	unsigned int kicks, kicked[NR];
} s;

static void kick(const plat_cpumask_t *mask)
{
	s.kicks++;
	plat_for_each_cpu(cpu, mask) {
		s.kicked[cpu]++;
		CHECK_EQ(plat_load(&s.cpu[cpu].mode), SD_EXITING);
		CHECK_EQ(sd_exit(&s.cpu[cpu]), SD_END_KICKED);
	}
}

/* An interrupt that has been sent, and no more. */
static void kick_is_on_its_way(const plat_cpumask_t *mask)
{
	(void)mask;
	s.kicks++;
}

static void reset_with(unsigned int nr, void (*hook)(const plat_cpumask_t *))
{
	struct plat_test_hooks hooks = { .kick = hook };

	memset(&s, 0, sizeof(s));
	for (unsigned int i = 0; i < nr; i++)
		plat_cpumask_set(&s.cpus, i);
	sd_vm_init(&s.vm, 0, &s.cpus, s.cpu);
	plat_test_hooks(&hooks);
}

static void reset(unsigned int nr)
{
	reset_with(nr, kick);
}

/* Begins a run as the module does. */
static void enter(unsigned int cpu, u32 who)
{
	u64 gen;

	sd_begin(&s.cpu[cpu], who);
	gen = sd_enter(&s.vm, &s.cpu[cpu]);
	if (gen)
		sd_flushed(&s.cpu[cpu], gen);
	sd_entered(&s.cpu[cpu]);
}

static unsigned int kick_one(u32 who)
{
	u64 ids[NR_IDS / 64] = { 0 };

	ids[who / 64] = 1ull << who % 64;
	return kick_vcpus(&s.vm, ids, NR_IDS);
}

static void those_in_guest_are_kicked_at_once_and_no_other(void)
{
	u64 ids[NR_IDS / 64] = { 1ull << 7 | 1ull << 63, 1ull << 0 | 1ull << 5 };

	reset(6);
	enter(0, 7);
	enter(1, 8);		/* not wanted */
	enter(2, 64);
	enter(3, 63);
	sd_exit(&s.cpu[3]);	/* outside */
	enter(5, 69);
	plat_cpumask_del(&s.cpus, 5);	/* not of this vm */
	CHECK_EQ(kick_vcpus(&s.vm, ids, NR_IDS), 2);
	CHECK_EQ(s.kicks, 1);
	for (unsigned int i = 0; i < 6; i++)
		CHECK_EQ(s.kicked[i], i == 0 || i == 2);
	CHECK_EQ(s.cpu[1].mode, SD_IN_GUEST);
	CHECK_EQ(kick_vcpus(&s.vm, ids, NR_IDS), 0);
	CHECK_EQ(s.kicks, 1);
}

static void who_has_left_gets_no_kick_whoever_runs_there_now(void)
{
	reset(2);
	enter(0, 3);
	sd_exit(&s.cpu[0]);
	enter(0, 4);
	CHECK_EQ(kick_one(3), 0);
	CHECK_EQ(s.cpu[0].mode, SD_IN_GUEST);
	sd_exit(&s.cpu[0]);
	enter(1, 3);		/* on another CPU */
	CHECK_EQ(kick_one(3), 1);
	CHECK_EQ(s.kicked[1], 1);
}

static void ids_that_are_none_are_ignored(void)
{
	u64 all[NR_IDS / 64] = { ~0ull, ~0ull };

	reset(2);
	CHECK_EQ(kick_vcpus(&s.vm, all, NR_IDS), 0);
	enter(0, NR_IDS);	/* beyond the set */
	CHECK_EQ(kick_vcpus(&s.vm, all, NR_IDS), 0);
	enter(1, NR_IDS - 1);
	CHECK_EQ(kick_vcpus(&s.vm, all, NR_IDS), 1);
	CHECK_EQ(s.kicked[1], 1);
}

static void a_run_takes_no_number_twice(void)
{
	reset(1);
	enter(0, 1);
	u64 run = s.cpu[0].run;

	sd_exit(&s.cpu[0]);
	enter(0, 1);
	CHECK(s.cpu[0].run != run);
}

/* --- two threads --- */

static struct {
	unsigned int kicks;
	int done;
} sender;

static void *send(void *who)
{
	sender.kicks = kick_one(*(u32 *)who);
	__atomic_store_n(&sender.done, 1, __ATOMIC_RELEASE);
	return NULL;
}

static pthread_t send_to(u32 *who)
{
	pthread_t thread;

	sender.done = 0;
	pthread_create(&thread, NULL, send, who);
	usleep(50000);
	return thread;
}

static int is_done(void)
{
	return __atomic_load_n(&sender.done, __ATOMIC_ACQUIRE);
}

static void it_waits_until_the_run_has_ended(void)
{
	u32 who = 5;
	pthread_t thread;

	reset_with(2, kick_is_on_its_way);
	enter(1, 5);
	thread = send_to(&who);
	CHECK(!is_done());
	CHECK_EQ(sd_exit(&s.cpu[1]), SD_END_KICKED);
	pthread_join(thread, NULL);
	CHECK_EQ(sender.kicks, 1);
}

static void it_waits_for_the_kick_of_another(void)
{
	u32 who = 5, mode = SD_IN_GUEST;
	pthread_t thread;

	reset(1);
	enter(0, 5);
	CHECK(plat_cas32(&s.cpu[0].mode, &mode, SD_EXITING));
	thread = send_to(&who);
	CHECK(!is_done());
	sd_exit(&s.cpu[0]);
	pthread_join(thread, NULL);
	CHECK_EQ(sender.kicks, 0);
	CHECK_EQ(s.kicks, 0);
}

/* Somebody wants the next run to end too: that is not this sender's business. */
static void it_does_not_wait_for_a_later_run(void)
{
	u32 who = 5;
	pthread_t thread;

	reset_with(1, kick_is_on_its_way);
	enter(0, 5);
	thread = send_to(&who);
	CHECK(!is_done());
	/* All at once, as far as the sender can see. */
	plat_store(&s.cpu[0].run, s.cpu[0].run + 1);
	pthread_join(thread, NULL);
	CHECK_EQ(s.cpu[0].mode, SD_EXITING);
}

/* It may have read its requests already. */
static void one_that_is_entering_is_kicked_when_it_has_entered(void)
{
	u32 who = 5;
	pthread_t thread;

	reset_with(1, kick_is_on_its_way);
	sd_begin(&s.cpu[0], 5);
	sd_enter(&s.vm, &s.cpu[0]);
	thread = send_to(&who);
	CHECK(!is_done());
	sd_entered(&s.cpu[0]);
	usleep(50000);
	CHECK(!is_done());
	CHECK_EQ(sd_exit(&s.cpu[0]), SD_END_KICKED);
	pthread_join(thread, NULL);
	CHECK_EQ(sender.kicks, 1);
}

int main(void)
{
	plat_rcu_register();
	CASE(those_in_guest_are_kicked_at_once_and_no_other);
	CASE(who_has_left_gets_no_kick_whoever_runs_there_now);
	CASE(ids_that_are_none_are_ignored);
	CASE(a_run_takes_no_number_twice);
	CASE(it_waits_until_the_run_has_ended);
	CASE(it_waits_for_the_kick_of_another);
	CASE(it_does_not_wait_for_a_later_run);
	CASE(one_that_is_entering_is_kicked_when_it_has_entered);
	plat_rcu_unregister();
	return CHECK_EXIT();
}
