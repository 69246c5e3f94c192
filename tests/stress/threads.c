// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The threads of a round, and a watch over them. */
#include <pthread.h>
#include <time.h>

#include "fail.h"
#include "random.h"
#include "run.h"

#define MAX_THREADS	80	/* CPUs, and who works beside them */
#define STEP_MS		10u
#define HANG_MS		40000u

static void sleep_ms(unsigned int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000l };

	nanosleep(&t, NULL);
}

static void let_run(const struct stress_threads *threads)
{
	u64 last = threads->progress();

	for (unsigned int at = 0, still = 0; at < threads->ms;
	     at += STEP_MS, still += STEP_MS) {
		sleep_ms(STEP_MS);
		if (threads->progress() != last)
			still = 0;
		if (still > HANG_MS)
			fail("nothing moves any more");
		last = threads->progress();
	}
}

static void *watch(void *joined)
{
	for (unsigned int ms = 0; ms < HANG_MS; ms += STEP_MS) {
		if (__atomic_load_n((u32 *)joined, __ATOMIC_ACQUIRE))
			return NULL;
		sleep_ms(STEP_MS);
	}
	fail("a thread does not end");
}

static void start(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	if (pthread_create(thread, NULL, fn, arg))
		fail("no thread can be made");
}

static void stop(u32 *flag, const pthread_t *thread, unsigned int nr)
{
	plat_store_release(flag, 1);
	for (unsigned int i = 0; i < nr; i++)
		pthread_join(thread[i], NULL);
}

void stress_run(const struct stress_threads *threads)
{
	pthread_t cpu[MAX_THREADS], other[MAX_THREADS], watcher;
	u32 joined = 0;

	for (unsigned int i = 0; i < threads->nr_cpus; i++)
		start(&cpu[i], threads->cpu,
		      (char *)threads->cpus + i * threads->cpu_size);
	for (unsigned int i = 0; i < threads->nr_others; i++)
		start(&other[i], threads->other, (void *)(uintptr_t)rnd(1u << 30));
	let_run(threads);

	start(&watcher, watch, &joined);
	stop(threads->stop_others, other, threads->nr_others);
	stop(threads->stop_cpus, cpu, threads->nr_cpus);
	__atomic_store_n(&joined, 1, __ATOMIC_RELEASE);
	pthread_join(watcher, NULL);
}
