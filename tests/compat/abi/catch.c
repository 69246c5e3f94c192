// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Signals are caught, with what Linux says of where they come from. */
#include "abi.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

static volatile struct {
	int count, sig, code, pid, uid, status, overrun;
	long value;
} seen;

static void note(int sig, siginfo_t *info, void *context)
{
	seen.sig = sig;
	seen.code = info->si_code;
	seen.pid = info->si_pid;
	seen.uid = info->si_uid;
	seen.value = (long)info->si_value.sival_ptr;
	if (sig == SIGCHLD)
		seen.status = info->si_status;
	if (info->si_code == SI_TIMER)
		seen.overrun = info->si_overrun;
	if (info->si_signo != sig)
		_exit(9);
	seen.count++;
}

static void forget(void)
{
	memset((void *)&seen, 0, sizeof(seen));
}

static void judge(int sig, int code, int count)
{
	CHECK_EQ(seen.count, count);
	CHECK_EQ(seen.sig, sig);
	CHECK_EQ(seen.code, code);
	CHECK_EQ(seen.pid, getpid());
	CHECK_EQ(seen.uid, getuid());
}

static void queue_raw(int sig, long value)
{
	siginfo_t info = { .si_code = SI_QUEUE };

	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value.sival_ptr = (void *)value;
	CHECK_EQ(syscall(SYS_rt_sigqueueinfo, getpid(), sig, &info), 0);
}

static void catch_all(void)
{
	for (int sig = 1; sig <= 64; sig++) {
		int before = check_failures;
		long err = raw_sigaction(sig, note, 0, 0);

		if (sig == SIGKILL || sig == SIGSTOP) {
			CHECK_EQ(err, -1);
			CHECK_EQ(errno, EINVAL);
			continue;
		}
		CHECK_EQ(err, 0);
		forget();
		CHECK_EQ(syscall(SYS_kill, getpid(), sig), 0);
		judge(sig, SI_USER, 1);
		forget();
		CHECK_EQ(syscall(SYS_tgkill, getpid(), gettid(), sig), 0);
		judge(sig, SI_TKILL, 1);
		forget();
		queue_raw(sig, 0x123456789abcdef0 + sig);
		judge(sig, SI_QUEUE, 1);
		CHECK_EQ(seen.value, 0x123456789abcdef0 + sig);
		if (check_failures != before)
			FAIL("that was signal %d", sig);
	}
	CHECK_EQ(raw_sigaction(65, note, 0, 0), -1);
	CHECK_EQ(raw_sigaction(0, note, 0, 0), -1);
}

/* --- what sigaction() gives back --- */

static void actions(void)
{
	struct sigaction sa = { .sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_RESTART }, old;

	sigemptyset(&sa.sa_mask);
	sigaddset(&sa.sa_mask, SIGUSR2);
	for (int sig = 1; sig < 64; sig++) {
		if (sig == SIGKILL || sig == SIGSTOP || (sig >= 32 && sig < SIGRTMIN))
			continue;
		CHECK_EQ(sigaction(sig, NULL, &old), 0);
		CHECK(old.sa_handler == SIG_DFL || old.sa_handler == SIG_IGN);
		CHECK_EQ(sigaction(sig, &sa, &old), 0);
		CHECK_EQ(sigaction(sig, NULL, &old), 0);
		CHECK(old.sa_sigaction == note);
		CHECK_EQ(old.sa_flags & ~0x04000000, SA_SIGINFO | SA_RESTART);
		CHECK_EQ(sigismember(&old.sa_mask, SIGUSR2), 1);
		CHECK_EQ(sigismember(&old.sa_mask, SIGUSR1), 0);
		CHECK(signal(sig, SIG_IGN) != SIG_ERR);
		CHECK_EQ(kill(getpid(), sig), 0);
		CHECK_EQ(sigaction(sig, NULL, &old), 0);
		CHECK(old.sa_handler == SIG_IGN);
		CHECK(signal(sig, SIG_DFL) == SIG_IGN);
	}
	CHECK_ERRNO(sigaction(SIGKILL, &sa, NULL), EINVAL);
	CHECK_ERRNO(sigaction(SIGSTOP, &sa, NULL), EINVAL);
	CHECK_EQ(syscall(SYS_rt_sigaction, SIGUSR1, (void *)8, NULL, 8), -1);
	CHECK_EQ(errno, EFAULT);
	CHECK_EQ(syscall(SYS_rt_sigaction, SIGUSR1, NULL, (void *)8, 8), -1);
	CHECK_EQ(errno, EFAULT);
	CHECK_EQ(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 7), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(seen.count, 0);
}

/* --- timers --- */

static void wait_count(int count)
{
	while (seen.count < count)
		sched_yield();
}

static void timers(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3 };
	struct itimerspec once = { .it_value = { 0, 1000000 } };
	timer_t timer;

	handle(SIGRTMIN + 3, note, 0);
	handle(SIGALRM, note, 0);
	event.sigev_value.sival_ptr = (void *)0x7766554433221100;
	REQUIRE(!timer_create(CLOCK_MONOTONIC, &event, &timer));
	CHECK_EQ(timer_settime(timer, 0, &once, NULL), 0);
	wait_count(1);
	CHECK_EQ(seen.sig, SIGRTMIN + 3);
	CHECK_EQ(seen.code, SI_TIMER);
	CHECK_EQ(seen.value, 0x7766554433221100);
	CHECK_EQ(seen.overrun, 0);
	CHECK_EQ(timer_delete(timer), 0);

	/* For one thread only. */
	forget();
	event.sigev_notify = SIGEV_THREAD_ID;
	event._sigev_un._tid = gettid();
	event.sigev_value.sival_int = 42;
	REQUIRE(!timer_create(CLOCK_REALTIME, &event, &timer));
	CHECK_EQ(timer_settime(timer, 0, &once, NULL), 0);
	wait_count(1);
	CHECK_EQ(seen.code, SI_TIMER);
	CHECK_EQ((int)seen.value, 42);
	CHECK_EQ(timer_delete(timer), 0);

	forget();
	CHECK_EQ(setitimer(ITIMER_REAL, &(struct itimerval){ .it_value = { 0, 1000 } }, NULL), 0);
	wait_count(1);
	CHECK_EQ(seen.sig, SIGALRM);
	CHECK_EQ(seen.code, SI_KERNEL);
}

static volatile int notified;

static void notify(union sigval value)
{
	notified = value.sival_int;
}

/* libc makes a thread for each. */
static void timer_thread(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD, .sigev_notify_function = notify };
	struct itimerspec once = { .it_value = { 0, 1000000 } };
	timer_t timer;

	event.sigev_value.sival_int = 4711;
	REQUIRE(!timer_create(CLOCK_MONOTONIC, &event, &timer));
	CHECK_EQ(timer_settime(timer, 0, &once, NULL), 0);
	wait_for(&notified, 4711);
	CHECK_EQ(timer_delete(timer), 0);
}

/* --- children --- */

static void chld(int code, int status, pid_t pid)
{
	while (!seen.count)
		sched_yield();
	CHECK_EQ(seen.count, 1);
	CHECK_EQ(seen.sig, SIGCHLD);
	CHECK_EQ(seen.code, code);
	CHECK_EQ(seen.status, status);
	CHECK_EQ(seen.pid, pid);
	forget();
}

static void sigchld(void)
{
	int status;
	pid_t pid;

	handle(SIGCHLD, note, 0);
	pid = fork();
	if (!pid)
		_exit(23);
	chld(CLD_EXITED, 23, pid);
	CHECK_EQ(wait_status(pid), 23 << 8);

	pid = fork();
	if (!pid) {
		signal(SIGTERM, SIG_DFL);
		for (;;)
			pause();
	}
	kill(pid, SIGSTOP);
	chld(CLD_STOPPED, SIGSTOP, pid);
	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	kill(pid, SIGCONT);
	chld(CLD_CONTINUED, SIGCONT, pid);
	CHECK_EQ(waitpid(pid, &status, WCONTINUED), pid);
	CHECK(WIFCONTINUED(status));
	kill(pid, SIGTERM);
	chld(CLD_KILLED, SIGTERM, pid);
	CHECK_EQ(wait_status(pid), SIGTERM);
}

/* --- to threads, and queues --- */

#define THREADS	4
static __thread volatile int got;
static volatile int ready, ended;
static volatile int totals[THREADS];
static volatile int stop;

static void count_own(int sig, siginfo_t *info, void *context)
{
	got++;
}

static void *target(void *arg)
{
	int index = (int)(long)arg;

	__atomic_add_fetch(&ready, 1, __ATOMIC_RELEASE);
	while (!stop || got < totals[index]) {
		if (index & 1)
			sched_yield();
		if (index == 2)
			syscall(SYS_getppid);
	}
	CHECK_EQ(got, totals[index]);
	__atomic_add_fetch(&ended, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* A realtime signal is queued each time: exact counts. */
static void to_threads(void)
{
	unsigned long n = rounds(2000);
	pthread_t threads[THREADS];
	uint64_t state = 12345;

	handle(SIGRTMIN + 1, count_own, SA_RESTART);
	for (long i = 0; i < THREADS; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, target, (void *)i));
	wait_for(&ready, THREADS);
	for (unsigned long i = 0; i < n; i++) {
		int to = rnd(&state) % THREADS, err;

		while ((err = pthread_kill(threads[to], SIGRTMIN + 1)) == EAGAIN)
			sched_yield();
		CHECK_EQ(err, 0);
		__atomic_add_fetch(&totals[to], 1, __ATOMIC_RELAXED);
	}
	stop = 1;
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	CHECK_EQ(ended, THREADS);
}

static pthread_t busy;
static volatile int sent;

static void *sends(void *arg)
{
	int n = (int)rounds(5000), err;

	for (int i = 0; i < n; i++) {
		while ((err = pthread_kill(busy, SIGRTMIN + 1)) == EAGAIN)
			sched_yield();
		CHECK_EQ(err, 0);
		__atomic_add_fetch(&sent, 1, __ATOMIC_RELEASE);
	}
	stop = 1;
	return NULL;
}

/* To one that makes calls which are more than Linux', and touches new pages. */
static void to_busy(void)
{
	struct sigaction old;
	pthread_t thread;

	busy = pthread_self();
	handle(SIGRTMIN + 1, count_own, SA_RESTART);
	REQUIRE(!pthread_create(&thread, NULL, sends, NULL));
	while (!stop || got < sent) {
		char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		REQUIRE(page != MAP_FAILED);
		page[7] = 1;
		CHECK_EQ(sigaction(SIGUSR1, NULL, &old), 0);
		CHECK_ERRNO(close(-1), EBADF);
		CHECK_ERRNO(dup2(-1, 5), EBADF);
		munmap(page, 4096);
		/* What is lost does not come. */
		if (stop && sigpending(&old.sa_mask) == 0 && !sigismember(&old.sa_mask, SIGRTMIN + 1))
			break;
	}
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(got, rounds(5000));
}

static long order[256];
static int nr_order;

static void note_order(int sig, siginfo_t *info, void *context)
{
	if (nr_order < 256)
		order[nr_order++] = (long)info->si_value.sival_ptr;
}

/* While they are blocked: all are kept, in order of number, then of sending. */
static void queue(void)
{
	sigset_t set, old;

	sigemptyset(&set);
	for (int i = 0; i < 4; i++) {
		handle(SIGRTMIN + i, note_order, 0);
		sigaddset(&set, SIGRTMIN + i);
	}
	for (int i = 0; i < 4; i++) {
		struct sigaction sa = { .sa_sigaction = note_order, .sa_flags = SA_SIGINFO, .sa_mask = set };

		REQUIRE(!sigaction(SIGRTMIN + i, &sa, NULL));
	}
	CHECK_EQ(sigprocmask(SIG_BLOCK, &set, &old), 0);
	for (long i = 0; i < 50; i++)
		for (int s = 3; s >= 0; s--)
			CHECK_EQ(sigqueue(getpid(), SIGRTMIN + s, (union sigval){ .sival_ptr = (void *)(s * 1000 + i) }), 0);
	CHECK_EQ(nr_order, 0);
	CHECK_EQ(sigprocmask(SIG_SETMASK, &old, NULL), 0);
	CHECK_EQ(nr_order, 200);
	for (int i = 0; i < 200; i++)
		CHECK_EQ(order[i], i / 50 * 1000 + i % 50);
}

const struct part catch_parts[] = {
	{ "catch_all", "each signal by kill, tgkill, sigqueue", catch_all },
	{ "actions", "what sigaction() takes and gives back", actions },
	{ "timers", "timer_create() and setitimer() say who they are", timers },
	{ "timer_thread", "SIGEV_THREAD", timer_thread },
	{ "sigchld", "SIGCHLD's fields: exited, stopped, continued, killed", sigchld },
	{ "to_threads", "pthread_kill() in a loop: exact counts", to_threads },
	{ "to_busy", "the same to a thread that makes calls and touches memory", to_busy },
	{ "queue", "blocked realtime signals come in order, each of them", queue },
	{ NULL, NULL, NULL },
};
