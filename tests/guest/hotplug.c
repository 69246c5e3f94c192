// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * CPUs go offline and come back while threads in Dune mode compute, make
 * system calls, sleep in them, fault pages in and unmap them. Nothing may be
 * lost, everybody goes on elsewhere, and a CPU that came back takes vCPUs
 * again. VMX is on exactly where a CPU is online and a vm lives.
 */
#include "test.h"
#include "machine.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define MAX_THREADS 16
#define PAGES 16
#define PROGRESS 3		/* rounds of work between two changes */

enum job { COMPUTE, MEMORY, CALLS, SLEEPER, NR_JOBS };

static struct worker {
	volatile long done;	/* rounds of work */
	uint64_t stamps[512];
	int wake[2];
	char pad[64];
} workers[MAX_THREADS];
static volatile int stop;
static volatile int running;

/* A counter that only this thread writes, and its complement. */
static void work_compute(struct worker *w)
{
	for (int i = 0; i < 512; i++) {
		uint64_t v = __atomic_load_n(&w->stamps[i], __ATOMIC_RELAXED);

		CHECK_EQ(v, w->done);
		__atomic_store_n(&w->stamps[i], v + 1, __ATOMIC_RELAXED);
	}
	spin(20000);
}

/* EPT faults, reads back, and an unmapping with its shootdown. */
static void work_memory(struct worker *w)
{
	char *p = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	for (int i = 0; i < PAGES; i++)
		*(long *)(p + i * 4096) = w->done + i;
	for (int i = 0; i < PAGES; i++)
		CHECK_EQ(*(long *)(p + i * 4096), w->done + i);
	CHECK_EQ(munmap(p, PAGES * 4096), 0);
}

static void work_calls(struct worker *w, pid_t tid)
{
	for (int i = 0; i < 50; i++)
		CHECK_EQ(syscall(SYS_gettid), tid);
	sched_yield();
}

/* Blocked, on whatever CPU, until the main thread has changed something. */
static void work_sleep(struct worker *w)
{
	char c = 0;

	CHECK_EQ(read(w->wake[0], &c, 1), 1);
	CHECK_EQ(c, 'w');
}

/* Every second thread goes where it can, again and again. */
static void move(int index, uint64_t *seed)
{
	cpu_set_t set;

	if (index & 1)
		return;
	CPU_ZERO(&set);
	CPU_SET(rnd(seed) % nr_present_cpus(), &set);
	/* EINVAL: that CPU is offline now. */
	if (sched_setaffinity(0, sizeof(set), &set))
		CHECK_EQ(errno, EINVAL);
}

static void worker_main(int index, void *arg)
{
	struct worker *w = &workers[index];
	uint64_t seed = opt.seed + index;
	pid_t tid = syscall(SYS_gettid);

	__atomic_add_fetch(&running, 1, __ATOMIC_RELEASE);
	while (!stop) {
		switch (index % NR_JOBS) {
		case COMPUTE: work_compute(w); break;
		case MEMORY: work_memory(w); break;
		case CALLS: work_calls(w, tid); break;
		case SLEEPER: work_sleep(w); break;
		}
		w->done++;
		if (w->done % 8 == 0)
			move(index, &seed);
	}
}

static void *workers_thread(void *unused)
{
	run_threads(opt.threads, worker_main, NULL);
	return NULL;
}

/* Everybody has worked since the last change, sleepers included. */
static void wait_for_progress(const char *when)
{
	long before[MAX_THREADS];
	uint64_t end = deadline(10);

	for (int i = 0; i < opt.threads; i++)
		before[i] = workers[i].done;
	for (int i = 0; i < opt.threads; i++) {
		int want = i % NR_JOBS == SLEEPER ? 1 : PROGRESS;

		if (i % NR_JOBS == SLEEPER)
			CHECK_EQ(write(workers[i].wake[1], "w", 1), 1);
		while (workers[i].done < before[i] + want) {
			if (now_ns() > end) {
				FAIL("thread %d does not go on after %s", i,
				     when);
				return;
			}
			sched_yield();
		}
	}
}

static int some_cpu(uint64_t *seed)
{
	return 1 + rnd(seed) % (nr_present_cpus() - 1);
}

static void storm(void *unused)
{
	uint64_t seed = opt.seed;
	long offline = 0, online = 0;
	pthread_t thread;

	for (int i = 0; i < opt.threads; i++)
		REQUIRE(pipe(workers[i].wake) == 0);
	REQUIRE(pthread_create(&thread, NULL, workers_thread, NULL) == 0);
	REQUIRE(wait_for(&running, opt.threads, 20));
	for (long round = 0; round < opt.rounds; round++) {
		int cpu = some_cpu(&seed);

		CHECK_EQ(cpu_set_online(cpu, false), 0);
		offline++;
		/* Another one, or the same back, before anybody rests. */
		if (rnd(&seed) % 2)
			wait_for_progress("an offlining");
		for (int c = 1; c < nr_present_cpus(); c++)
			if (!cpu_is_online(c) && rnd(&seed) % 4) {
				CHECK_EQ(cpu_set_online(c, true), 0);
				online++;
			}
		wait_for_progress("an onlining");
		if (!opt.native && round % 4 == 0)
			check_vmxe(nr_cpus(), "with a vm");
	}
	stop = 1;
	for (int i = 0; i < opt.threads; i++)
		CHECK_EQ(write(workers[i].wake[1], "w", 1), 1);
	pthread_join(thread, NULL);
	all_cpus_online();
	printf("%ld times offline, %ld times online, %d CPUs\n", offline,
	       online, nr_present_cpus());
}

static volatile int arrived;

static void stay(int cpu, void *unused)
{
	uint64_t entries = vcpu_stat(DUNE_VCPU_entries);

	pin_to(cpu);
	for (int i = 0; i < 20; i++) {
		char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		REQUIRE(p != MAP_FAILED);
		*p = i;
		CHECK_EQ(sched_getcpu(), cpu);
		munmap(p, 4096);
	}
	CHECK(opt.native || vcpu_stat(DUNE_VCPU_entries) > entries);
	__atomic_add_fetch(&arrived, 1, __ATOMIC_RELAXED);
}

/* Every CPU has been away by now, or goes away first; all take vCPUs. */
static void comes_back(void *unused)
{
	for (int cpu = 1; cpu < nr_present_cpus(); cpu++)
		CHECK_EQ(cpu_set_online(cpu, false), 0);
	if (!opt.native)
		check_vmxe(1, "with one CPU");
	for (int cpu = 1; cpu < nr_present_cpus(); cpu++)
		CHECK_EQ(cpu_set_online(cpu, true), 0);
	run_threads(nr_cpus(), stay, NULL);
	CHECK_EQ(arrived, nr_cpus());
}

/* The vCPU last ran on a CPU that is gone when it is used, or given up. */
static void left_behind(void *unused)
{
	char *p;

	mode_enter();
	for (int i = 0; i < 6; i++) {
		pin_to(1);
		CHECK_EQ(sched_getcpu(), 1);
		mode_exit();
		pin_to(0);
		CHECK_EQ(cpu_set_online(1, false), 0);
		if (i % 2)
			CHECK_EQ(cpu_set_online(1, true), 0);
		mode_enter();
		p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		REQUIRE(p != MAP_FAILED);
		*p = 1;
		munmap(p, 4096);
		if (!cpu_is_online(1))
			CHECK_EQ(cpu_set_online(1, true), 0);
	}
	pin_to(1);
	mode_exit();
	pin_to(0);
	CHECK_EQ(cpu_set_online(1, false), 0);
	/* The vm is given up by the end of this process, CPU 1 being away. */
}

static void in_child(void (*fn)(void *))
{
	CHECK_EQ(run_child(120, fn, NULL), 0);
	all_cpus_online();
	check_vmxe(0, "without a vm");
}

static void part_storm(void) { in_child(storm); }
static void part_comes_back(void) { in_child(comes_back); }
static void part_left_behind(void) { in_child(left_behind); }

int main(int argc, char **argv)
{
	test_start_raw(argc, argv, (struct test_opts){
		.threads = 2 * NR_JOBS, .rounds = 12 });
	if (opt.threads > MAX_THREADS)
		opt.threads = MAX_THREADS;
	if (nr_present_cpus() < 2)
		SKIP("needs 2 CPUs");
	if (cpu_set_online(1, true) == -EACCES || geteuid() != 0)
		SKIP("must be root");
	all_cpus_online();
	check_vmxe(0, "before");
	test_part("storm", part_storm);
	test_part("comes_back", part_comes_back);
	test_part("left_behind", part_left_behind);
	return test_end();
}
