// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The program's memory as others see it: processes, /proc, protection keys. */
#include "abi.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define READ_WRITE	(PROT_READ | PROT_WRITE)

/* --- another process, of another kind --- */

#define WORDS	8

/* In each process: its own threads count one word, the other process the next. */
struct board {
	volatile uint64_t count[2], from_outside[WORDS];
	volatile int stop, ready;
};

static struct board *board;
static uint64_t seen_outside;

static void *counts(void *arg)
{
	volatile uint64_t *count = &board->count[(long)arg];

	while (!board->stop) {
		for (int i = 0; i < 100; i++)
			++*count;
		sched_yield();
	}
	return NULL;
}

static bool peek(pid_t pid, const volatile void *at, void *to, size_t size)
{
	struct iovec local = { to, size }, remote = { (void *)at, size };

	return process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)size;
}

static bool poke(pid_t pid, volatile void *at, void *from, size_t size)
{
	struct iovec local = { from, size }, remote = { (void *)at, size };

	return process_vm_writev(pid, &local, 1, &remote, 1, 0) == (ssize_t)size;
}

static void counts_go_up(pid_t pid, int mem)
{
	uint64_t last[2] = { 0, 0 }, now[2];
	int moves = 0;

	for (int i = 0; i < 5000000 && moves < 20; i++) {
		if (i & 1)
			CHECK(peek(pid, board->count, now, sizeof(now)));
		else
			CHECK_EQ(pread(mem, now, sizeof(now), (off_t)board->count), sizeof(now));
		CHECK(now[0] >= last[0] && now[1] >= last[1]);
		moves += now[0] > last[0] && now[1] > last[1];
		last[0] = now[0];
		last[1] = now[1];
		sched_yield();
	}
	CHECK_EQ(moves, 20);
}

static void pokes(pid_t pid, int mem)
{
	for (uint64_t i = 1; i <= 16; i++) {
		volatile void *at = &board->from_outside[i % WORDS];
		uint64_t got = 0;

		if (i & 1)
			CHECK(poke(pid, at, &i, 8));
		else
			CHECK_EQ(pwrite(mem, &i, 8, (off_t)at), 8);
		CHECK(peek(pid, at, &got, 8));
		CHECK_EQ(got, i);
	}
}

/* What the other process has to do with this one's memory, and this one itself. */
static void meddle(pid_t other)
{
	char path[64];
	int mem, one = 1;

	snprintf(path, sizeof(path), "/proc/%d/mem", other);
	mem = open(path, O_RDWR | O_CLOEXEC);
	REQUIRE(mem >= 0);
	counts_go_up(other, mem);
	pokes(other, mem);
	CHECK(poke(other, &board->ready, &one, sizeof(one)));
	close(mem);
}

static void side(pid_t other)
{
	pthread_t threads[2];

	for (long i = 0; i < 2; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, counts, (void *)i));
	meddle(other);
	/* The other one has done the same here. */
	wait_for(&board->ready, 1);
	for (uint64_t i = 9; i <= 16; i++)
		seen_outside += board->from_outside[i % WORDS] == i;
	CHECK_EQ(seen_outside, WORDS);
}

/* The last word of each: nobody stops before the other is done. */
static void side_ends(pid_t other, int *fds_out, int *fds_in)
{
	char c = 's';

	side(other);
	CHECK_EQ(write(fds_out[1], &c, 1), 1);
	CHECK_EQ(read(fds_in[0], &c, 1), 1);
	board->stop = 1;
}

static void meddles_with(unsigned long clone_flags)
{
	int down[2], up[2];
	pid_t pid;

	board = (struct board *)map_any(PAGE, READ_WRITE, 0);
	seen_outside = 0;
	REQUIRE(!pipe(down) && !pipe(up));
	fflush(stdout);
	pid = (pid_t)syscall(SYS_clone, clone_flags | SIGCHLD, NULL, NULL, NULL, NULL);
	REQUIRE(pid >= 0);
	if (!pid) {
		check_failures = 0;
		side_ends(getppid(), up, down);
		fflush(stdout);
		_exit(check_failures != 0);
	}
	side_ends(pid, down, up);
	CHECK_EQ(wait_status(pid), 0);
}

static void others_meddle(void)
{
	meddles_with(0);
	meddles_with(CLONE_FILES);
}

/* --- what /proc says of pages --- */

#define NR	16
#define LARGER	(512l * 4096)
#define PRESENT		(1ull << 63)
#define SOFT_DIRTY	(1ull << 55)

static char *small_pages(void)
{
	char *p = map_any(NR * PAGE, READ_WRITE, 0);

	CHECK_EQ(madvise(p, NR * PAGE, MADV_NOHUGEPAGE), 0);
	return p;
}

/* The pages whose entries have one of the bits, as a mask. */
static unsigned int pagemap(const char *p, uint64_t bits)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entries[NR];
	unsigned int mask = 0;

	REQUIRE(fd >= 0);
	CHECK_EQ(pread(fd, entries, sizeof(entries), (off_t)((uint64_t)p / PAGE * 8)),
		 sizeof(entries));
	close(fd);
	for (int i = 0; i < NR; i++)
		mask |= entries[i] & bits ? 1u << i : 0;
	return mask;
}

static void clear_refs(const char *what)
{
	int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);

	REQUIRE(fd >= 0);
	CHECK_EQ(write(fd, what, 1), 1);
	close(fd);
}

static long resident(void)
{
	long size = 0, pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	REQUIRE(f && fscanf(f, "%ld %ld", &size, &pages) == 2);
	fclose(f);
	return pages;
}

/* anon=N of the mapping in numa_maps; -1: it says nothing. */
static long numa_anon(const char *p)
{
	FILE *f = fopen("/proc/self/numa_maps", "r");
	char line[1024], *at;
	long value = -1;

	while (f && value < 0 && fgets(line, sizeof(line), f))
		if (strtoull(line, NULL, 16) == (uint64_t)p && (at = strstr(line, " anon=")))
			value = strtol(at + 6, NULL, 10);
	if (f)
		fclose(f);
	return value;
}

static void proc_pages(void)
{
	char *p = small_pages();
	long before = proc_status("RssAnon") / 4, anon;

	CHECK_EQ(pagemap(p, PRESENT), 0);
	CHECK_EQ(smaps(p, "Rss"), 0);
	for (int i = 0; i < 5; i++)
		p[(i * 3) * PAGE] = 1;
	CHECK_EQ(pagemap(p, PRESENT), 0x1249);
	CHECK_EQ(smaps(p, "Rss"), 20);
	CHECK_EQ(smaps(p, "Anonymous"), 20);
	CHECK_EQ(smaps(p, "Private_Dirty"), 20);
	CHECK_EQ(smaps(p, "Size"), NR * 4);
	/* Linux' counters may be a little late. */
	memset(map_any(LARGER, READ_WRITE, 0), 1, LARGER);
	CHECK_IN(proc_status("RssAnon") / 4 - before, LARGER / PAGE - 128, LARGER / PAGE + 128);
	CHECK(resident() > LARGER / 4096);
	anon = numa_anon(p);
	CHECK(anon == 5 || anon == -1);
	CHECK_EQ(madvise(p + 3 * PAGE, PAGE, MADV_DONTNEED), 0);
	CHECK_EQ(pagemap(p, PRESENT), 0x1241);
	CHECK_EQ(smaps(p, "Rss"), 16);
	/* The zero page is present, and nobody's. */
	CHECK_EQ(*(volatile char *)(p + PAGE), 0);
	CHECK_EQ(pagemap(p, PRESENT), 0x1243);
	CHECK_EQ(smaps(p, "Anonymous"), 16);
	CHECK_EQ(munmap(p, NR * PAGE), 0);
}

#define ROUNDS 4

/* Odd: the thread is to write; then one more. */
static volatile int turn;

static void *writes_thread(void *arg)
{
	for (int round = 0; round < ROUNDS; round++) {
		wait_for(&turn, 2 * round + 1);
		((char *)arg)[7 * PAGE] = 5;
		turn = 2 * round + 2;
	}
	return NULL;
}

static void soft_dirty(void)
{
	char *p = small_pages();
	pthread_t thread;

	memset(p, 1, NR * PAGE);
	if (!pagemap(p, SOFT_DIRTY))
		SKIP("no soft-dirty bits");
	/* A new mapping is dirty as a whole, and so is what Linux may make one with it. */
	REQUIRE(!pthread_create(&thread, NULL, writes_thread, p));
	clear_refs("4");
	for (int round = 0; round < ROUNDS; round++) {
		CHECK_EQ(pagemap(p, SOFT_DIRTY), 0);
		CHECK_EQ(p[PAGE], 1 + round);
		CHECK_EQ(pagemap(p, SOFT_DIRTY), 0);
		p[PAGE]++;
		p[9 * PAGE]++;
		CHECK_EQ(pagemap(p, SOFT_DIRTY), 0x202);
		turn = 2 * round + 1;
		wait_for(&turn, 2 * round + 2);
		CHECK_EQ(pagemap(p, SOFT_DIRTY), 0x282);
		clear_refs("4");
	}
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

/* Used pages, for whoever asks how large the working set is. */
static void referenced(void)
{
	char *p = small_pages();

	memset(p, 1, NR * PAGE);
	CHECK_EQ(smaps(p, "Referenced"), NR * 4);
	clear_refs("1");
	CHECK_EQ(smaps(p, "Referenced"), 0);
	/* It flushes no TLB: have the pages looked up anew. */
	CHECK_EQ(mprotect(p, NR * PAGE, PROT_READ), 0);
	CHECK_EQ(mprotect(p, NR * PAGE, READ_WRITE), 0);
	for (int i = 0; i < 3; i++)
		p[i * PAGE]++;
	/* The page behind them, too, where a CPU has guessed so. */
	CHECK(smaps(p, "Referenced") >= 12 && smaps(p, "Referenced") <= 16);
}

/* --- memory that Linux itself does not see --- */

#ifndef SYS_memfd_secret
#define SYS_memfd_secret	447
#endif

static void secret_child(void *arg)
{
	char *p = arg;

	CHECK(bytes_are(p, PAGE, 4));
	bytes_fill(p, PAGE, 5);
}

static void secret(void)
{
	int fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);
	char *p, got[8];

	if (fd < 0)
		SKIP("no memfd_secret()");
	REQUIRE(!ftruncate(fd, 2 * PAGE));
	p = mmap(NULL, 2 * PAGE, READ_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(p != MAP_FAILED);
	bytes_fill(p, PAGE, 4);
	CHECK(bytes_are(p, PAGE, 4));
	in_child(secret_child, p);
	CHECK(bytes_are(p, PAGE, 5));
	CHECK_EQ(p[PAGE], 0);
	CHECK(!peek(getpid(), p, got, sizeof(got)) && errno == EFAULT);
	CHECK_EQ(munmap(p, PAGE), 0);
	CHECK_EQ(fault_code(p, READ), SEGV_MAPERR);
	close(fd);
}

/* --- protection keys --- */

#ifndef SEGV_PKUERR
#define SEGV_PKUERR	4
#endif

static void keys(void)
{
	char *p = map_any(2 * PAGE, READ_WRITE, 0);
	int key;

	CHECK_ERRNO(pkey_alloc(1, 0), EINVAL);
	CHECK_ERRNO(pkey_alloc(0, 0x10), EINVAL);
	CHECK_ERRNO(pkey_mprotect(p, PAGE, READ_WRITE, 15), EINVAL);
	CHECK_EQ(pkey_mprotect(p, PAGE, PROT_READ, -1), 0);
	CHECK_EQ(fault_code(p, WRITE), SEGV_ACCERR);
	key = pkey_alloc(0, PKEY_DISABLE_WRITE);
	if (key < 0 && (errno == ENOSPC || errno == EINVAL))
		return;
	CHECK(key > 0);
	CHECK_EQ(pkey_mprotect(p, PAGE, READ_WRITE, key), 0);
	CHECK_EQ(fault_code(p, READ), 0);
	CHECK_EQ(fault_code(p, WRITE), SEGV_PKUERR);
	CHECK_EQ(pkey_set(key, PKEY_DISABLE_ACCESS), 0);
	CHECK_EQ(fault_code(p, READ), SEGV_PKUERR);
	CHECK_EQ(fault_code(p + PAGE, WRITE), 0);
	CHECK_EQ(pkey_set(key, 0), 0);
	CHECK_EQ(fault_code(p, WRITE), 0);
	CHECK_EQ(pkey_free(key), 0);
}

const struct part outside_parts[] = {
	{ "meddling", "memory of another process while its threads write", others_meddle },
	{ "proc_pages", "pagemap, smaps, numa_maps", proc_pages },
	{ "soft_dirty", "soft-dirty bits", soft_dirty },
	{ "referenced", "clear_refs and Referenced", referenced },
	{ "secret", "memfd_secret()", secret },
	{ "keys", "protection keys", keys },
	{ NULL, NULL, NULL },
};
