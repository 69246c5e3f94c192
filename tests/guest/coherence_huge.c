// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * As coherence.c, for large pages, files and pages the kernel moves by itself:
 * THP split and collapse, holes punched into a shared file, page-out of file
 * pages, compaction. Writers in Dune mode own a set of pages each, write a
 * rising stamp to one page after the other and read all of them back: a lost
 * write or a stale page shows as a stamp that went back.
 */
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define PAGE 4096ul
#define HUGE (2ul << 20)
#define MAX_THREADS 16

static char *area;
static size_t area_size;
static volatile int stop, ready;
static bool may_vanish;		/* pages may become zero at any time */
static volatile uint64_t laps[MAX_THREADS];

/* Thread t of n owns the odd pages p with p / 2 % n == t. */
static volatile uint64_t *own_page(int t, long k)
{
	long p = 2 * (k * opt.threads + t) + 1;

	return (volatile uint64_t *)(area + p * PAGE + 64 * (p & 31));
}

static void writer(int t, void *arg)
{
	long n = area_size / PAGE / 2 / opt.threads;
	uint64_t bad = 0;

	__atomic_add_fetch(&ready, 1, __ATOMIC_RELEASE);
	for (uint64_t lap = 1; !stop; lap++) {
		for (long k = 0; k < n; k++) {
			volatile uint64_t *p = own_page(t, k);
			uint64_t old = *p;

			if (old != lap - 1 && !(may_vanish && old == 0) && bad++ < 3)
				FAIL("thread %d page %ld: stamp %llu, want %llu",
				     t, k, (unsigned long long)old,
				     (unsigned long long)lap - 1);
			*p = lap;
		}
		laps[t] = lap;
	}
	CHECK_EQ(bad, 0);
}

static void *squad_main(void *arg)
{
	run_threads(opt.threads, writer, NULL);
	return NULL;
}

/* Let every writer finish a lap that began after now. */
static void full_lap(void)
{
	uint64_t end = deadline(60);

	for (int t = 0; t < opt.threads; t++) {
		uint64_t from = laps[t];

		while (laps[t] < from + 2) {
			if (now_ns() > end) {
				FAIL("writer %d made no progress in 60 s", t);
				return;
			}
			sched_yield();
		}
	}
}

static void against(void (*mutate)(long), long rounds)
{
	pthread_t thread;

	stop = 0;
	ready = 0;
	for (int t = 0; t < opt.threads; t++)
		laps[t] = 0;
	REQUIRE(pthread_create(&thread, NULL, squad_main, NULL) == 0);
	if (wait_for(&ready, opt.threads, 30))
		for (long i = 1; i <= rounds; i++)
			mutate(i);
	stop = 1;
	pthread_join(thread, NULL);
}

static char *map_huge(size_t size)
{
	char *p = mmap(NULL, size + HUGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	REQUIRE(p != MAP_FAILED);
	p = (char *)(((uintptr_t)p + HUGE - 1) & ~(HUGE - 1));
	madvise(p, size, MADV_HUGEPAGE);
	memset(p, 0, size);
	return p;
}

/* Even pages belong to the mutator: pull them out of a large page. */
static void split_dontneed(long i)
{
	char *p = area + (i * 37 % (area_size / PAGE / 2)) * 2 * PAGE;

	memset(p, 0x55, PAGE);
	CHECK_EQ(madvise(p, PAGE, MADV_DONTNEED), 0);
	CHECK_EQ(*(volatile uint64_t *)p, 0);
	if (i % 20 == 0) {
		/* Where the kernel can, make it large again. */
		madvise(area, area_size, MADV_COLLAPSE);
		full_lap();
	}
}

static void split_munmap(long i)
{
	char *p = area + (i * 41 % (area_size / PAGE / 2)) * 2 * PAGE;

	CHECK_EQ(munmap(p, PAGE), 0);
	REQUIRE(mmap(p, PAGE, PROT_READ | PROT_WRITE,
		     MAP_FIXED_NOREPLACE | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == p);
	memset(p, 0x66, PAGE);
	if (i % 20 == 0) {
		madvise(area, area_size, MADV_COLLAPSE);
		full_lap();
	}
}

static void split_mprotect(long i)
{
	char *p = area + (i * 43 % (area_size / PAGE / 2)) * 2 * PAGE;

	CHECK_EQ(mprotect(p, PAGE, PROT_READ), 0);
	spin(1000);
	CHECK_EQ(mprotect(p, PAGE, PROT_READ | PROT_WRITE), 0);
	if (i % 20 == 0)
		full_lap();
}

static void on_huge(void (*mutate)(long))
{
	area_size = 2 * HUGE;
	area = map_huge(area_size);
	may_vanish = false;
	against(mutate, opt.rounds);
	munmap(area, area_size);
}

static void thp_dontneed(void)
{
	on_huge(split_dontneed);
}

static void thp_munmap(void)
{
	on_huge(split_munmap);
}

static void thp_mprotect(void)
{
	on_huge(split_mprotect);
}

/* ---- a shared file ---- */

static int file_fd;

static void punch(long i)
{
	long page = i * 7 % (area_size / PAGE);
	volatile uint64_t *mine = (volatile uint64_t *)(area + page * PAGE + 4088);
	char buf[8];

	*mine = i;
	CHECK_EQ(fallocate(file_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			   page * PAGE, PAGE), 0);
	/* Nobody else writes this word: both views must show zero for good. */
	for (int k = 0; k < 5; k++) {
		spin(500);
		CHECK_EQ(*mine, 0);
	}
	CHECK_EQ(pread(file_fd, buf, 8, page * PAGE + 4088), 8);
	CHECK_EQ(*(uint64_t *)buf, 0);
}

static void punch_hole(void)
{
	area_size = 1ul << 20;
	file_fd = memfd_create("dune-test", MFD_CLOEXEC);
	REQUIRE(file_fd >= 0 && ftruncate(file_fd, area_size) == 0);
	area = mmap(NULL, area_size, PROT_READ | PROT_WRITE, MAP_SHARED, file_fd, 0);
	REQUIRE(area != MAP_FAILED);
	may_vanish = true;
	against(punch, opt.rounds);
	munmap(area, area_size);
	close(file_fd);
}

/* What one side writes through the file the other sees in its mapping. */
static volatile uint64_t wrote;

static void file_reader(int t, void *arg)
{
	__atomic_add_fetch(&ready, 1, __ATOMIC_RELEASE);
	while (!stop) {
		uint64_t low = __atomic_load_n(&wrote, __ATOMIC_ACQUIRE);
		uint64_t value = *(volatile uint64_t *)area;

		if (value < low) {
			FAIL("mapping shows %llu after %llu was written",
			     (unsigned long long)value, (unsigned long long)low);
			break;
		}
	}
}

static void *file_squad(void *arg)
{
	run_threads(opt.threads, file_reader, NULL);
	return NULL;
}

static void file_write(void)
{
	char name[] = "/tmp/dune-test-XXXXXX";
	pthread_t thread;

	file_fd = mkstemp(name);
	REQUIRE(file_fd >= 0);
	unlink(name);
	REQUIRE(ftruncate(file_fd, PAGE) == 0);
	area = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file_fd, 0);
	REQUIRE(area != MAP_FAILED);
	stop = 0;
	ready = 0;
	wrote = 0;
	REQUIRE(pthread_create(&thread, NULL, file_squad, NULL) == 0);
	wait_for(&ready, opt.threads, 30);
	for (uint64_t i = 1; i <= (uint64_t)opt.rounds * 5; i++) {
		CHECK_EQ(pwrite(file_fd, &i, 8, 0), 8);
		__atomic_store_n(&wrote, i, __ATOMIC_RELEASE);
		if (i % 10 == 0)
			madvise(area, PAGE, MADV_PAGEOUT);
	}
	stop = 1;
	pthread_join(thread, NULL);
	munmap(area, PAGE);
	close(file_fd);
}

/* ---- pages the kernel moves ---- */

static void compact(long i)
{
	int fd = open("/proc/sys/vm/compact_memory", O_WRONLY);

	if (fd >= 0) {
		if (write(fd, "1", 1) != 1)
			printf("  compaction is not available\n");
		close(fd);
	}
	madvise(area, area_size, MADV_PAGEOUT);
	full_lap();
}

static void compaction(void)
{
	area_size = 4ul << 20;
	area = mmap(NULL, area_size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(area != MAP_FAILED);
	madvise(area, area_size, MADV_NOHUGEPAGE);
	memset(area, 0, area_size);
	/* Every second page given back: something to compact. */
	for (size_t off = 0; off < area_size; off += 2 * PAGE)
		madvise(area + off, PAGE, MADV_DONTNEED);
	may_vanish = false;
	against(compact, opt.rounds / 20 + 1);
	munmap(area, area_size);
}

int main(int argc, char **argv)
{
	test_start(argc, argv, (struct test_opts){ .rounds = 100, .threads = 2 });
	REQUIRE(opt.threads <= MAX_THREADS);
	test_part("thp_dontneed", thp_dontneed);
	test_part("thp_munmap", thp_munmap);
	test_part("thp_mprotect", thp_mprotect);
	test_part("punch_hole", punch_hole);
	test_part("file_write", file_write);
	test_part("compaction", compaction);
	return test_end();
}
