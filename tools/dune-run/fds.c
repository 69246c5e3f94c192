// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Descriptors of ours: the vm's and the vCPUs'. They are above the program's limit
 * (RLIMIT_NOFILE), where it gets none of its own, and it cannot close them.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "run.h"

#define NR_FDS	(2 * DUNE_MAX_VCPUS)

/* Bits of ours, from base on; base is set once. */
static unsigned int base;
static uint64_t used[NR_FDS / 64];

bool run_fd_is_ours(const struct dune_thread *t, unsigned int fd)
{
	unsigned int i = fd - __atomic_load_n(&base, __ATOMIC_RELAXED);

	if (fd == (unsigned int)t->fd)
		return true;
	return base && i < NR_FDS &&
	       __atomic_load_n(&used[i / 64], __ATOMIC_RELAXED) & 1ull << i % 64;
}

static void mark(unsigned int fd)
{
	unsigned int i = fd - base;

	if (i < NR_FDS)
		__atomic_fetch_or(&used[i / 64], 1ull << i % 64, __ATOMIC_RELAXED);
}

void run_fd_gone(int fd)
{
	unsigned int i = fd - base;

	if (i < NR_FDS)
		__atomic_fetch_and(&used[i / 64], ~(1ull << i % 64), __ATOMIC_RELAXED);
}

/* Those of the parent's vm; not this program's own file. */
void run_fds_forget(void)
{
	for (unsigned int i = 0; i < NR_FDS / 64; i++)
		used[i] = 0;
	mark(run_self_fd);
}

/* What the limit is between begin and end. */
static struct rlimit raised;

/* Room above the program's; the hard limit is the superuser's to raise. */
static void limit_raise(const struct rlimit *limit)
{
	struct rlimit more = { .rlim_cur = base + NR_FDS, .rlim_max = limit->rlim_max };

	raised = *limit;
	if (limit->rlim_cur >= more.rlim_cur)
		return;
	if (more.rlim_max < more.rlim_cur)
		more.rlim_max = more.rlim_cur;
	if (setrlimit(RLIMIT_NOFILE, &more)) {
		more.rlim_cur = more.rlim_max = limit->rlim_max;
		setrlimit(RLIMIT_NOFILE, &more);
	}
	raised = more;
}

/* Less than this above the program's limit: then the last quarter below it. */
#define ROOM_LEAST	64u
/* A process's table is as large as its highest descriptor: fork() copies it. */
#define BASE_MOST	(1u << 14)

static void base_choose(const struct rlimit *limit)
{
	struct rlimit now;

	base = limit->rlim_cur < BASE_MOST ? limit->rlim_cur : BASE_MOST;
	limit_raise(limit);
	getrlimit(RLIMIT_NOFILE, &now);
	if (now.rlim_cur < base + ROOM_LEAST)
		base = now.rlim_cur - now.rlim_cur / 4;
}

void run_fds_begin(struct rlimit *limit)
{
	getrlimit(RLIMIT_NOFILE, limit);
	if (!base)
		base_choose(limit);
	limit_raise(limit);
}

/* Unless another thread has set its own meanwhile. */
void run_fds_end(const struct rlimit *limit)
{
	struct rlimit now;

	if (!getrlimit(RLIMIT_NOFILE, &now) && now.rlim_cur == raised.rlim_cur &&
	    now.rlim_max == raised.rlim_max)
		setrlimit(RLIMIT_NOFILE, limit);
}

int run_fd_hide(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, base);

	if (high < 0)
		return -errno;
	close(fd);
	mark(high);
	return high;
}

#define RANGE_FLAGS	6u	/* CLOSE_RANGE_UNSHARE, _CLOEXEC */

/* All but ours; these close at execve() as it is. */
long run_close_range(const struct dune_thread *t, unsigned int first, unsigned int last,
		     unsigned int flags)
{
	unsigned int end = base + NR_FDS - 1, fd;
	long err;

	if (!base || first > last || first > end || last < base || flags & ~RANGE_FLAGS)
		return raw_syscall3(SYS_close_range, first, last, flags);
	if (first < base) {
		err = raw_syscall3(SYS_close_range, first, base - 1, flags);
		if (err)
			return err;
		first = base;
	}
	for (fd = first; fd <= last && fd <= end; fd++)
		if (!run_fd_is_ours(t, fd))
			raw_syscall3(SYS_close_range, fd, fd, flags);
	return last > end ? raw_syscall3(SYS_close_range, end + 1, last, flags) : 0;
}
