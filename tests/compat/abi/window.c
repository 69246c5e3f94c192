// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Signals and forks that come while the program is in a system call that is more than
 * a system call where a loader in user space has its part in it: sigaction(),
 * sigaltstack(), close(), clone().
 */
#include "abi.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILL 0x5a

static char alternate[32 << 10];
static pthread_t target;
static volatile int count, on_top, stop;

static void add_one(int sig, siginfo_t *info, void *context)
{
	__atomic_add_fetch(&count, 1, __ATOMIC_RELEASE);
}

/*
 * Each signal is taken before the next is sent; none before the other handler runs,
 * which would be above that of the first one then, and wait for more with it blocked.
 */
static void *storm(void *arg)
{
	wait_for(&on_top, 1);
	for (int sent = count; !stop; sent++) {
		pthread_kill(target, SIGUSR1);
		while (__atomic_load_n(&count, __ATOMIC_ACQUIRE) == sent && !stop)
			sched_yield();
	}
	return NULL;
}

/* Calls of the kind, in turn; all of them leave things as they are. */
static void make_calls(unsigned long n)
{
	struct sigaction sa;
	stack_t ss;

	for (unsigned long i = 0; i < n; i++) {
		sigaction(SIGUSR2, NULL, &sa);
		sigaction(SIGUSR2, &sa, NULL);
		close(dup2(1, 9));
		sigaltstack(NULL, &ss);
	}
}

static int storm_end;

/* This frame is at the top of the stack, where a signal that finds rsp elsewhere goes. */
static void calls_on_top(int sig, siginfo_t *info, void *context)
{
	volatile char mine[4096];

	memset((void *)mine, FILL, sizeof(mine));
	on_top = 1;
	while (count < storm_end) {
		make_calls(1);
		for (unsigned int k = 0; k < sizeof(mine); k += 64)
			CHECK_EQ(mine[k], FILL);
	}
}

static void start_storm(pthread_t *thread, int flags)
{
	target = pthread_self();
	on_top = stop = 0;
	storm_end = count + (int)rounds(200);
	handle(SIGUSR1, add_one, flags);
	REQUIRE(!pthread_create(thread, NULL, storm, NULL));
}

static void end_storm(pthread_t thread)
{
	stop = 1;
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

/* On the alternate stack, to which the storm's handlers want to go, too. */
static void alt_calls(void)
{
	const stack_t ss = { .ss_sp = alternate, .ss_size = sizeof(alternate) };
	pthread_t thread;

	REQUIRE(!sigaltstack(&ss, NULL));
	handle(SIGALRM, calls_on_top, SA_ONSTACK);
	start_storm(&thread, SA_ONSTACK);
	raise(SIGALRM);
	end_storm(thread);
}

/* --- SA_RESETHAND --- */

static volatile int go;

static void *send_each(void *arg)
{
	unsigned long n = rounds(200);

	for (unsigned long i = 1; i <= n; i++) {
		while (go != (int)i)
			sched_yield();
		pthread_kill(target, SIGUSR1);
	}
	return NULL;
}

/* The handler is there for one: the signal comes once, wherever it finds the program. */
static void reset_calls(void)
{
	struct sigaction sa = { .sa_sigaction = add_one, .sa_flags = SA_SIGINFO | SA_RESETHAND };
	unsigned long n = rounds(200);
	pthread_t thread;

	target = pthread_self();
	REQUIRE(!pthread_create(&thread, NULL, send_each, NULL));
	for (unsigned long i = 1; i <= n; i++) {
		REQUIRE(!sigaction(SIGUSR1, &sa, NULL));
		go = (int)i;
		while (count != (int)i)
			make_calls(1);
	}
	CHECK_EQ(pthread_join(thread, NULL), 0);
	REQUIRE(!sigaction(SIGUSR1, NULL, &sa));
	CHECK(sa.sa_handler == SIG_DFL);
}

/* --- fork() beside sigaction() --- */

static void *change_actions(void *arg)
{
	while (!stop)
		handle(SIGUSR2, add_one, 0);
	return NULL;
}

static void child_changes(void *arg)
{
	/* It must not wait for a thread that is not here. */
	alarm(60);
	handle(SIGUSR2, add_one, 0);
	raise(SIGUSR2);
	CHECK_EQ(count, 1);
}

static void fork_actions(void)
{
	pthread_t thread[2];

	stop = 0;
	for (unsigned int i = 0; i < 2; i++)
		REQUIRE(!pthread_create(&thread[i], NULL, change_actions, NULL));
	for (unsigned long i = rounds(20); i; i--)
		in_child(child_changes, NULL);
	stop = 1;
	for (unsigned int i = 0; i < 2; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
}

/* --- a child that has its parent's descriptors, and ends --- */

static void shared_files(void)
{
	int fd = open("/dev/null", O_RDWR), status;
	pid_t pid;

	REQUIRE(fd > 2);
	fflush(NULL);
	pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
	if (!pid) {
		close(fd);
		_exit(5);
	}
	REQUIRE(pid > 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 5 << 8);
	CHECK_ERRNO(fcntl(fd, F_GETFD), EBADF);
	/* Threads, processes and handlers go on as before. */
	in_child(child_changes, NULL);
	alt_calls();
}

/* --- actions as Linux keeps them --- */

static void kept_flags(void)
{
	struct { uint64_t handler, flags, restorer, mask; } a, b;

	raw_sigaction(SIGUSR1, add_one, SA_SIGINFO, ~0ul);
	REQUIRE(!syscall(SYS_rt_sigaction, SIGUSR1, NULL, &a, 8));
	a.flags |= 0x400 | 1ul << 40;		/* SA_UNSUPPORTED, and none */
	a.mask = ~0ul;
	REQUIRE(!syscall(SYS_rt_sigaction, SIGUSR1, &a, NULL, 8));
	REQUIRE(!syscall(SYS_rt_sigaction, SIGUSR1, NULL, &b, 8));
	CHECK_EQ(b.flags, a.flags & ~(0x400 | 1ul << 40));
	CHECK_EQ(b.mask, ~(1ul << (SIGKILL - 1) | 1ul << (SIGSTOP - 1)));
}

const struct part window_parts[] = {
	{ "alt_calls", "calls on the alternate stack, in a storm of signals for it", alt_calls },
	{ "reset_calls", "SA_RESETHAND, and calls when the signal comes", reset_calls },
	{ "fork_actions", "fork() while threads change actions", fork_actions },
	{ "shared_files", "a child with CLONE_FILES closes one of them", shared_files },
	{ "kept_flags", "what sigaction() keeps of flags and mask", kept_flags },
	{ NULL, NULL, NULL },
};
