// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Threads, as libc makes them. */
#include "abi.h"

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

static __thread uint64_t initial = 0x1122334455667788, zero;
static __thread char aligned[64] __attribute__((aligned(64)));
static __thread struct { char bytes[3000]; } large;

static void own(uint64_t seed)
{
	CHECK_EQ(initial, 0x1122334455667788);
	CHECK_EQ(zero, 0);
	CHECK_EQ((uint64_t)aligned % 64, 0);
	for (unsigned int i = 0; i < sizeof(large.bytes); i++)
		CHECK_EQ(large.bytes[i], 0);
	initial = seed;
	zero = ~seed;
	memset(aligned, (int)seed, sizeof(aligned));
	memset(large.bytes, (int)seed + 1, sizeof(large.bytes));
	errno = (int)seed;
}

static void still(uint64_t seed)
{
	CHECK_EQ(errno, (int)seed);
	CHECK_EQ(initial, seed);
	CHECK_EQ(zero, ~seed);
	CHECK_EQ(aligned[63], (char)seed);
	CHECK_EQ(large.bytes[2999], (char)(seed + 1));
}

static pthread_key_t key;
static volatile int destroyed;
static volatile uint64_t destroyed_sum;

static void destroy(void *value)
{
	__atomic_add_fetch(&destroyed, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&destroyed_sum, (uint64_t)value, __ATOMIC_RELAXED);
}

static void *tls_thread(void *arg)
{
	uint64_t seed = (uint64_t)arg;

	own(seed);
	CHECK_EQ(pthread_setspecific(key, arg), 0);
	for (int i = 0; i < 50; i++) {
		sched_yield();
		still(seed);
	}
	CHECK_EQ((uint64_t)pthread_getspecific(key), seed);
	return (void *)(seed * 3);
}

#define MANY	16

static void tls(void)
{
	pthread_t threads[MANY];
	void *value;

	REQUIRE(!pthread_key_create(&key, destroy));
	own(100);
	for (uint64_t i = 0; i < MANY; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, tls_thread, (void *)(i + 1)));
	for (uint64_t i = 0; i < MANY; i++) {
		CHECK_EQ(pthread_join(threads[i], &value), 0);
		CHECK_EQ((uint64_t)value, (i + 1) * 3);
	}
	still(100);
	CHECK_EQ(destroyed, MANY);
	CHECK_EQ(destroyed_sum, MANY * (MANY + 1) / 2);
}

/* --- a thousand alive at once --- */

static pthread_barrier_t all_here;
static uint64_t sum;
static int tids[5000];

static void *alive(void *arg)
{
	uint64_t n = (uint64_t)arg;

	zero = n;
	tids[n] = gettid();
	pthread_barrier_wait(&all_here);
	CHECK_EQ(zero, n);
	CHECK_EQ(tids[n], gettid());
	__atomic_add_fetch(&sum, n, __ATOMIC_RELAXED);
	pthread_barrier_wait(&all_here);
	return arg;
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void threads1000(void)
{
	unsigned long n = rounds(1000), made;
	pthread_t *threads = calloc(n, sizeof(*threads));
	pthread_attr_t attr;
	void *value;

	REQUIRE(threads && n <= 4000 && !pthread_attr_init(&attr));
	pthread_attr_setstacksize(&attr, 64 << 10);
	REQUIRE(!pthread_barrier_init(&all_here, NULL, n + 1));
	for (made = 0; made < n; made++) {
		int err = pthread_create(&threads[made], &attr, alive, (void *)made);

		if (err) {
			FAIL("thread %lu: error %d", made, err);
			exit(1);
		}
	}
	pthread_barrier_wait(&all_here);
	CHECK_EQ(proc_status("Threads"), n + 1);
	pthread_barrier_wait(&all_here);
	for (unsigned long i = 0; i < n; i++) {
		CHECK_EQ(pthread_join(threads[i], &value), 0);
		CHECK_EQ((uint64_t)value, i);
	}
	CHECK_EQ(sum, n * (n - 1) / 2);
	qsort(tids, n, sizeof(*tids), compare);
	for (unsigned long i = 1; i < n; i++)
		CHECK(tids[i] != tids[i - 1]);
	/* The last one is gone a moment after it was joined. */
	for (int i = 0; i < 1000 && proc_status("Threads") != 1; i++)
		sched_yield();
	CHECK_EQ(proc_status("Threads"), 1);
}

/* --- one after the other --- */

static volatile int gone;

static void *detached_thread(void *arg)
{
	CHECK_EQ(zero, 0);
	zero = 1;
	__atomic_add_fetch(&gone, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void detached_many(int n)
{
	pthread_attr_t attr;
	pthread_t thread;
	int before = gone;

	REQUIRE(!pthread_attr_init(&attr));
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (int i = 1; i <= n; i++) {
		REQUIRE(!pthread_create(&thread, &attr, detached_thread, NULL));
		wait_for(&gone, before + i);
	}
	for (int i = 0; i < 100000 && proc_status("Threads") != 1; i++)
		sched_yield();
	CHECK_EQ(proc_status("Threads"), 1);
}

static long nr_maps(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	long n = 0;
	int c;

	REQUIRE(f);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

static void detached(void)
{
	int n = (int)rounds(3000);
	long size, maps, rss;

	detached_many(200);
	size = proc_status("VmSize");
	rss = proc_status("VmRSS");
	maps = nr_maps();
	detached_many(n);
	/* A few stacks more in a cache; nothing for each thread. */
	CHECK(proc_status("VmSize") <= size + 80 * 1024);
	CHECK(proc_status("VmRSS") <= rss + 2048);
	CHECK(nr_maps() <= maps + 20);
	CHECK_EQ(gone, n + 200);
}

/* --- the first thread ends first --- */

static volatile int first_gone;

static void *stays(void *arg)
{
	struct timespec moment = { 0, 5000000 };
	char path[64], state;
	FILE *f;

	/* Up to when Linux shows the first thread as a zombie. */
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", getpid());
	for (int i = 0; i < 2000 && !first_gone; i++) {
		f = fopen(path, "r");
		if (f && fscanf(f, "%*d (%*[^)]) %c", &state) == 1)
			first_gone = state == 'Z';
		if (f)
			fclose(f);
		nanosleep(&moment, NULL);
	}
	CHECK_EQ(first_gone, 1);
	CHECK_EQ(*(uint64_t *)arg, 42);
	exit(check_failures ? 1 : 17);
}

static void first_ends(void *arg)
{
	uint64_t *value = malloc(8);
	pthread_t thread;

	*value = 42;
	REQUIRE(!pthread_create(&thread, NULL, stays, value));
	pthread_exit(NULL);
}

static void main_exit(void)
{
	CHECK_EQ(status_of(first_ends, NULL), 17 << 8);
}

/* All end by pthread_exit(): the process ends with 0. */
static void *just_ends(void *arg)
{
	sched_yield();
	return NULL;
}

static void all_exit_child(void *arg)
{
	pthread_t thread;

	for (int i = 0; i < 3; i++)
		REQUIRE(!pthread_create(&thread, NULL, just_ends, NULL));
	pthread_exit(NULL);
}

static void all_exit(void)
{
	for (int i = 0; i < 5; i++)
		CHECK_EQ(status_of(all_exit_child, NULL), 0);
}

/* exit() in one, while others run. */
static void *runs_on(void *arg)
{
	for (;;)
		if ((long)arg & 1)
			syscall(SYS_getppid);
	return NULL;
}

static void *exits(void *arg)
{
	exit(29);
}

static void exit_child(void *arg)
{
	pthread_t thread;

	for (long i = 0; i < 4; i++)
		REQUIRE(!pthread_create(&thread, NULL, runs_on, (void *)i));
	REQUIRE(!pthread_create(&thread, NULL, exits, NULL));
	for (;;)
		pause();
}

static void exit_thread(void)
{
	for (int i = 0; i < 5; i++)
		CHECK_EQ(status_of(exit_child, NULL), 29 << 8);
}

const struct part tls_parts[] = {
	{ "tls", "__thread and keys, in the first thread and in others", tls },
	{ "threads1000", "a thousand threads alive at once", threads1000 },
	{ "detached", "detached threads one after the other leave nothing", detached },
	{ "main_exit", "pthread_exit() of the first thread while another runs", main_exit },
	{ "all_exit", "all threads end by pthread_exit()", all_exit },
	{ "exit_thread", "exit() in one thread while others run", exit_thread },
	{ NULL, NULL, NULL },
};
