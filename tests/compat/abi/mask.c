// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Signal masks: in handlers, and in the calls that wait with another one. */
#include "abi.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <time.h>

static volatile int count, depth, deepest;
static sigset_t inside;

static uint64_t bits(const sigset_t *set)
{
	uint64_t all = 0;

	for (int sig = 1; sig <= 64; sig++)
		all |= (uint64_t)(sigismember(set, sig) == 1) << (sig - 1);
	return all;
}

static uint64_t mask_now(void)
{
	sigset_t set;

	REQUIRE(!sigprocmask(SIG_BLOCK, NULL, &set));
	return bits(&set);
}

#define BIT_OF(sig)	(1ull << ((sig) - 1))

static void look(int sig, siginfo_t *info, void *context)
{
	sigprocmask(SIG_BLOCK, NULL, &inside);
	count++;
}

static void with_mask(int sig, handler_fn fn, int flags, int also)
{
	struct sigaction sa = { .sa_sigaction = fn, .sa_flags = flags | SA_SIGINFO };

	sigemptyset(&sa.sa_mask);
	if (also)
		sigaddset(&sa.sa_mask, also);
	REQUIRE(!sigaction(sig, &sa, NULL));
}

static void masks(void)
{
	sigset_t usr2 = set_of(SIGUSR2);

	CHECK_EQ(mask_now(), 0);
	with_mask(SIGUSR1, look, 0, SIGHUP);
	raise(SIGUSR1);
	CHECK_EQ(bits(&inside), BIT_OF(SIGUSR1) | BIT_OF(SIGHUP));
	CHECK_EQ(mask_now(), 0);
	with_mask(SIGUSR1, look, SA_NODEFER, SIGHUP);
	raise(SIGUSR1);
	CHECK_EQ(bits(&inside), BIT_OF(SIGHUP));
	CHECK_EQ(sigprocmask(SIG_BLOCK, &usr2, NULL), 0);
	raise(SIGUSR1);
	CHECK_EQ(bits(&inside), BIT_OF(SIGHUP) | BIT_OF(SIGUSR2));
	CHECK_EQ(mask_now(), BIT_OF(SIGUSR2));
	CHECK_EQ(count, 3);
	/* It comes inside the call that lets it. */
	with_mask(SIGUSR2, look, 0, 0);
	raise(SIGUSR2);
	CHECK_EQ(count, 3);
	CHECK_EQ(sigprocmask(SIG_UNBLOCK, &usr2, NULL), 0);
	CHECK_EQ(count, 4);
	CHECK_EQ(bits(&inside), BIT_OF(SIGUSR2));
	CHECK_EQ(mask_now(), 0);
}

/* What the handler does to the mask of its frame is the mask behind it. */
static void change_mask(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	count++;
	CHECK_EQ(bits(&uc->uc_sigmask) & ~BIT_OF(SIGUSR2), BIT_OF(SIGHUP));
	sigaddset(&uc->uc_sigmask, SIGWINCH);
	sigdelset(&uc->uc_sigmask, SIGHUP);
}

static void frame_mask(void)
{
	sigset_t hup = set_of(SIGHUP);

	CHECK_EQ(sigprocmask(SIG_SETMASK, &hup, NULL), 0);
	with_mask(SIGUSR1, change_mask, 0, 0);
	raise(SIGUSR1);
	CHECK_EQ(count, 1);
	CHECK_EQ(mask_now(), BIT_OF(SIGWINCH));
}

static void nested(int sig, siginfo_t *info, void *context)
{
	depth++;
	if (depth > deepest)
		deepest = depth;
	count++;
	if (count < 20)
		raise(sig);
	depth--;
}

static void nesting(void)
{
	struct sigaction old;

	with_mask(SIGUSR1, nested, SA_NODEFER, 0);
	raise(SIGUSR1);
	CHECK_EQ(count, 20);
	CHECK_EQ(deepest, 20);
	count = deepest = 0;
	/* Without, the next one comes behind the first. */
	with_mask(SIGUSR1, nested, 0, 0);
	raise(SIGUSR1);
	CHECK_EQ(count, 20);
	CHECK_EQ(deepest, 1);

	with_mask(SIGUSR2, look, SA_RESETHAND, 0);
	count = 0;
	raise(SIGUSR2);
	CHECK_EQ(count, 1);
	CHECK_EQ(bits(&inside), BIT_OF(SIGUSR2));
	CHECK_EQ(sigaction(SIGUSR2, NULL, &old), 0);
	CHECK(old.sa_handler == SIG_DFL);
}

static void raise_again(void *arg)
{
	with_mask(SIGSEGV, look, SA_RESETHAND, 0);
	raise(SIGSEGV);
	CHECK_EQ(count, 1);
	raise(SIGSEGV);
	FAIL("lived on");
}

static void reset_hand(void)
{
	CHECK_EQ(status_of(raise_again, NULL) & 0x7f, SIGSEGV);
}

/* --- calls that wait with a mask of their own --- */

static int wait_sigsuspend(const sigset_t *set)
{
	return sigsuspend(set);
}

static int wait_ppoll(const sigset_t *set)
{
	return ppoll(NULL, 0, NULL, set);
}

static int wait_pselect(const sigset_t *set)
{
	return pselect(0, NULL, NULL, NULL, NULL, set);
}

static int wait_epoll(const sigset_t *set)
{
	struct epoll_event event;
	int fd = epoll_create1(0), ret;

	ret = epoll_pwait(fd, &event, 1, -1, set);
	close(fd);
	return ret;
}

static int (*const waits[])(const sigset_t *) = {
	wait_sigsuspend, wait_ppoll, wait_pselect, wait_epoll,
};

static void sent_while_waiting(int (*fn)(const sigset_t *), const sigset_t *set)
{
	timer_t timer;
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	struct itimerspec once = { .it_value = { 0, 3000000 } };

	count = 0;
	REQUIRE(!timer_create(CLOCK_MONOTONIC, &event, &timer));
	REQUIRE(!timer_settime(timer, 0, &once, NULL));
	CHECK_EQ(fn(set), -1);
	CHECK_EQ(errno, EINTR);
	timer_delete(timer);
	CHECK_EQ(count, 1);
}

static void waiting(void)
{
	sigset_t blocked, open;

	with_mask(SIGUSR1, look, SA_RESTART, SIGHUP);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigaddset(&blocked, SIGWINCH);
	sigemptyset(&open);
	sigaddset(&open, SIGURG);
	REQUIRE(!sigprocmask(SIG_SETMASK, &blocked, NULL));
	for (unsigned int i = 0; i < sizeof(waits) / sizeof(*waits); i++) {
		int before = check_failures;

		count = 0;
		/* It was there before. */
		raise(SIGUSR1);
		CHECK_EQ(count, 0);
		CHECK_EQ(waits[i](&open), -1);
		CHECK_EQ(errno, EINTR);
		CHECK_EQ(count, 1);
		CHECK_EQ(bits(&inside), BIT_OF(SIGUSR1) | BIT_OF(SIGHUP) | BIT_OF(SIGURG));
		CHECK_EQ(mask_now(), bits(&blocked));
		/* It comes meanwhile. */
		sent_while_waiting(waits[i], &open);
		CHECK_EQ(bits(&inside), BIT_OF(SIGUSR1) | BIT_OF(SIGHUP) | BIT_OF(SIGURG));
		CHECK_EQ(mask_now(), bits(&blocked));
		if (check_failures != before)
			FAIL("that was call %d", i);
	}
}

/* --- out of handlers, and without handlers --- */

static sigjmp_buf back;
static volatile int *volatile nowhere = (volatile int *)16;

static void jump(int sig, siginfo_t *info, void *context)
{
	count++;
	siglongjmp(back, 7);
}

static void long_jump(void)
{
	volatile unsigned long i, n = rounds(10000);

	with_mask(SIGUSR1, jump, 0, 0);
	with_mask(SIGSEGV, jump, 0, 0);
	for (i = 0; i < n; i++) {
		if (sigsetjmp(back, 1) == 0) {
			if (i & 1)
				*nowhere = 1;
			else
				raise(SIGUSR1);
			FAIL("came back");
		}
	}
	CHECK_EQ(count, n);
	CHECK_EQ(mask_now(), 0);
}

static void sigwait_(void)
{
	sigset_t set = set_of(SIGUSR1);
	struct timespec none = { 0 };
	siginfo_t info;

	with_mask(SIGUSR1, look, 0, 0);
	REQUIRE(!sigprocmask(SIG_BLOCK, &set, NULL));
	CHECK_ERRNO(sigtimedwait(&set, &info, &none), EAGAIN);
	sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_int = 99 });
	CHECK_EQ(sigwaitinfo(&set, &info), SIGUSR1);
	CHECK_EQ(info.si_code, SI_QUEUE);
	CHECK_EQ(info.si_pid, getpid());
	CHECK_EQ(info.si_value.sival_int, 99);
	CHECK_EQ(count, 0);
}

static void signal_fd(void)
{
	sigset_t set = set_of(SIGUSR2);
	struct signalfd_siginfo info;
	int fd;

	with_mask(SIGUSR2, look, 0, 0);
	REQUIRE(!sigprocmask(SIG_BLOCK, &set, NULL));
	fd = signalfd(-1, &set, SFD_NONBLOCK);
	REQUIRE(fd >= 0);
	CHECK_ERRNO(read(fd, &info, sizeof(info)), EAGAIN);
	sigqueue(getpid(), SIGUSR2, (union sigval){ .sival_int = 31 });
	CHECK_EQ(read(fd, &info, sizeof(info)), sizeof(info));
	CHECK_EQ(info.ssi_signo, SIGUSR2);
	CHECK_EQ(info.ssi_pid, getpid());
	CHECK_EQ(info.ssi_int, 31);
	CHECK_EQ(count, 0);
	close(fd);
}

const struct part mask_parts[] = {
	{ "masks", "the mask in a handler and behind it", masks },
	{ "frame_mask", "a handler changes the mask of its frame", frame_mask },
	{ "nesting", "SA_NODEFER, and without; SA_RESETHAND", nesting },
	{ "reset_hand", "the second SIGSEGV kills", reset_hand },
	{ "waiting", "sigsuspend, ppoll, pselect, epoll_pwait: temporary masks", waiting },
	{ "long_jump", "siglongjmp() out of handlers", long_jump },
	{ "sigwait", "sigwaitinfo() and sigtimedwait()", sigwait_ },
	{ "signalfd", "signalfd()", signal_fd },
	{ NULL, NULL, NULL },
};
