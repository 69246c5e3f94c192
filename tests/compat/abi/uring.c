// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * io_uring: Linux reads and writes the program's memory when the program does
 * something else, and through references that outlive its mappings.
 */
#include "ring.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static void no_op(void)
{
	struct ring r;

	ring_open(&r, 0);
	for (unsigned int i = 0; i < ENTRIES; i++) {
		prepare(&r, IORING_OP_NOP, -1, NULL, 0, 0);
		advance(&r);
	}
	CHECK_EQ(enter(&r, ENTRIES, ENTRIES), ENTRIES);
	for (unsigned int i = 0; i < ENTRIES; i++)
		CHECK_EQ(result_of(&r, IORING_OP_NOP), 0);
	close(r.fd);
}

static int file_of(size_t size)
{
	int fd = memfd_create("uring", MFD_CLOEXEC);

	REQUIRE(fd >= 0 && !ftruncate(fd, (off_t)size));
	return fd;
}

/* Memory that Linux must find by itself: pages come, go and come anew. */
static void files(void)
{
	size_t size = 4 * PAGE;
	char *p = map_any(size, PROT_READ | PROT_WRITE, 0);
	int fd = file_of(size);
	struct ring r;

	ring_open(&r, 0);
	for (uint64_t i = 0; i < 6; i++) {
		bytes_fill(p, size, i);
		CHECK_EQ(one(&r, IORING_OP_WRITE, fd, p, size, 0), size);
		REQUIRE(!munmap(p, size));
		CHECK_EQ(one(&r, IORING_OP_READ, fd, p, size, 0), -EFAULT);
		REQUIRE(mmap(p, size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p);
		/* Odd rounds: the program has the zero page there. */
		if (i & 1)
			CHECK_EQ(*(volatile char *)p, 0);
		CHECK_EQ(one(&r, IORING_OP_READ, fd, p, size, 0), size);
		CHECK(bytes_are(p, size, i));
	}
	CHECK_EQ(mprotect(p, size, PROT_READ), 0);
	CHECK_EQ(one(&r, IORING_OP_READ, fd, p, size, 0), -EFAULT);
	CHECK_EQ(one(&r, IORING_OP_WRITE, -1, p, size, 0), -EBADF);
	close(r.fd);
	close(fd);
}

/* A read that is there before what it reads. */
static void pipes(void)
{
	char *p = map_any(PAGE, PROT_READ | PROT_WRITE, 0);
	int fds[2];
	struct ring r;

	ring_open(&r, 0);
	REQUIRE(!pipe(fds));
	for (uint64_t i = 0; i < 6; i++) {
		char text[64];

		prepare(&r, IORING_OP_READ, fds[0], p, sizeof(text), 0);
		advance(&r);
		CHECK_EQ(enter(&r, 1, 0), 1);
		/* What was here when it was submitted is not what it writes to. */
		if (i & 1)
			CHECK_EQ(madvise(p, PAGE, MADV_DONTNEED), 0);
		else
			memset(p, 'x', PAGE);
		bytes_fill(text, sizeof(text), i);
		CHECK_EQ(write(fds[1], text, sizeof(text)), sizeof(text));
		CHECK_EQ(result_of(&r, IORING_OP_READ), sizeof(text));
		CHECK(bytes_are(p, sizeof(text), i));
		CHECK_EQ(p[sizeof(text)], i & 1 ? 0 : 'x');
	}
	close(r.fd);
	close(fds[0]);
	close(fds[1]);
}

/* --- registered buffers: pages that Linux holds on to --- */

static void child_writes(void *arg)
{
	char *p = arg;

	CHECK(bytes_are(p, 2 * PAGE, 100));
	bytes_fill(p, 2 * PAGE, 200);
	CHECK(bytes_are(p, 2 * PAGE, 200));
}

static bool file_is(int fd, size_t size, uint64_t seed)
{
	static char text[4 * PAGE] __attribute__((aligned(8)));

	return pread(fd, text, size, 0) == (ssize_t)size && bytes_are(text, size, seed);
}

static void buffers_coherent(struct ring *r, char *p, size_t size, int fd)
{
	for (uint64_t i = 0; i < 8; i++) {
		bytes_fill(p, size, i);
		CHECK_EQ(one(r, IORING_OP_WRITE_FIXED, fd, p, size, 0), size);
		CHECK(file_is(fd, size, i));
		bytes_fill(p, size, 50 + i);
		CHECK_EQ(pwrite(fd, p, size, 0), size);
		memset(p, 0, size);
		/* Linux writes to its page although the program may not. */
		if (i & 1)
			CHECK_EQ(mprotect(p, size, i & 2 ? PROT_READ : PROT_NONE), 0);
		CHECK_EQ(one(r, IORING_OP_READ_FIXED, fd, p, size, 0), size);
		CHECK_EQ(mprotect(p, size, PROT_READ | PROT_WRITE), 0);
		CHECK(bytes_are(p, size, 50 + i));
	}
}

static void buffers(void)
{
	size_t size = 2 * PAGE;
	char *p = map_any(size, PROT_READ | PROT_WRITE, 0);
	struct iovec v = { p, size };
	int fd = file_of(size);
	struct ring r;

	ring_open(&r, 0);
	/* The first page is the zero page until then. */
	CHECK_EQ(*(volatile char *)p, 0);
	REQUIRE(!syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_BUFFERS, &v, 1));
	buffers_coherent(&r, p, size, fd);
	/* A child gets a copy, and the parent keeps the pages that Linux has. */
	bytes_fill(p, size, 100);
	in_child(child_writes, p);
	CHECK(bytes_are(p, size, 100));
	buffers_coherent(&r, p, size, fd);
	/* They outlive the mapping, and the one that comes after it is another. */
	bytes_fill(p, size, 300);
	REQUIRE(!munmap(p, size));
	REQUIRE(mmap(p, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		     -1, 0) == p);
	bytes_fill(p, size, 301);
	CHECK_EQ(one(&r, IORING_OP_WRITE_FIXED, fd, p, size, 0), size);
	CHECK(file_is(fd, size, 300));
	CHECK_EQ(one(&r, IORING_OP_READ_FIXED, fd, p, size, 0), size);
	CHECK(bytes_are(p, size, 301));
	REQUIRE(!syscall(SYS_io_uring_register, r.fd, IORING_UNREGISTER_BUFFERS, NULL, 0));
	CHECK_EQ(one(&r, IORING_OP_WRITE_FIXED, fd, p, size, 0), -EFAULT);
	close(r.fd);
	close(fd);
}

/* --- waiting --- */

static void waits(void)
{
	struct __kernel_timespec soon = { 0, 1000000 };
	int fds[2];
	char c;
	struct ring r;

	ring_open(&r, 0);
	REQUIRE(!pipe(fds));
	CHECK_EQ(one(&r, IORING_OP_TIMEOUT, -1, &soon, 1, 0), -ETIME);
	prepare(&r, IORING_OP_POLL_ADD, fds[0], NULL, 0, 0)->poll32_events = POLLIN;
	advance(&r);
	CHECK_EQ(enter(&r, 1, 0), 1);
	CHECK_EQ(one(&r, IORING_OP_TIMEOUT, -1, &soon, 1, 0), -ETIME);
	CHECK_EQ(write(fds[1], "a", 1), 1);
	CHECK(result_of(&r, IORING_OP_POLL_ADD) & POLLIN);
	CHECK_EQ(read(fds[0], &c, 1), 1);
	/* A read with a time limit. */
	prepare(&r, IORING_OP_READ, fds[0], &c, 1, 0)->flags = IOSQE_IO_LINK;
	advance(&r);
	prepare(&r, IORING_OP_LINK_TIMEOUT, -1, &soon, 1, 0);
	advance(&r);
	CHECK_EQ(enter(&r, 2, 2), 2);
	for (int i = 0; i < 2; i++) {
		struct io_uring_cqe cqe = { 0 };

		REQUIRE(take(&r, &cqe));
		CHECK_EQ(cqe.res, cqe.user_data == IORING_OP_READ ? -ECANCELED : -ETIME);
	}
	close(r.fd);
	close(fds[0]);
	close(fds[1]);
}

/* --- one thread submits, another waits --- */

#define TRANSFERS	32

static struct ring shared;
static uint64_t arrived[TRANSFERS];

static void *waits_for_all(void *arg)
{
	for (int i = 0; i < TRANSFERS; i++)
		CHECK_EQ(result_of(&shared, IORING_OP_READ), 8);
	return NULL;
}

static void two_threads(void)
{
	pthread_t thread;
	int fds[2];

	ring_open(&shared, 0);
	REQUIRE(!pipe(fds) && !pthread_create(&thread, NULL, waits_for_all, NULL));
	for (uint64_t i = 0; i < TRANSFERS; i++) {
		uint64_t value = i * 7 + 1;

		prepare(&shared, IORING_OP_READ, fds[0], &arrived[i], 8, 0);
		advance(&shared);
		CHECK_EQ(enter(&shared, 1, 0), 1);
		CHECK_EQ(write(fds[1], &value, 8), 8);
	}
	CHECK_EQ(pthread_join(thread, NULL), 0);
	for (uint64_t i = 0; i < TRANSFERS; i++)
		CHECK_EQ(arrived[i], i * 7 + 1);
	close(shared.fd);
}

/* --- a thread of Linux that looks for work by itself --- */

static int one_polled(struct ring *r, int op, int fd, const void *address, uint32_t size)
{
	prepare(r, op, fd, address, size, 0);
	advance(r);
	if (needs_wakeup(r))
		CHECK(syscall(SYS_io_uring_enter, r->fd, 1, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0) >= 0);
	return result_of(r, op);
}

static void polled(void)
{
	size_t size = 2 * PAGE;
	char *p = map_any(size, PROT_READ | PROT_WRITE, 0);
	int fd = file_of(size);
	struct ring r;

	ring_open(&r, IORING_SETUP_SQPOLL);
	for (uint64_t i = 0; i < 6; i++) {
		bytes_fill(p, size, i);
		CHECK_EQ(one_polled(&r, IORING_OP_WRITE, fd, p, size), size);
		REQUIRE(mmap(p, size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p);
		if (i & 1)
			CHECK_EQ(*(volatile char *)p, 0);
		CHECK_EQ(one_polled(&r, IORING_OP_READ, fd, p, size), size);
		CHECK(bytes_are(p, size, i));
	}
	close(r.fd);
	close(fd);
}

const struct part uring_parts[] = {
	{ "io_uring", "io_uring's no-op", no_op },
	{ "uring_files", "io_uring: a file, memory unmapped and mapped anew", files },
	{ "uring_pipes", "io_uring: a read before there is anything", pipes },
	{ "uring_buffers", "io_uring: registered buffers", buffers },
	{ "uring_waits", "io_uring: poll and time limits", waits },
	{ "uring_threads", "io_uring: one thread submits, another waits", two_threads },
	{ "uring_polled", "io_uring: IORING_SETUP_SQPOLL", polled },
	{ "uring_masks", "io_uring_enter()'s signal mask, and signals while it waits", uring_masks },
	{ NULL, NULL, NULL },
};
