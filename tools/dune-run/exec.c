// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * execve(): of this program, which then loads the other one. What it cannot load, or
 * would load otherwise than Linux (set-user-ID programs, 32-bit ones, what may be
 * executed and not read), is executed as it is; so Linux says what is wrong, too.
 *
 * Plain code, see run.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "load.h"
#include "lock.h"
#include "run.h"

int run_self_fd = -1;

struct exec {
	int dirfd;
	uint64_t path, argv, envp;
	int flags;
};

static struct exec exec_of(const struct dune_regs *r)
{
	if ((uint32_t)r->rax == SYS_execve)
		return (struct exec){ AT_FDCWD, r->rdi, r->rsi, r->rdx, 0 };
	return (struct exec){ r->rdi, r->rsi, r->rdx, r->r10, r->r8 };
}

static bool copy_string(char *to, size_t size, uint64_t from)
{
	for (size_t i = 0; i < size; i++) {
		if (run_copy(&to[i], (char *)from + i, 1))
			return false;
		if (!to[i])
			return true;
	}
	return false;
}

/* The program, open; -1: Linux is to say what it is. */
static int open_program(const struct exec *e, const char *path)
{
	char there[40];
	int fd = -1;

	if (e->flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		return -1;
	if (*path) {
		fd = openat(e->dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK |
			    (e->flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0));
	} else if (e->flags & AT_EMPTY_PATH) {
		snprintf(there, sizeof(there), "/proc/self/fd/%d", e->dirfd);
		fd = open(there, O_RDONLY | O_CLOEXEC);
	}
	if (fd >= 0 && !load_is_possible(fd)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void name_of(char *name, size_t size, const struct exec *e, const char *path)
{
	if (e->dirfd == AT_FDCWD || path[0] == '/')
		snprintf(name, size, "%s", path);
	else if (*path)
		snprintf(name, size, "/dev/fd/%d/%s", e->dirfd, path);
	else
		snprintf(name, size, "/dev/fd/%d", e->dirfd);
}

/* Natively that takes no descriptor: the program may have all below its limit. */
static int open_hidden(const struct dune_thread *t, const struct exec *e, const char *path)
{
	bool is_child = run_of((struct dune_thread *)t)->is_child;
	struct rlimit limit;
	int fd;

	if (!is_child)
		run_lock();
	run_fds_begin(&limit);
	fd = open_program(e, path);
	if (fd >= 0)
		fd = run_fd_hide(fd);
	run_fds_end(&limit);
	if (!is_child)
		run_unlock();
	return fd;
}

#define OUR_ARGS	4u

/* Ours, then the program's; NULL: its array cannot be read. */
static char **new_argv(uint64_t from, char *const ours[OUR_ARGS], size_t *size)
{
	uint64_t p = 1;
	size_t nr = 0;
	char **argv;

	while (from && p) {
		if (run_copy(&p, (void *)(from + nr * 8), 8))
			return NULL;
		nr += p != 0;
	}
	*size = (OUR_ARGS + nr + 1) * sizeof(*argv);
	argv = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (argv == MAP_FAILED)
		return NULL;
	memcpy(argv, ours, OUR_ARGS * sizeof(*argv));
	if (from)
		run_copy(argv + OUR_ARGS, (void *)from, nr * sizeof(*argv));
	argv[OUR_ARGS + nr] = NULL;
	return argv;
}

/* RUN_EXEC_NATIVELY, or the errno of an execve() that could not be made. */
static long exec_loader(const struct exec *e, int fd, char *name, uint64_t mask)
{
	char inside[INSIDE_MAX];
	char *ours[OUR_ARGS] = { "dune-run", inside, "--", name };
	size_t size;
	char **argv;
	long err;

	load_inside(inside, sizeof(inside), fd, mask);
	argv = new_argv(e->argv, ours, &size);
	if (!argv)
		return RUN_EXEC_NATIVELY;
	fcntl(fd, F_SETFD, 0);
	syscall(SYS_execveat, run_self_fd, "", argv, e->envp, AT_EMPTY_PATH);
	err = -errno;
	munmap(argv, size);
	return err;
}

void run_exec(struct dune_thread *t, void *result)
{
	const struct dune_regs r = t->page->regs;
	struct exec e = exec_of(&r);
	char path[PATH_MAX], name[PATH_MAX + 40];
	long err = RUN_EXEC_NATIVELY;
	int fd = -1;

	run_sigs_before_exec(run_of(t)->sigs);
	if (run_options.follow && copy_string(path, sizeof(path), e.path))
		fd = open_hidden(t, &e, path);
	if (fd >= 0) {
		name_of(name, sizeof(name), &e, path);
		err = exec_loader(&e, fd, name, run_of(t)->mask);
		run_fd_gone(fd);
		close(fd);
	}
	/* Linux has the word then: the next call that comes here knows that it failed. */
	if (err == RUN_EXEC_NATIVELY)
		run_of(t)->exec_natively = 1;
	else
		run_sigs_after_exec(run_of(t)->sigs);
	*(long *)result = err;
}
