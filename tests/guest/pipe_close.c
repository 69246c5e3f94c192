// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * close() from Dune mode really closes: the reader of a pipe, of a socket and
 * of an epoll set wakes up, at once. (Linux ends a close on the way back to
 * user mode; a hypercall that forgets that work leaves the reader hanging.)
 */
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static int fds[2];
static volatile int started;
static volatile long result;

static void reader(int index, void *arg)
{
	char c;

	started = 1;
	result = read(fds[0], &c, 1);
}

static void *reader_main(void *arg)
{
	run_threads(1, reader, NULL);
	return NULL;
}

static void one_close(bool use_socket)
{
	pthread_t thread;

	if (use_socket)
		REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	else
		REQUIRE(pipe(fds) == 0);
	started = 0;
	result = -99;
	REQUIRE(pthread_create(&thread, NULL, reader_main, NULL) == 0);
	wait_for(&started, 1, 30);
	mode_enter();
	spin(20000);	/* most likely it blocks by now; both orders are right */
	CHECK_EQ(close(fds[1]), 0);
	/* No further system call of this thread may be what ends the close. */
	for (uint64_t i = 0; result == -99 && i < 2000000000ull; i += 1000)
		spin(1000);
	CHECK_EQ(result, 0);
	mode_exit();
	if (result == -99) {
		printf("the reader was not woken\n");
		exit(1);
	}
	pthread_join(thread, NULL);
	close(fds[0]);
}

static void pipes(void)
{
	for (long i = 0; i < opt.rounds; i++)
		one_close(false);
}

static void sockets(void)
{
	for (long i = 0; i < opt.rounds; i++)
		one_close(true);
}

/* A file whose last reference goes away by munmap and close. */
static void lock_released(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char name[] = "/tmp/dune-test-XXXXXX";
	int fd = mkstemp(name), fd2;

	REQUIRE(fd >= 0);
	mode_enter();
	CHECK_EQ(fcntl(fd, F_OFD_SETLK, &lock), 0);
	fd2 = open(name, O_RDWR);
	CHECK_ERRNO(fcntl(fd2, F_OFD_SETLK, &lock), EAGAIN);
	CHECK_EQ(close(fd), 0);
	CHECK_EQ(fcntl(fd2, F_OFD_SETLK, &lock), 0);
	CHECK_EQ(close(fd2), 0);
	CHECK_EQ(unlink(name), 0);
	mode_exit();
}

int main(int argc, char **argv)
{
	test_start(argc, argv, (struct test_opts){ .rounds = 20 });
	test_part("pipes", pipes);
	test_part("sockets", sockets);
	test_part("lock_released", lock_released);
	return test_end();
}
