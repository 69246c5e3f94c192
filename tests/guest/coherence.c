// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The guest's view of memory follows the process's: readers and writers run
 * in Dune mode while another thread changes the mappings under them.
 *
 * Stale reads: the mutator puts a rising stamp into the page, takes the page
 * away, and only then publishes `gone = stamp`. Who reads `gone` first and the
 * page afterwards must find a newer stamp, or the zero of a fresh page.
 * Stale writes: while the page is taken away, its old frame (kept through
 * another mapping, or reused by a fresh page) must not change any more.
 *
 * A worker that touches a page while it is gone gets SIGSEGV; the handler
 * yields and returns, which retries the access.
 */
#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define PAGE 4096ul
#define POISON 0xdeadbeefdeadbeefull

static char *area;		/* where the victim page lives */
static size_t area_size = 2ul << 20;
static volatile uint64_t gone;
static volatile int stop, ready;
static volatile uint64_t segv_count;
#define MAX_READERS 64
/* The last stamp each reader saw; a line of its own each. */
static struct {
	volatile uint64_t stamp;
	char pad[56];
} seen[MAX_READERS];
static int nr_readers;

static void on_segv(int sig, siginfo_t *info, void *ucontext)
{
	char *addr = info->si_addr;

	if (addr < area || addr >= area + area_size) {
		static const char text[] = "SIGSEGV at an address that is not under test\n";

		if (write(1, text, sizeof(text) - 1) < 0)
			_exit(3);
		_exit(3);
	}
	__atomic_add_fetch(&segv_count, 1, __ATOMIC_RELAXED);
	sched_yield();
}

static volatile uint64_t *slot_of(long i)
{
	return (volatile uint64_t *)(area + (i % 4) * 8 * PAGE);
}

/* ---- workers ---- */

static void reader(int index, void *arg)
{
	uint64_t stale = 0, reads = 0;

	__atomic_add_fetch(&ready, 1, __ATOMIC_RELEASE);
	while (!stop) {
		uint64_t before = __atomic_load_n(&gone, __ATOMIC_ACQUIRE);
		uint64_t value = *slot_of(0);

		reads++;
		seen[index].stamp = value;
		if (value != 0 && value <= before && stale++ < 3)
			FAIL("read stamp %llu after %llu was gone",
			     (unsigned long long)value, (unsigned long long)before);
	}
	CHECK(reads > 0);
	CHECK_EQ(stale, 0);
}

/* Writes rising values with its index in the top byte, and reads them back. */
static volatile uint64_t written;

static void writer(int index, void *arg)
{
	uint64_t n = 0;

	__atomic_add_fetch(&ready, 1, __ATOMIC_RELEASE);
	while (!stop) {
		*slot_of(1) = ++n;
		__atomic_store_n(&written, n, __ATOMIC_RELEASE);
	}
}

/* Start readers or a writer, run mutate(i) `rounds` times, stop. */
struct squad {
	thread_fn fn;
	int n;
};

static void *squad_main(void *arg)
{
	struct squad *squad = arg;

	run_threads(squad->n, squad->fn, NULL);
	return NULL;
}

static void against(thread_fn fn, int n, void (*mutate)(long), long rounds)
{
	struct squad squad = { fn, n };
	pthread_t thread;

	stop = 0;
	ready = 0;
	gone = 0;
	written = 0;
	segv_count = 0;
	nr_readers = n;
	memset(seen, 0, sizeof(seen));
	REQUIRE(mmap(area, area_size, PROT_READ | PROT_WRITE,
		     MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == area);
	madvise(area, area_size, MADV_NOHUGEPAGE);
	REQUIRE(pthread_create(&thread, NULL, squad_main, &squad) == 0);
	if (wait_for(&ready, n, 30))
		for (long i = 1; i <= rounds && !stop; i++)
			mutate(i);
	stop = 1;
	pthread_join(thread, NULL);
}

/* ---- mutators for readers: stamp, be seen, take away, publish ---- */

/*
 * The stamp is in the page: readers must come to see it, each in its turn. A
 * reader whose translation still leads to an older frame never does.
 */
static void be_seen(uint64_t stamp)
{
	int reader = stamp % nr_readers;
	uint64_t end = deadline(20);

	while (seen[reader].stamp < stamp) {
		if (stop || now_ns() > end) {
			if (!stop)
				FAIL("reader %d still sees %llu, not stamp %llu",
				     reader, (unsigned long long)seen[reader].stamp,
				     (unsigned long long)stamp);
			stop = 1;
			return;
		}
		sched_yield();
	}
}

static void by_dontneed(long i)
{
	*slot_of(0) = i;
	be_seen(i);
	CHECK_EQ(madvise((void *)slot_of(0), PAGE, MADV_DONTNEED), 0);
	gone = i;
	spin(2000);
}

static void by_munmap(long i)
{
	void *p = (void *)slot_of(0);

	*slot_of(0) = i;
	be_seen(i);
	CHECK_EQ(munmap(p, PAGE), 0);
	gone = i;
	spin(1000);
	REQUIRE(mmap(p, PAGE, PROT_READ | PROT_WRITE,
		     MAP_FIXED_NOREPLACE | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == p);
	spin(1000);
}

static void by_mmap_over(long i)
{
	void *p = (void *)slot_of(0);

	*slot_of(0) = i;
	be_seen(i);
	REQUIRE(mmap(p, PAGE, PROT_READ | PROT_WRITE,
		     MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == p);
	gone = i;
	spin(2000);
}

static void by_mremap(long i)
{
	static char *other;
	void *p = (void *)slot_of(0);
	char *moved;

	if (!other)
		other = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	*slot_of(0) = i;
	be_seen(i);
	moved = mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, other);
	REQUIRE(moved == other);
	gone = i;
	CHECK_EQ(*(uint64_t *)moved, i);
	*(uint64_t *)moved = 0;
	spin(1000);
	/* Back again, with a newer stamp in it. */
	*(uint64_t *)moved = i + 1;
	REQUIRE(mremap(moved, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p) == p);
	REQUIRE(mmap(other, PAGE, PROT_READ | PROT_WRITE,
		     MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == other);
}

/* ---- mutators for the writer ---- */

/* The value must not change while nobody may write. */
static void expect_frozen(volatile uint64_t *p, const char *how)
{
	uint64_t first = *p;

	for (int k = 0; k < 20; k++) {
		spin(1500);
		if (*p != first) {
			FAIL("%s: written while no one may: %llu, then %llu", how,
			     (unsigned long long)first, (unsigned long long)*p);
			return;
		}
	}
}

/* After the pause the writer goes on and nothing was lost. */
static void expect_progress(void)
{
	uint64_t from = written, end = deadline(20);

	while (written < from + 2) {
		if (now_ns() > end) {
			FAIL("the writer made no progress in 20 s");
			return;
		}
		sched_yield();
	}
}

static void by_mprotect(long i)
{
	uint64_t after;

	CHECK_EQ(mprotect((void *)slot_of(1), PAGE, PROT_READ), 0);
	after = written;
	expect_frozen(slot_of(1), "mprotect");
	/* All completed writes are there, and at most one more. */
	CHECK_IN(*slot_of(1), after, after + 1);
	CHECK_EQ(mprotect((void *)slot_of(1), PAGE, PROT_READ | PROT_WRITE), 0);
	expect_progress();
}

static void by_prot_none(long i)
{
	uint64_t after;

	CHECK_EQ(mprotect((void *)slot_of(1), PAGE, PROT_NONE), 0);
	after = written;
	spin(20000);
	CHECK_IN(written, after, after + 1);
	CHECK_EQ(mprotect((void *)slot_of(1), PAGE, PROT_READ | PROT_WRITE), 0);
	expect_progress();
}

static void by_moving_away(long i)
{
	static char *other;
	void *p = (void *)slot_of(1);

	if (!other)
		other = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, other) ==
		other);
	expect_frozen((volatile uint64_t *)other, "mremap");
	CHECK_IN(*(uint64_t *)other, written, written + 1);
	REQUIRE(mremap(other, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p) == p);
	REQUIRE(mmap(other, PAGE, PROT_READ | PROT_WRITE,
		     MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == other);
	expect_progress();
}

/* The freed frame is likely to come back as one of the next pages. */
static void by_reuse(long i)
{
	enum { N = 8 };
	char *fresh = mmap(NULL, N * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool bad = false;

	REQUIRE(fresh != MAP_FAILED);
	madvise(fresh, N * PAGE, MADV_NOHUGEPAGE);
	CHECK_EQ(mprotect((void *)slot_of(1), PAGE, PROT_NONE), 0);
	CHECK_EQ(madvise((void *)slot_of(1), PAGE, MADV_DONTNEED), 0);
	for (int k = 0; k < N; k++)
		for (size_t j = 0; j < PAGE / 8; j++)
			((uint64_t *)(fresh + k * PAGE))[j] = POISON;
	spin(5000);
	for (int k = 0; k < N; k++)
		for (size_t j = 0; j < PAGE / 8; j++)
			bad |= ((volatile uint64_t *)(fresh + k * PAGE))[j] != POISON;
	CHECK(!bad);
	CHECK_EQ(mprotect((void *)slot_of(1), PAGE, PROT_READ | PROT_WRITE), 0);
	munmap(fresh, N * PAGE);
	expect_progress();
}

/* The child's copy is what it was at the fork, whatever the parent writes. */
static void by_fork(long i)
{
	uint64_t low = written, high;
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		volatile uint64_t *p = slot_of(1);
		uint64_t first = *p;

		for (int k = 0; k < 20; k++) {
			spin(3000);
			if (*p != first)
				_exit(1);
		}
		if (first < low)
			_exit(2);
		*p = POISON;	/* and the parent's is its own */
		_exit(0);
	}
	REQUIRE(pid > 0);
	expect_progress();
	REQUIRE(waitpid(pid, &status, 0) == pid);
	if (status == 1 << 8)
		FAIL("the parent's writes are seen by the forked child");
	else
		CHECK_EQ(status, 0);
	expect_progress();
	high = written;
	CHECK(*slot_of(1) >= low && *slot_of(1) != POISON);
	CHECK(high >= low);
}

#define PART(name, fn, n, divisor)                                         \
	static void part_##name(void)                                            \
	{                                                                  \
		long rounds = opt.rounds / (divisor);                      \
									   \
		against(fn, n, by_##name, rounds ? rounds : 1);            \
	}

/* Two pages on both sides of a 1 GiB border, taken away by one call. */
static void by_border(long i)
{
	char *first = area;

	*slot_of(0) = i;
	be_seen(i);
	REQUIRE(munmap(first - PAGE, 2 * PAGE) == 0);
	gone = i;
	spin(1000);
	REQUIRE(mmap(first - PAGE, 2 * PAGE, PROT_READ | PROT_WRITE,
		     MAP_FIXED_NOREPLACE | MAP_PRIVATE | MAP_ANONYMOUS, -1,
		     0) == first - PAGE);
}

PART(dontneed, reader, opt.threads, 1)
PART(munmap, reader, opt.threads, 1)
PART(mmap_over, reader, opt.threads, 1)
PART(mremap, reader, opt.threads, 1)
PART(mprotect, writer, 1, 4)
PART(prot_none, writer, 1, 4)
PART(moving_away, writer, 1, 4)
PART(reuse, writer, 1, 4)
PART(fork, writer, 1, 10)

static void part_border(void)
{
	const size_t gib = 1ul << 30;
	char *old = area, *reserved;
	long rounds = opt.rounds / 4;

	reserved = mmap(NULL, 2 * gib, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	REQUIRE(reserved != MAP_FAILED);
	area = (char *)(((uintptr_t)reserved + gib) & ~(gib - 1));
	REQUIRE(mprotect(area - PAGE, PAGE, PROT_READ | PROT_WRITE) == 0);
	against(reader, opt.threads, by_border, rounds ? rounds : 1);
	munmap(reserved, 2 * gib);
	area = old;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO };

	test_start(argc, argv, (struct test_opts){ .rounds = 200, .threads = 3 });
	REQUIRE(opt.threads <= MAX_READERS);
	REQUIRE(sigaction(SIGSEGV, &sa, NULL) == 0);
	area = mmap(NULL, area_size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(area != MAP_FAILED);
	test_part("dontneed", part_dontneed);
	test_part("munmap", part_munmap);
	test_part("mmap_over", part_mmap_over);
	test_part("mremap", part_mremap);
	test_part("mprotect", part_mprotect);
	test_part("prot_none", part_prot_none);
	test_part("moving_away", part_moving_away);
	test_part("reuse", part_reuse);
	test_part("fork", part_fork);
	test_part("border", part_border);
	return test_end();
}
