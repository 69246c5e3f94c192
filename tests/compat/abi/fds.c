// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Descriptors: all of them are the program's. */
#include "abi.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void nothing(void *arg)
{
}

static volatile int signals;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	signals++;
}

/* EMFILE comes exactly at the limit. */
static void use_up(rlim_t hard)
{
	const struct rlimit limit = { 64, hard };
	struct rlimit got;
	int fd = 0, fds[2];

	syscall(SYS_close_range, 3, ~0u, 0);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &got), 0);
	CHECK_EQ(got.rlim_cur, 64);
	CHECK_EQ(got.rlim_max, hard);
	CHECK_EQ(sysconf(_SC_OPEN_MAX), 64);
	for (int want = 3; want < 64; want++)
		CHECK_EQ((fd = open("/dev/null", O_RDONLY)), want);
	CHECK_ERRNO(open("/dev/null", O_RDONLY), EMFILE);
	CHECK_ERRNO(dup(0), EMFILE);
	CHECK_ERRNO(pipe(fds), EMFILE);
	CHECK_ERRNO(fcntl(0, F_DUPFD, 64), EINVAL);
	CHECK_ERRNO(dup2(0, 64), EBADF);
	CHECK_EQ(close(63), 0);
	CHECK_EQ(open("/dev/null", O_RDONLY), 63);
	/* All are in use: children and threads come nevertheless. */
	in_child(nothing, NULL);
}

static void *returns(void *arg)
{
	return arg;
}

static void end_of_limit(rlim_t hard)
{
	pthread_t thread;

	use_up(hard);
	for (int i = 0; i < 5; i++) {
		REQUIRE(!pthread_create(&thread, NULL, returns, NULL));
		CHECK_EQ(pthread_join(thread, NULL), 0);
	}
	/* The loader of the shell needs one itself. */
	close(63);
	CHECK_EQ(system("exit 3"), 3 << 8);
}

static void limit_child(void *arg)
{
	struct rlimit limit;

	REQUIRE(!getrlimit(RLIMIT_NOFILE, &limit));
	end_of_limit(limit.rlim_max);
}

static void limit_hard_child(void *arg)
{
	end_of_limit(64);
}

static void limit_soft(void)
{
	in_child(limit_child, NULL);
}

static void limit_hard(void)
{
	in_child(limit_hard_child, NULL);
}

/* What nobody opened is not there, also far above. */
static void far_above(void)
{
	struct rlimit limit;

	REQUIRE(!getrlimit(RLIMIT_NOFILE, &limit));
	for (unsigned long fd = 3; fd < limit.rlim_cur + 3000 && fd < 100000; fd++) {
		if (fcntl((int)fd, F_GETFD) < 0)
			continue;
		/* Who started this may have left something, below the limit. */
		if (fd >= limit.rlim_cur)
			FAIL("%lu above the limit %lu is open", fd - limit.rlim_cur, limit.rlim_cur);
		if (fd >= limit.rlim_cur)
			break;
	}
}

static void works_on(void)
{
	pthread_t thread;

	CHECK_EQ(open("/dev/null", O_RDONLY), 3);
	CHECK_EQ(system("exit 4"), 4 << 8);
	in_child(nothing, NULL);
	for (int i = 0; i < 5; i++) {
		REQUIRE(!pthread_create(&thread, NULL, returns, NULL));
		CHECK_EQ(pthread_join(thread, NULL), 0);
	}
	handle(SIGUSR1, on_signal, 0);
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK_EQ(signals, 1);
	signals = 0;
}

/* Daemons close everything, in these ways. */
static void close_by_range(void *arg)
{
	CHECK_EQ(syscall(SYS_close_range, 3, ~0u, 0), 0);
	works_on();
	CHECK_EQ(syscall(SYS_close_range, 3, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */), 0);
	CHECK_EQ(system("exit 4"), 4 << 8);
	CHECK_ERRNO(syscall(SYS_close_range, 5, 4, 0), EINVAL);
	CHECK_ERRNO(syscall(SYS_close_range, 3, 9, 77), EINVAL);
}

static void close_unshared(void *arg)
{
	CHECK_EQ(syscall(SYS_close_range, 3, ~0u, 2 /* CLOSE_RANGE_UNSHARE */), 0);
	works_on();
}

static void close_each(void *arg)
{
	struct rlimit limit;
	unsigned long end;

	getrlimit(RLIMIT_NOFILE, &limit);
	end = limit.rlim_max < 70000 ? limit.rlim_max : 70000;
	for (unsigned long fd = 3; fd < end; fd++)
		close((int)fd);
	works_on();
}

static void close_listed(void *arg)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;

	REQUIRE(d);
	while ((e = readdir(d)))
		if (atoi(e->d_name) > 2 && atoi(e->d_name) != dirfd(d))
			close(atoi(e->d_name));
	closedir(d);
	works_on();
}

static void close_from(void *arg)
{
	closefrom(3);
	works_on();
}

static void close_all(void)
{
	in_child(close_by_range, NULL);
	in_child(close_unshared, NULL);
	in_child(close_each, NULL);
	in_child(close_listed, NULL);
	in_child(close_from, NULL);
}

/* dup2() onto whatever number is free. */
static void dup_high_child(void *arg)
{
	struct rlimit limit;
	pthread_t thread;

	REQUIRE(!getrlimit(RLIMIT_NOFILE, &limit));
	for (unsigned long i = 1; i <= 200 && limit.rlim_cur - i > 3; i++) {
		int to = (int)(limit.rlim_cur - i);

		if (fcntl(to, F_GETFD) >= 0)
			continue;
		CHECK_EQ(dup2(0, to), to);
		CHECK_EQ(close(to), 0);
		CHECK_EQ(dup3(0, to, O_CLOEXEC), to);
		CHECK_EQ(fcntl(to, F_GETFD), FD_CLOEXEC);
	}
	/* A higher limit, and what is there now. */
	limit.rlim_cur = limit.rlim_max < 65536 ? limit.rlim_max : 65536;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
	for (unsigned long fd = limit.rlim_cur - 1; fd > limit.rlim_cur - 50; fd--) {
		CHECK_EQ(dup2(0, (int)fd), (int)fd);
		CHECK_EQ(close((int)fd), 0);
	}
	REQUIRE(!pthread_create(&thread, NULL, returns, NULL));
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(system("exit 4"), 4 << 8);
}

static void dup_high(void)
{
	in_child(dup_high_child, NULL);
}

/* A lower limit than what was opened before; then a higher one. */
static void limit_moves_child(void *arg)
{
	struct rlimit limit;
	pthread_t thread;

	REQUIRE(!getrlimit(RLIMIT_NOFILE, &limit));
	for (unsigned long n = 16; n <= limit.rlim_max && n <= 16384; n *= 4) {
		struct rlimit now = { n, limit.rlim_max }, got;

		CHECK_EQ(setrlimit(RLIMIT_NOFILE, &now), 0);
		REQUIRE(!pthread_create(&thread, NULL, returns, NULL));
		CHECK_EQ(pthread_join(thread, NULL), 0);
		CHECK_EQ(system("exit 4"), 4 << 8);
		CHECK_EQ(getrlimit(RLIMIT_NOFILE, &got), 0);
		CHECK_EQ(got.rlim_cur, n);
		CHECK_EQ(got.rlim_max, limit.rlim_max);
		CHECK_ERRNO(fcntl(0, F_DUPFD, n), EINVAL);
	}
}

static void limit_moves(void)
{
	in_child(limit_moves_child, NULL);
}

const struct part fd_parts[] = {
	{ "limit", "EMFILE exactly at the limit; children and threads nevertheless", limit_soft },
	{ "limit_hard", "the same at the hard limit", limit_hard },
	{ "far_above", "nothing is open above the limit", far_above },
	{ "close_all", "close_range(), closefrom() and others; all goes on", close_all },
	{ "dup_high", "dup2() onto high numbers", dup_high },
	{ "limit_moves", "setrlimit() up and down, threads and children between", limit_moves },
	{ NULL, NULL, NULL },
};
