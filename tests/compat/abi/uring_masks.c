// SPDX-License-Identifier: GPL-2.0 OR MIT
/* io_uring_enter() has a signal mask in its fifth and sixth arguments. */
#include "ring.h"

#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>

static int empty_pipe[2];
static volatile int handled;
static uint64_t handler_mask;
static pid_t waiter;

static uint64_t mask_now(void)
{
	uint64_t mask = 0;

	CHECK_EQ(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, sizeof(mask)), 0);
	return mask;
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	handled++;
	syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &handler_mask, sizeof(handler_mask));
}

#define BIT_OF(sig)	(1ull << ((sig) - 1))
#define USUAL_MASK	(BIT_OF(SIGUSR1) | BIT_OF(SIGHUP))

static long submit_masked(struct ring *r, unsigned int submit, uint64_t mask)
{
	return syscall(SYS_io_uring_enter, r->fd, submit, 1, IORING_ENTER_GETEVENTS, &mask,
		       sizeof(mask));
}

static long enter_masked(struct ring *r, uint64_t mask)
{
	return submit_masked(r, 0, mask);
}

static void *sends_usr1(void *arg)
{
	if (wait_asleep(waiter))
		CHECK_EQ(syscall(SYS_tgkill, getpid(), waiter, SIGUSR1), 0);
	return NULL;
}

/* While SIGTERM is blocked it comes first, then what is waited for. */
static void *sends_term(void *arg)
{
	if (wait_asleep(waiter))
		CHECK_EQ(syscall(SYS_tgkill, getpid(), waiter, SIGTERM), 0);
	CHECK_EQ(write(empty_pipe[1], "a", 1), 1);
	return NULL;
}

static void handled_once(uint64_t mask)
{
	CHECK_EQ(handled, 1);
	CHECK_EQ(handler_mask, mask);
	CHECK_EQ(mask_now(), USUAL_MASK);
	handled = 0;
}

static void interrupted(struct ring *r)
{
	pthread_t thread;

	/* Pending before: the mask of the wait lets it in. */
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK_EQ(handled, 0);
	CHECK_ERRNO(enter_masked(r, BIT_OF(SIGCHLD)), EINTR);
	handled_once(BIT_OF(SIGCHLD) | BIT_OF(SIGUSR1) | BIT_OF(SIGALRM));
	REQUIRE(!pthread_create(&thread, NULL, sends_usr1, NULL));
	CHECK_ERRNO(enter_masked(r, 0), EINTR);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	handled_once(BIT_OF(SIGUSR1) | BIT_OF(SIGALRM));
}

static void not_interrupted(struct ring *r)
{
	pthread_t thread;
	char c;

	REQUIRE(!pthread_create(&thread, NULL, sends_term, NULL));
	CHECK_EQ(enter_masked(r, BIT_OF(SIGTERM)), 0);
	CHECK(result_of(r, IORING_OP_POLL_ADD) & POLLIN);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	handled_once(USUAL_MASK | BIT_OF(SIGTERM) | BIT_OF(SIGALRM));
	CHECK_EQ(read(empty_pipe[0], &c, 1), 1);
}

/* The fifth argument is a structure, the sixth its size. */
static void extended(struct ring *r)
{
	struct __kernel_timespec soon = { 0, 1000000 };
	uint64_t mask = 0;
	struct io_uring_getevents_arg arg = {
		.sigmask = (uint64_t)&mask, .sigmask_sz = sizeof(mask), .ts = (uint64_t)&soon,
	};
	unsigned int flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;

	if (!(r->p.features & IORING_FEAT_EXT_ARG))
		return;
	CHECK_ERRNO(syscall(SYS_io_uring_enter, r->fd, 0, 1, flags, &arg, sizeof(arg)), ETIME);
	CHECK_EQ(raise(SIGUSR1), 0);
	arg.ts = 0;
	CHECK_ERRNO(syscall(SYS_io_uring_enter, r->fd, 0, 1, flags, &arg, sizeof(arg)), EINTR);
	handled_once(BIT_OF(SIGUSR1) | BIT_OF(SIGALRM));
	CHECK_ERRNO(syscall(SYS_io_uring_enter, r->fd, 0, 1, flags, &arg, 8), EINVAL);
	CHECK_ERRNO(syscall(SYS_io_uring_enter, r->fd, 0, 1, IORING_ENTER_GETEVENTS, &mask, 4),
		    EINVAL);
	CHECK_ERRNO(syscall(SYS_io_uring_enter, r->fd, 0, 1, IORING_ENTER_GETEVENTS, 8, 8), EFAULT);
}

void uring_masks(void)
{
	uint64_t usual = USUAL_MASK;
	struct ring r;

	ring_open(&r, 0);
	REQUIRE(!pipe(empty_pipe));
	waiter = (pid_t)syscall(SYS_gettid);
	/* SA_RESTART does not restart it. */
	CHECK_EQ(raw_sigaction(SIGUSR1, on_signal, SA_RESTART, BIT_OF(SIGALRM)), 0);
	CHECK_EQ(raw_sigaction(SIGTERM, on_signal, SA_RESTART, BIT_OF(SIGALRM)), 0);
	CHECK_EQ(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &usual, NULL, sizeof(usual)), 0);
	prepare(&r, IORING_OP_POLL_ADD, empty_pipe[0], NULL, 0, 0)->poll32_events = POLLIN;
	advance(&r);
	/* Interrupted, too, but that it has submitted something is what it returns. */
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK_EQ(submit_masked(&r, 1, BIT_OF(SIGCHLD)), 1);
	handled_once(BIT_OF(SIGCHLD) | BIT_OF(SIGUSR1) | BIT_OF(SIGALRM));
	interrupted(&r);
	extended(&r);
	not_interrupted(&r);
	close(r.fd);
}
