// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Huge pages of both kinds, and memory that is locked. */
#include "abi.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif
#define HUGE		(2ul << 20)
#define POOL		"/proc/sys/vm/nr_hugepages"
#define POOL_FREE	"/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"
#define POOL_RESERVED	"/sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages"
#define READ_WRITE	(PROT_READ | PROT_WRITE)

/* --- hugetlbfs --- */

static long pool_before = -1;

static bool pool_set(long nr)
{
	FILE *f = fopen(POOL, "w");
	bool ok = f && fprintf(f, "%ld\n", nr) > 0;

	return f && !fclose(f) && ok;
}

static void pool_restore(void)
{
	if (pool_before >= 0)
		pool_set(pool_before);
}

/* Pages that nobody has reserved. */
static long pool_left(void)
{
	return number_in(POOL_FREE) - number_in(POOL_RESERVED);
}

static void pool_grow(long nr)
{
	long before = number_in(POOL);

	if (before < 0 || pool_left() < 0)
		SKIP("no huge pages of 2 MiB");
	pool_before = before;
	atexit(pool_restore);
	if (!pool_set(before + nr) || pool_left() < nr) {
		pool_restore();
		SKIP("Linux gives no huge pages");
	}
}

static char *map_huge(size_t nr, int flags)
{
	char *p = mmap(NULL, nr * HUGE, READ_WRITE, MAP_ANONYMOUS | MAP_HUGETLB | flags, -1, 0);

	REQUIRE(p != MAP_FAILED);
	return p;
}

/* Words at both ends of each huge page, and in the middle. */
static void stamp(char *p, size_t nr, uint64_t seed)
{
	for (size_t i = 0; i < nr; i++)
		for (size_t at = 0; at <= HUGE; at += HUGE / 2 - 4)
			*(uint64_t *)(p + i * HUGE + (at & -8ul)) = seed + i;
}

static bool stamped(const char *p, size_t nr, uint64_t seed)
{
	for (size_t i = 0; i < nr; i++)
		for (size_t at = 0; at <= HUGE; at += HUGE / 2 - 4)
			if (*(uint64_t *)(p + i * HUGE + (at & -8ul)) != seed + i)
				return false;
	return true;
}

static int to_child[2], to_parent[2];

static void token(const int *fds)
{
	CHECK_EQ(write(fds[1], "t", 1), 1);
}

static void wait_token(const int *fds)
{
	char c;

	CHECK_EQ(read(fds[0], &c, 1), 1);
}

/* Parent and child write in turn. */
static void copied(char *p, size_t nr, bool shared)
{
	pid_t pid;

	REQUIRE(!pipe(to_child) && !pipe(to_parent));
	stamp(p, nr, 100);
	fflush(stdout);
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		check_failures = 0;
		CHECK(stamped(p, nr, 100));
		token(to_parent);
		wait_token(to_child);
		CHECK(stamped(p, nr, shared ? 200 : 100));
		stamp(p, nr, 300);
		token(to_parent);
		wait_token(to_child);
		CHECK(stamped(p, nr, 300));
		fflush(stdout);
		_exit(check_failures != 0);
	}
	wait_token(to_parent);
	stamp(p, nr, 200);
	token(to_child);
	wait_token(to_parent);
	CHECK(stamped(p, nr, shared ? 300 : 200));
	token(to_child);
	CHECK_EQ(wait_status(pid), 0);
}

static void hugetlb(void)
{
	char *p, *q, *area;

	pool_grow(6);
	p = map_huge(2, MAP_PRIVATE);
	CHECK_EQ(smaps(p, "KernelPageSize"), 2048);
	copied(p, 2, false);
	q = map_huge(2, MAP_SHARED);
	copied(q, 2, true);
	CHECK_EQ(mprotect(p + HUGE, HUGE, PROT_READ), 0);
	CHECK_EQ(fault_code(p + HUGE + 5 * PAGE, WRITE), SEGV_ACCERR);
	CHECK_EQ(fault_code(p + HUGE + 5 * PAGE, READ), 0);
	CHECK_EQ(fault_code(p + 5 * PAGE, WRITE), 0);
	CHECK_EQ(mprotect(p + HUGE, HUGE, READ_WRITE), 0);
	stamp(p, 2, 400);
	CHECK_ERRNO(munmap(p + PAGE, PAGE), EINVAL);
	area = map_any(4 * HUGE, PROT_NONE, MAP_NORESERVE);
	area = (char *)(((uint64_t)area + HUGE - 1) & -HUGE);
	/* mprotect() has made two mappings of it. */
	for (size_t at = 0; at < 2 * HUGE; at += HUGE)
		REQUIRE(mremap(p + at, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, area + at) ==
			area + at);
	CHECK(stamped(area, 2, 400));
	CHECK_EQ(fault_code(p + HUGE, READ), SEGV_MAPERR);
	CHECK_EQ(munmap(area, HUGE), 0);
	CHECK_EQ(fault_code(area + 5, WRITE), SEGV_MAPERR);
	CHECK(stamped(area + HUGE, 1, 401));
	CHECK_EQ(munmap(area + HUGE, HUGE), 0);
	CHECK_EQ(munmap(q, 2 * HUGE), 0);
}

static void hugetlb_file(void)
{
	int fd = memfd_create("huge", MFD_HUGETLB | MFD_CLOEXEC);
	char *one, *two;

	if (fd < 0)
		SKIP("no hugetlbfs");
	pool_grow(4);
	REQUIRE(!ftruncate(fd, 3 * HUGE));
	one = mmap(NULL, 3 * HUGE, READ_WRITE, MAP_SHARED, fd, 0);
	two = mmap(NULL, 3 * HUGE, PROT_READ, MAP_SHARED, fd, 0);
	REQUIRE(one != MAP_FAILED && two != MAP_FAILED);
	for (uint64_t i = 0; i < 3; i++) {
		stamp(one, 3, 500 + i);
		CHECK(stamped(two, 3, 500 + i));
		CHECK_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, HUGE, HUGE), 0);
		CHECK_EQ(*(uint64_t *)(two + HUGE), 0);
		CHECK_EQ(*(uint64_t *)(one + 2 * HUGE - 8), 0);
		CHECK(stamped(two, 1, 500 + i) && stamped(one + 2 * HUGE, 1, 502 + i));
	}
	CHECK_EQ(ftruncate(fd, HUGE), 0);
	CHECK_EQ(fault_code(one + HUGE, WRITE), BUS_ADRERR);
	CHECK_EQ(fault_signal, SIGBUS);
	CHECK_EQ(fault_code(two + 3 * HUGE - 1, READ), BUS_ADRERR);
	CHECK_EQ(fault_code(one + PAGE, WRITE), 0);
	munmap(one, 3 * HUGE);
	munmap(two, 3 * HUGE);
	close(fd);
}

/* SIGBUS is for who touches more than there are. */
static void hugetlb_none(void)
{
	long left;
	char *p;

	pool_grow(2);
	left = pool_left();
	if (left > 8)
		SKIP("too many huge pages");
	p = map_huge(left + 1, MAP_PRIVATE | MAP_NORESERVE);
	for (long i = 0; i < left; i++)
		CHECK_EQ(fault_code(p + i * HUGE, WRITE), 0);
	CHECK_EQ(fault_code(p + left * HUGE, WRITE), BUS_ADRERR);
	CHECK_EQ(fault_signal, SIGBUS);
	CHECK_EQ(munmap(p, HUGE), 0);
	CHECK_EQ(fault_code(p + left * HUGE, WRITE), 0);
	munmap(p + HUGE, left * HUGE);
}

/* --- transparent ones --- */

#define SHOWN	64
#define STEP	(2 * HUGE / SHOWN)

static char *shown;
static volatile int stop, passes, gone_page = -1;
static uint64_t written[SHOWN];

/* A stamp that stays, and a counter of this thread. */
static void *looks(void *arg)
{
	while (!stop) {
		for (int i = 0; i < SHOWN; i++) {
			uint64_t *word = (uint64_t *)(shown + i * STEP);

			if (i == gone_page)
				continue;
			CHECK_EQ(word[0], 1000 + i);
			CHECK_EQ(word[1], written[i]);
			word[1] = ++written[i];
		}
		passes++;
		sched_yield();
	}
	return NULL;
}

static void let_look(void)
{
	wait_above(&passes, passes + 1);
}

static void collapse(void)
{
	bool could = !madvise(shown, 2 * HUGE, MADV_COLLAPSE);

	if (could)
		CHECK(smaps(shown, "AnonHugePages") > 0);
	let_look();
}

static void transparent(void)
{
	char *raw = map_any(3 * HUGE, READ_WRITE, 0);
	pthread_t thread;

	shown = (char *)(((uint64_t)raw + HUGE - 1) & -HUGE);
	/* Small pages first. */
	madvise(raw, 3 * HUGE, MADV_NOHUGEPAGE);
	for (int i = 0; i < SHOWN; i++)
		*(uint64_t *)(shown + i * STEP) = 1000 + i;
	REQUIRE(!pthread_create(&thread, NULL, looks, NULL));
	madvise(raw, 3 * HUGE, MADV_HUGEPAGE);
	let_look();
	collapse();
	/* Split by rights, of a page that the other thread does not use; and back. */
	CHECK_EQ(mprotect(shown + 5 * PAGE, PAGE, PROT_READ), 0);
	let_look();
	CHECK_EQ(mprotect(shown + 5 * PAGE, PAGE, READ_WRITE), 0);
	collapse();
	/* By a hole. */
	CHECK_EQ(madvise(shown + HUGE + 5 * PAGE, PAGE, MADV_DONTNEED), 0);
	CHECK_EQ(shown[HUGE + 5 * PAGE], 0);
	collapse();
	/* By an end. */
	gone_page = SHOWN - 1;
	let_look();
	CHECK_EQ(munmap(shown + gone_page * STEP, STEP), 0);
	CHECK_EQ(fault_code(shown + gone_page * STEP, READ), SEGV_MAPERR);
	let_look();
	stop = 1;
	CHECK_EQ(pthread_join(thread, NULL), 0);
	for (int i = 0; i < SHOWN - 1; i++)
		CHECK_EQ(*(uint64_t *)(shown + i * STEP + 8), written[i]);
}

static void transparent_copied(void)
{
	char *raw = map_any(3 * HUGE, READ_WRITE, 0);
	char *p = (char *)(((uint64_t)raw + HUGE - 1) & -HUGE);

	madvise(raw, 3 * HUGE, MADV_HUGEPAGE);
	copied(p, 2, false);
}

const struct part pages_parts[] = {
	{ "hugetlb", "MAP_HUGETLB: fork, rights, mremap()", hugetlb },
	{ "hugetlb_file", "MFD_HUGETLB: a hole, truncation", hugetlb_file },
	{ "hugetlb_none", "MAP_HUGETLB without pages", hugetlb_none },
	{ "thp", "MADV_COLLAPSE and splitting while another thread looks", transparent },
	{ "thp_fork", "large pages and fork()", transparent_copied },
	{ NULL, NULL, NULL },
};
