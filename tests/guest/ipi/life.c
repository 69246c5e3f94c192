// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Threads that end, processes, and contexts that are given up. */
#include "ipi.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define V 0x45

/* What is pending is dropped and counted; the id is nobody's afterwards. */
static void one_death(enum target_does how)
{
	struct dune_ipi_counts before, after;
	struct target *t = target_new(), *next;
	dune_ipi_id id = target_id(t);

	before = counts_now();
	target_tell(t, how);
	CHECK_EQ(dune_ipi_send(id, V), 0);
	CHECK_EQ(dune_ipi_send(id, V + 1), 0);
	CHECK_EQ(dune_ipi_send(id, V), DUNE_IPI_COALESCED);
	target_end(t, how);
	after = counts_now();
	CHECK_EQ(after.dropped - before.dropped, 2);
	CHECK_EQ(dune_ipi_send(id, V), -ESRCH);
	/* Another thread may have its vCPU's id, but not this. */
	next = target_new();
	CHECK_EQ((uint32_t)target_id(next), (uint32_t)id);
	CHECK(target_id(next) != id);
	CHECK_EQ(dune_ipi_send(id, V), -ESRCH);
	mode_enter();
	CHECK_EQ(dune_ipi_send(id, V), -ESRCH);
	CHECK_EQ(dune_ipi_send(target_id(next), V), 0);
	mode_exit();
	target_waits_for(next, V, 1);
	CHECK_EQ(target_got(next, V + 1), 0);
	target_end(next, TARGET_ENDS);
}

void part_death(void)
{
	counting_begin(V);
	counting_begin(V + 1);
	mode_enter();
	mode_exit();
	for (int i = 0; i < 5; i++) {
		one_death(TARGET_ENDS);
		one_death(TARGET_ENDS_INSIDE);
	}
}

/* ---- senders race with ends: taken + dropped == sent ---- */

static volatile int stop;
static dune_ipi_id victim;
static uint64_t taken_by_dead, sent_to_them, refused;

static void hammers(int index, void *arg)
{
	uint64_t sent = 0, gone = 0;
	uint64_t seed = opt.seed + index;

	while (!stop) {
		dune_ipi_id id = __atomic_load_n(&victim, __ATOMIC_RELAXED);
		int ret = dune_ipi_send(id, 0x40 + rnd(&seed) % 0x80);

		sent += ret == 0;
		gone += ret == -ESRCH;
		CHECK(ret == 0 || ret == -ESRCH || ret == DUNE_IPI_COALESCED);
	}
	__atomic_fetch_add(&sent_to_them, sent, __ATOMIC_RELAXED);
	__atomic_fetch_add(&refused, gone, __ATOMIC_RELAXED);
}

static void *lives_shortly(void *arg)
{
	uint64_t seed = (uint64_t)arg;
	struct dune_ipi_counts counts;

	mode_enter();
	__atomic_store_n(&victim, dune_ipi_self(), __ATOMIC_RELAXED);
	spin(rnd(&seed) % 20000);
	mode_exit();
	spin(rnd(&seed) % 2000);
	counts = counts_now();
	__atomic_fetch_add(&taken_by_dead, counts.taken, __ATOMIC_RELAXED);
	return NULL;
}

static void *births_and_deaths(void *arg)
{
	for (uint64_t i = 1; i <= 200; i++) {
		pthread_t thread;

		REQUIRE(pthread_create(&thread, NULL, lives_shortly, (void *)i) == 0);
		pthread_join(thread, NULL);
	}
	stop = 1;
	return NULL;
}

void part_death_race(void)
{
	struct dune_ipi_counts before, after;
	pthread_t thread;

	for (unsigned int v = 0x40; v < 0xc0; v++)
		counting_begin(v);
	mode_enter();
	mode_exit();
	before = counts_now();
	stop = 0;
	REQUIRE(pthread_create(&thread, NULL, births_and_deaths, NULL) == 0);
	run_threads(2, hammers, NULL);
	pthread_join(thread, NULL);
	after = counts_now();
	printf("    %lu sent, %lu taken, %lu dropped, %lu refused\n", sent_to_them,
	       taken_by_dead, after.dropped - before.dropped, refused);
	CHECK_EQ(sent_to_them, taken_by_dead + after.dropped - before.dropped);
	CHECK(refused > 0 && sent_to_them > 100);
}

/* ---- another process: its threads have the same vCPU ids ---- */

static dune_ipi_id parents[2];

static void sends_to_parents(void *arg)
{
	struct target *t;

	CHECK_EQ(dune_ipi_self(), 0);
	CHECK_EQ(dune_ipi_send(parents[0], V), -ESRCH);
	mode_enter();
	CHECK_EQ((uint32_t)dune_ipi_self(), (uint32_t)parents[0]);
	t = target_new();
	CHECK_EQ((uint32_t)target_id(t), (uint32_t)parents[1]);
	for (int i = 0; i < 100; i++) {
		CHECK_EQ(dune_ipi_send(parents[0], V), -ESRCH);
		CHECK_EQ(dune_ipi_send(parents[1], V), -ESRCH);
		CHECK_EQ(dune_ipi_send(target_id(t), V), 0);
		target_waits_for(t, V, i + 1);
	}
	CHECK_EQ(own_got(V), *(uint64_t *)arg);
	mode_exit();
	target_end(t, TARGET_ENDS);
}

void part_foreign(void)
{
	struct target *t;
	uint64_t got;
	int status;

	counting_begin(V);
	mode_enter();
	parents[0] = dune_ipi_self();
	mode_exit();
	t = target_new();
	parents[1] = target_id(t);
	got = own_got(V);
	status = run_child(30, sends_to_parents, &got);
	CHECK_EQ(status, 0);
	CHECK_EQ(target_got(t, V), 0);
	CHECK_EQ(own_got(V), got);
	target_end(t, TARGET_ENDS);
}

/* ---- a handler that does not return ---- */

static sigjmp_buf out;
static volatile int leaves_left;

static void leaves(int sig)
{
	mode_abandon();
	siglongjmp(out, 1);
}

static enum dune_trap_action raises(struct dune_trap *trap, void *arg)
{
	if (leaves_left-- > 0) {
		/* It would be next. */
		CHECK_EQ(dune_ipi_send(dune_ipi_self(), V + 1), 0);
		raise(SIGUSR1);
	}
	return counting(trap, arg);
}

void part_signal_leaves(void)
{
	uint64_t got, next;

	signal(SIGUSR1, leaves);
	counting_begin(V + 1);
	CHECK_EQ(dune_trap_register(V, raises, NULL, 0), 0);
	got = own_got(V);
	next = own_got(V + 1);
	for (int i = 1; i <= 20; i++) {
		leaves_left = 1;
		mode_enter();
		if (!sigsetjmp(out, 1)) {
			dune_ipi_send(dune_ipi_self(), V);
			spin(100000);
			CHECK(!"left");
		}
		mode_reenter();
		own_waits_for(V + 1, next + i);
		CHECK_EQ(dune_ipi_send(dune_ipi_self(), V), 0);
		own_waits_for(V, got + i);
		mode_exit();
	}
	signal(SIGUSR1, SIG_DFL);
}

/* The child of a fork() in a handler returns from it, in plain mode. */
static volatile pid_t forked;

static enum dune_trap_action forks(struct dune_trap *trap, void *arg)
{
	forked = fork();
	return counting(trap, arg);
}

void part_fork(void)
{
	uint64_t got, lower;
	int status = -1;

	fflush(stdout);
	counting_begin(V);
	CHECK_EQ(dune_trap_register(V + 16, forks, NULL, 0), 0);
	mode_enter();
	got = own_got(V + 16);
	lower = own_got(V);
	dune_ipi_disable();
	CHECK_EQ(dune_ipi_send(dune_ipi_self(), V), 0);
	CHECK_EQ(dune_ipi_send(dune_ipi_self(), V + 16), 0);
	dune_ipi_enable();
	spin(1000);
	/* The child has the one that it was in, and is in plain mode. */
	if (forked == 0)
		_exit(dune_inside() || own_got(V + 16) != got + 1 || own_got(V) != lower);
	CHECK_EQ(own_got(V + 16), got + 1);
	CHECK_EQ(own_got(V), lower + 1);
	mode_exit();
	CHECK_EQ(waitpid(forked, &status, 0), forked);
	CHECK_EQ(status, 0);
}
