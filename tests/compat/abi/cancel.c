// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Cancellation, and the kinds of locks that need the kernel. */
#include "abi.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static volatile int cleaned, started;

static void clean(void *arg)
{
	cleaned += (int)(long)arg;
}

static void *deferred_thread(void *arg)
{
	int fds[2];
	char c;

	REQUIRE(!pipe(fds));
	pthread_cleanup_push(clean, (void *)1);
	started = 1;
	if (read(fds[0], &c, 1) != 1)
		FAIL("read() came back");
	pthread_cleanup_pop(0);
	return NULL;
}

static void *async_thread(void *arg)
{
	pthread_cleanup_push(clean, (void *)1);
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	started = 1;
	for (volatile uint64_t i = 0; ; i++)
		;
	pthread_cleanup_pop(0);
	return NULL;
}

static void *disabled_thread(void *arg)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	started = 1;
	for (int i = 0; i < 1000; i++)
		sched_yield();
	cleaned = 5;
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	for (;;)
		pthread_testcancel();
	return NULL;
}

static void cancel_each(void *(*fn)(void *), int want)
{
	unsigned long n = rounds(20);

	for (unsigned long i = 0; i < n; i++) {
		pthread_t thread;
		void *value = NULL;

		started = cleaned = 0;
		REQUIRE(!pthread_create(&thread, NULL, fn, NULL));
		wait_for(&started, 1);
		/* Sometimes when it waits already. */
		for (unsigned long k = 0; k < i % 8 * 20; k++)
			sched_yield();
		CHECK_EQ(pthread_cancel(thread), 0);
		CHECK_EQ(pthread_join(thread, &value), 0);
		CHECK(value == PTHREAD_CANCELED);
		CHECK_EQ(cleaned, want);
	}
}

static void cancel_deferred(void)
{
	cancel_each(deferred_thread, 1);
}

static void cancel_async(void)
{
	cancel_each(async_thread, 1);
}

static void cancel_disabled(void)
{
	cancel_each(disabled_thread, 5);
}

/* --- robust mutexes --- */

static pthread_mutex_t *robust;

static void robust_make(int kind, int shared)
{
	pthread_mutexattr_t attr;

	if (!robust)
		robust = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(robust != MAP_FAILED);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutexattr_setprotocol(&attr, kind);
	pthread_mutexattr_setpshared(&attr, shared);
	REQUIRE(!pthread_mutex_init(robust, &attr));
}

static void *dies_with_lock(void *arg)
{
	CHECK_EQ(pthread_mutex_lock(robust), 0);
	started = 1;
	for (int i = 0; i < 50; i++)
		sched_yield();
	return NULL;
}

static void judge_robust(void)
{
	CHECK_EQ(pthread_mutex_lock(robust), EOWNERDEAD);
	CHECK_EQ(pthread_mutex_consistent(robust), 0);
	CHECK_EQ(pthread_mutex_unlock(robust), 0);
	CHECK_EQ(pthread_mutex_lock(robust), 0);
	CHECK_EQ(pthread_mutex_unlock(robust), 0);
}

static void process_dies(void *arg)
{
	CHECK_EQ(pthread_mutex_lock(robust), 0);
	kill(getpid(), SIGKILL);
}

static void process_execs(void *arg)
{
	CHECK_EQ(pthread_mutex_lock(robust), 0);
	execl("/bin/sh", "sh", "-c", "exit 3", NULL);
}

static void robust_mutex(void)
{
	static const int kinds[] = { PTHREAD_PRIO_NONE, PTHREAD_PRIO_INHERIT };
	pthread_t thread;

	for (unsigned int i = 0; i < 2; i++) {
		robust_make(kinds[i], PTHREAD_PROCESS_PRIVATE);
		started = 0;
		REQUIRE(!pthread_create(&thread, NULL, dies_with_lock, NULL));
		wait_for(&started, 1);
		/* It waits, and is woken by the owner's death. */
		judge_robust();
		CHECK_EQ(pthread_join(thread, NULL), 0);
	}
	robust_make(PTHREAD_PRIO_NONE, PTHREAD_PROCESS_SHARED);
	CHECK_EQ(status_of(process_dies, NULL), SIGKILL);
	judge_robust();
	CHECK_EQ(status_of(process_execs, NULL), 3 << 8);
	judge_robust();
}

/* --- priority inheritance, and load --- */

static pthread_mutex_t mutex;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static volatile uint64_t counter;
static int turn;
#define THREADS	4

static void *adds(void *arg)
{
	unsigned long n = rounds(2000);

	for (unsigned long i = 0; i < n; i++) {
		CHECK_EQ(pthread_mutex_lock(&mutex), 0);
		counter = counter + 1;
		if (i % 64 == 0)
			sched_yield();
		CHECK_EQ(pthread_mutex_unlock(&mutex), 0);
	}
	return NULL;
}

static void threads_do(void *(*fn)(void *))
{
	pthread_t threads[THREADS];

	for (long i = 0; i < THREADS; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, fn, (void *)i));
	for (long i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
}

static void pi_mutex(void)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	REQUIRE(!pthread_mutex_init(&mutex, &attr));
	threads_do(adds);
	CHECK_EQ(counter, THREADS * rounds(2000));
}

/* In turn: each waits for the others. */
static void *takes_turns(void *arg)
{
	unsigned long n = rounds(300);

	for (unsigned long i = 0; i < n; i++) {
		pthread_mutex_lock(&mutex);
		while (turn != (int)(long)arg)
			pthread_cond_wait(&cond, &mutex);
		counter = counter * 3 + (uint64_t)arg;
		turn = (turn + 1) % THREADS;
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

static void conditions(void)
{
	uint64_t want = 0;

	REQUIRE(!pthread_mutex_init(&mutex, NULL));
	threads_do(takes_turns);
	for (unsigned long i = 0; i < rounds(300) * THREADS; i++)
		want = want * 3 + i % THREADS;
	CHECK_EQ(counter, want);
}

static uint64_t slots[THREADS];

static void *steps(void *arg)
{
	unsigned long n = rounds(300);
	long self = (long)arg;

	for (unsigned long i = 1; i <= n; i++) {
		slots[self] = i;
		pthread_barrier_wait(&barrier);
		for (int k = 0; k < THREADS; k++)
			CHECK_EQ(__atomic_load_n(&slots[k], __ATOMIC_RELAXED), i);
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

static void barriers(void)
{
	REQUIRE(!pthread_barrier_init(&barrier, NULL, THREADS));
	threads_do(steps);
}

const struct part cancel_parts[] = {
	{ "cancel_deferred", "pthread_cancel() of a thread in read()", cancel_deferred },
	{ "cancel_async", "of one that computes", cancel_async },
	{ "cancel_disabled", "of one that does not want it yet", cancel_disabled },
	{ "robust_mutex", "their owner dies: thread, process, execve()", robust_mutex },
	{ "pi_mutex", "a mutex with priority inheritance", pi_mutex },
	{ "conditions", "condition variables, in turn", conditions },
	{ "barriers", "barriers", barriers },
	{ NULL, NULL, NULL },
};
