// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Signals to threads in Dune mode: handlers run, blocking calls end with EINTR
 * or go on (SA_RESTART) without losing data, nesting, alternate stacks, a
 * SIGPROF storm, job control, jumps out of handlers.
 */
#include "test.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

static volatile int hits, nested_hits, waiting;
static int fds[2];

static void on_hit(int sig)
{
	__atomic_add_fetch(&hits, 1, __ATOMIC_RELEASE);
}

static void handle(int sig, void (*fn)(int), int flags)
{
	struct sigaction sa = { .sa_handler = fn, .sa_flags = flags };

	REQUIRE(sigaction(sig, &sa, NULL) == 0);
}

/*
 * A debug kernel takes longer than a millisecond of the emulated machine to
 * deliver a signal: then nothing but signals would ever run, natively too.
 */
static long slowness(void)
{
	struct utsname name;

	REQUIRE(uname(&name) == 0);
	return strstr(name.release, "debug") ? 50 : 1;
}

static void interval(int which, long us)
{
	struct itimerval it;

	us *= slowness();
	it.it_value = (struct timeval){ us / 1000000, us % 1000000 };
	it.it_interval = it.it_value;
	REQUIRE(setitimer(which, &it, NULL) == 0);
}

/* Write one byte after n more signals were handled. */
static void *feeder(void *arg)
{
	int n = *(int *)arg, from;
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	wait_for(&waiting, 1, 30);
	from = hits;
	for (uint64_t end = deadline(20);
	     hits < from + n && now_ns() < end;)
		sched_yield();
	CHECK(hits >= from + n);
	CHECK_EQ(write(fds[1], "D", 1), 1);
	return NULL;
}

static void restarted_read(void)
{
	int after = 5, before;
	pthread_t thread;
	char c = 0;

	REQUIRE(pipe(fds) == 0);
	handle(SIGALRM, on_hit, SA_RESTART);
	waiting = 0;
	REQUIRE(pthread_create(&thread, NULL, feeder, &after) == 0);
	mode_enter();
	before = hits;
	interval(ITIMER_REAL, 5000);
	waiting = 1;
	CHECK_EQ(read(fds[0], &c, 1), 1);
	interval(ITIMER_REAL, 0);
	CHECK_EQ(c, 'D');
	CHECK(hits >= before + after);
	CHECK_EQ(dune_inside(), !opt.native);
	mode_exit();
	pthread_join(thread, NULL);
	close(fds[0]);
	close(fds[1]);
}

static void interrupted_read(void)
{
	char buf[8] = "";

	REQUIRE(pipe(fds) == 0);
	handle(SIGALRM, on_hit, 0);
	mode_enter();
	for (int i = 0; i < 10; i++) {
		int before = hits;

		interval(ITIMER_REAL, 3000);
		CHECK_ERRNO(read(fds[0], buf, sizeof(buf)), EINTR);
		interval(ITIMER_REAL, 0);
		CHECK(hits > before);
	}
	/* What comes later is not lost. */
	CHECK_EQ(write(fds[1], "data", 4), 4);
	CHECK_EQ(read(fds[0], buf, sizeof(buf)), 4);
	CHECK_EQ(memcmp(buf, "data", 4), 0);
	mode_exit();
	close(fds[0]);
	close(fds[1]);
}

/* A stream in one direction under a storm of signals: every byte, in order. */
static void *stream_writer(void *arg)
{
	unsigned char next = 0;
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	mode_enter();
	for (long i = 0; i < opt.rounds * 4; i++)
		if (write(fds[1], &next, 1) == 1)
			next++;
	mode_exit();
	close(fds[1]);
	return NULL;
}

static void stream(void)
{
	unsigned char want = 0, c;
	pthread_t thread;
	long total = 0, n;
	int bad = 0;

	REQUIRE(pipe(fds) == 0);
	handle(SIGALRM, on_hit, 0);
	REQUIRE(pthread_create(&thread, NULL, stream_writer, NULL) == 0);
	mode_enter();
	interval(ITIMER_REAL, 1000);
	for (;;) {
		n = read(fds[0], &c, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		bad += c != want++;
		total++;
	}
	interval(ITIMER_REAL, 0);
	mode_exit();
	pthread_join(thread, NULL);
	CHECK_EQ(total, opt.rounds * 4);
	CHECK_EQ(bad, 0);
	close(fds[0]);
}

static void on_outer(int sig)
{
	hits++;
	raise(SIGUSR2);
	CHECK_EQ(nested_hits, hits);
}

static void on_inner(int sig)
{
	nested_hits++;
}

static void nested(void)
{
	hits = 0;
	nested_hits = 0;
	handle(SIGUSR1, on_outer, 0);
	handle(SIGUSR2, on_inner, 0);
	mode_enter();
	for (int i = 1; i <= 50; i++) {
		raise(SIGUSR1);
		CHECK_EQ(hits, i);
		CHECK_EQ(nested_hits, i);
	}
	mode_exit();
}

static char *alt;
#define ALT_SIZE 65536

static void on_alt(int sig)
{
	char local;

	CHECK(&local > alt && &local < alt + ALT_SIZE);
	hits++;
}

static void alternate_stack(void)
{
	stack_t ss = { .ss_size = ALT_SIZE }, off = { .ss_flags = SS_DISABLE };

	alt = mmap(NULL, ALT_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ss.ss_sp = alt;
	hits = 0;
	handle(SIGUSR1, on_alt, SA_ONSTACK);
	mode_enter();
	CHECK_EQ(sigaltstack(&ss, NULL), 0);
	for (int i = 0; i < 20; i++)
		raise(SIGUSR1);
	CHECK_EQ(sigaltstack(&off, NULL), 0);
	mode_exit();
	CHECK_EQ(hits, 20);
	munmap(alt, ALT_SIZE);
}

static uint64_t checksum(long n)
{
	uint64_t x = 88172645463325252ull, sum = 0;

	while (n--)
		sum += rnd(&x) * 0x9e3779b97f4a7c15ull;
	return sum;
}

static uint64_t want_sum;

static void sum_thread(int index, void *arg)
{
	for (int i = 0; i < 10 || (hits < 10 && i < 1000); i++)
		if (!CHECK_EQ(checksum(opt.rounds * 100), want_sum))
			break;
}

static void prof_storm(void)
{
	want_sum = checksum(opt.rounds * 100);
	hits = 0;
	handle(SIGPROF, on_hit, SA_RESTART);
	interval(ITIMER_PROF, 1000);
	run_threads(opt.threads, sum_thread, NULL);
	interval(ITIMER_PROF, 0);
	printf("    %d signals\n", hits);
	CHECK(hits > 0);
}

/* Directed at one thread that never makes a system call. */
static volatile int target_tid, released;

static void spinning_target(int index, void *arg)
{
	target_tid = syscall(SYS_gettid);
	while (!__atomic_load_n(&released, __ATOMIC_ACQUIRE))
		spin(100);
}

static void *target_main(void *arg)
{
	run_threads(1, spinning_target, NULL);
	return NULL;
}

static void directed(void)
{
	pthread_t thread;

	hits = 0;
	target_tid = 0;
	released = 0;
	handle(SIGUSR1, on_hit, 0);
	REQUIRE(pthread_create(&thread, NULL, target_main, NULL) == 0);
	while (!target_tid)
		sched_yield();
	for (int i = 1; i <= 50; i++) {
		CHECK_EQ(syscall(SYS_tgkill, getpid(), target_tid, SIGUSR1), 0);
		if (!wait_for(&hits, i, 20))
			break;
	}
	released = 1;
	pthread_join(thread, NULL);
}

static sigjmp_buf jump;

static void on_jump(int sig)
{
	hits++;
	mode_abandon();
	siglongjmp(jump, 1);
}

static void jumps(void)
{
	volatile int rounds = 0;

	hits = 0;
	handle(SIGUSR1, on_jump, 0);
	mode_enter();
	for (; rounds < 20; rounds++) {
		if (sigsetjmp(jump, 1) == 0) {
			raise(SIGUSR1);
			FAIL("raise() came back");
		}
		mode_reenter();
		CHECK_EQ(dune_inside(), !opt.native);
		CHECK_EQ(hits, rounds + 1);
	}
	mode_exit();
}

static void waits(void)
{
	struct timespec ts = { 5, 0 }, left = { 0 };
	sigset_t none, set;

	sigemptyset(&none);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	handle(SIGALRM, on_hit, SA_RESTART);
	mode_enter();
	interval(ITIMER_REAL, 20000);
	CHECK_ERRNO(nanosleep(&ts, &left), EINTR);
	CHECK(left.tv_sec <= 5 && left.tv_sec * 1000000000l + left.tv_nsec > 0);
	CHECK_ERRNO(pause(), EINTR);
	CHECK_ERRNO(sigsuspend(&none), EINTR);
	CHECK_ERRNO(ppoll(NULL, 0, &ts, &none), EINTR);
	interval(ITIMER_REAL, 0);
	sigprocmask(SIG_BLOCK, &set, NULL);
	interval(ITIMER_REAL, 5000);
	CHECK_EQ(sigwaitinfo(&set, NULL), SIGALRM);
	interval(ITIMER_REAL, 0);
	ts = (struct timespec){ 0, 0 };
	sigtimedwait(&set, NULL, &ts);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	mode_exit();
}

/* ---- job control ---- */

static volatile int *laps;

static void lap(int index, void *arg)
{
	for (;;) {
		spin(1000);
		__atomic_add_fetch(&laps[index], 1, __ATOMIC_RELEASE);
	}
}

static void lap_child(void)
{
	child_init();
	run_threads(2, lap, NULL);
}

static void more_laps(void)
{
	for (int i = 0; i < 2; i++) {
		int from = laps[i];
		uint64_t end = deadline(20);

		while (laps[i] == from && now_ns() < end)
			sched_yield();
		CHECK(laps[i] != from);
	}
}

static void stop_and_continue(void)
{
	int status = 0;
	pid_t pid;

	laps = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		lap_child();
	more_laps();
	for (int i = 0; i < 10; i++) {
		int at[2];

		kill(pid, SIGSTOP);
		CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
		CHECK(WIFSTOPPED(status));
		at[0] = laps[0];
		at[1] = laps[1];
		spin(100000);
		CHECK_EQ(laps[0], at[0]);
		CHECK_EQ(laps[1], at[1]);
		kill(pid, SIGCONT);
		CHECK_EQ(waitpid(pid, &status, WCONTINUED), pid);
		more_laps();
	}
	kill(pid, SIGTERM);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, SIGTERM);
	munmap((void *)laps, 4096);
}

/*
 * Signals while the guest computes deep below the stack pointer of its last
 * system call: the frame belongs under the live stack, not into it.
 */
static __attribute__((noinline)) unsigned int damage(void)
{
	volatile unsigned char live[65536];
	int until = __atomic_load_n(&hits, __ATOMIC_ACQUIRE) + 5;
	unsigned int bad = 0;

	for (unsigned int i = 0; i < sizeof(live); i++)
		live[i] = i * 7;
	/* No system call from here on: only host interrupts end the guest's run. */
	while (__atomic_load_n(&hits, __ATOMIC_ACQUIRE) < until)
		;
	for (unsigned int i = 0; i < sizeof(live); i++)
		bad += live[i] != (unsigned char)(i * 7);
	return bad;
}

static void deep_stack(void)
{
	hits = 0;
	handle(SIGALRM, on_hit, 0);
	mode_enter();
	interval(ITIMER_REAL, 1000);
	for (int i = 0; i < 10; i++)
		CHECK_EQ(damage(), 0);
	interval(ITIMER_REAL, 0);
	mode_exit();
}

int main(int argc, char **argv)
{
	test_start(argc, argv, (struct test_opts){ .rounds = 500, .threads = 3 });
	test_part("restarted_read", restarted_read);
	test_part("interrupted_read", interrupted_read);
	test_part("stream", stream);
	test_part("nested", nested);
	test_part("alternate_stack", alternate_stack);
	test_part("prof_storm", prof_storm);
	test_part("directed", directed);
	test_part("jumps", jumps);
	test_part("waits", waits);
	test_part("deep_stack", deep_stack);
	test_part("stop_and_continue", stop_and_continue);
	return test_end();
}
