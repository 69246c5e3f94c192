// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "workers.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "machine.h"
#include "test.h"

#define PAGES 16
#define PROGRESS 3		/* rounds of work between two changes */

enum job { COMPUTE, MEMORY, CALLS, SLEEPER };

static struct worker {
	volatile long done;	/* rounds of work */
	uint64_t stamps[512];
	int wake[2];
	char pad[64];
} workers[WORKERS_MAX];
static volatile int stop;
static volatile int running;
static pthread_t thread;

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
		switch (index % WORKERS_JOBS) {
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

/* Sleepers included. */
void workers_progress(const char *when)
{
	long before[WORKERS_MAX];
	uint64_t end = deadline(10);

	for (int i = 0; i < opt.threads; i++)
		before[i] = workers[i].done;
	for (int i = 0; i < opt.threads; i++) {
		int want = i % WORKERS_JOBS == SLEEPER ? 1 : PROGRESS;

		if (i % WORKERS_JOBS == SLEEPER)
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

void workers_start(void)
{
	if (opt.threads > WORKERS_MAX)
		opt.threads = WORKERS_MAX;
	for (int i = 0; i < opt.threads; i++)
		REQUIRE(pipe(workers[i].wake) == 0);
	REQUIRE(pthread_create(&thread, NULL, workers_thread, NULL) == 0);
	REQUIRE(wait_for(&running, opt.threads, 20));
}

void workers_stop(void)
{
	stop = 1;
	for (int i = 0; i < opt.threads; i++)
		CHECK_EQ(write(workers[i].wake[1], "w", 1), 1);
	pthread_join(thread, NULL);
}
