// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Signals during system calls that wait. */
#include "abi.h"

#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

static volatile int count;
static int fds[2];

static void note(int sig, siginfo_t *info, void *context)
{
	count++;
}

static void note_and_write(int sig, siginfo_t *info, void *context)
{
	count++;
	if (write(fds[1], "x", 1) != 1)
		_exit(9);
}

static timer_t timer;

/* When the call waits; and again, in case that it did not yet. */
static void soon(int sig)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = sig };
	const struct itimerspec then = { { 0, 80000000 }, { 0, 2000000 } };

	if (timer)
		timer_delete(timer);
	REQUIRE(!timer_create(CLOCK_MONOTONIC, &event, &timer));
	REQUIRE(!timer_settime(timer, 0, &then, NULL));
}

static void read_pipe(void)
{
	char c = 0;

	REQUIRE(!pipe(fds));
	handle(SIGUSR1, note, 0);
	soon(SIGUSR1);
	CHECK_ERRNO(read(fds[0], &c, 1), EINTR);
	CHECK(count >= 1);
	/* It goes on waiting; the handler ends that. */
	handle(SIGUSR1, note_and_write, SA_RESTART);
	soon(SIGUSR1);
	CHECK_EQ(read(fds[0], &c, 1), 1);
	CHECK_EQ(c, 'x');
	CHECK(count >= 2);
}

static void sockets(void)
{
	char buf[4];

	REQUIRE(!socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	handle(SIGUSR1, note, 0);
	soon(SIGUSR1);
	CHECK_ERRNO(recv(fds[0], buf, 4, 0), EINTR);
	handle(SIGUSR1, note_and_write, SA_RESTART);
	soon(SIGUSR1);
	CHECK_EQ(recv(fds[0], buf, 4, 0), 1);
	CHECK(count >= 2);
}

static void sleeps(void)
{
	struct timespec ask = { 3, 0 }, left = { 77, 77 }, t0, t1;
	long took, rest;

	handle(SIGUSR1, note, SA_RESTART);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	soon(SIGUSR1);
	/* Never restarted. */
	CHECK_ERRNO(nanosleep(&ask, &left), EINTR);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	CHECK(count >= 1);
	took = (t1.tv_sec - t0.tv_sec) * 1000000000 + t1.tv_nsec - t0.tv_nsec;
	rest = left.tv_sec * 1000000000 + left.tv_nsec;
	CHECK_IN(rest, 1, 3000000000);
	/* Both together are what was asked for; a machine that is busy takes longer. */
	CHECK(took + rest >= 3000000000 - 3000000);
	CHECK(rest <= 3000000000 - 1000000);
}


/* A stop and a continuation: nanosleep() goes on, by restart_syscall(). */
static void stopped_sleep(void *arg)
{
	struct timespec ask = { 0, 300000000 }, t0, t1;

	clock_gettime(CLOCK_MONOTONIC, &t0);
	CHECK_EQ(nanosleep(&ask, NULL), 0);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	CHECK((t1.tv_sec - t0.tv_sec) * 1000000000 + t1.tv_nsec - t0.tv_nsec >= 300000000);
}

static void stop_cont(void)
{
	struct timespec moment = { 0, 50000000 };
	int status;
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (!pid) {
		stopped_sleep(NULL);
		_exit(check_failures != 0);
	}
	nanosleep(&moment, NULL);
	CHECK_EQ(kill(pid, SIGSTOP), 0);
	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	CHECK(WIFSTOPPED(status));
	CHECK_EQ(kill(pid, SIGCONT), 0);
	CHECK_EQ(wait_status(pid), 0);
}

/* --- futex, wait4, and others: EINTR or restart as Linux has it --- */

static void futex_wait(void)
{
	const struct timespec long_time = { 5, 0 };
	int word = 0;

	handle(SIGUSR1, note, 0);
	soon(SIGUSR1);
	CHECK_EQ(syscall(SYS_futex, &word, 0, 0, NULL, NULL, 0), -1);
	CHECK_EQ(errno, EINTR);
	soon(SIGUSR1);
	CHECK_EQ(syscall(SYS_futex, &word, 0, 0, &long_time, NULL, 0), -1);
	CHECK_EQ(errno, EINTR);
	CHECK(count >= 2);
}

static void child_waits(void)
{
	pid_t pid = fork();
	int status;

	REQUIRE(pid >= 0);
	if (!pid) {
		signal(SIGTERM, SIG_DFL);
		for (;;)
			pause();
	}
	handle(SIGUSR1, note, 0);
	soon(SIGUSR1);
	CHECK_ERRNO(waitpid(pid, &status, 0), EINTR);
	CHECK(count >= 1);
	kill(pid, SIGTERM);
	CHECK_EQ(wait_status(pid), SIGTERM);
}

static void pauses(void)
{
	handle(SIGUSR1, note, SA_RESTART);
	soon(SIGUSR1);
	CHECK_ERRNO(pause(), EINTR);
	CHECK(count >= 1);
}

/* --- a storm while calls wait and move data --- */

static volatile int stop;
static pthread_t reader;
#define MESSAGE	16

static void *send_signals(void *arg)
{
	while (!stop) {
		pthread_kill(reader, SIGUSR1);
		sched_yield();
	}
	return NULL;
}

static void *send_bytes(void *arg)
{
	unsigned long n = (unsigned long)arg;

	for (unsigned long i = 0; i < n; i++) {
		uint64_t message[MESSAGE / 8] = { i, ~i };

		REQUIRE(write(fds[1], message, MESSAGE) == MESSAGE);
	}
	return NULL;
}

/* With SA_RESTART no read() of a pipe fails, and no byte is lost or doubled. */
static void read_storm(void)
{
	unsigned long n = rounds(3000);
	pthread_t threads[2];

	REQUIRE(!pipe(fds));
	handle(SIGUSR1, note, SA_RESTART);
	reader = pthread_self();
	REQUIRE(!pthread_create(&threads[0], NULL, send_signals, NULL));
	REQUIRE(!pthread_create(&threads[1], NULL, send_bytes, (void *)n));
	for (unsigned long i = 0; i < n; i++) {
		uint64_t message[MESSAGE / 8] = { 0 };

		if (!CHECK_EQ(read(fds[0], message, MESSAGE), MESSAGE))
			FAIL("errno %d", errno);
		CHECK_EQ(message[0], i);
		CHECK_EQ(message[1], ~i);
	}
	while (!count)
		sched_yield();
	stop = 1;
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
}

/* Without: EINTR is all that may come. */
static void eintr_storm(void)
{
	unsigned long n = rounds(500);
	pthread_t thread;
	int word = 0;

	handle(SIGUSR1, note, 0);
	reader = pthread_self();
	REQUIRE(!pthread_create(&thread, NULL, send_signals, NULL));
	for (unsigned long i = 0; i < n; i++) {
		CHECK_EQ(syscall(SYS_futex, &word, 0, 0, NULL, NULL, 0), -1);
		CHECK_EQ(errno, EINTR);
		CHECK_EQ(syscall(SYS_futex, &word, 0, 1, NULL, NULL, 0), -1);
		CHECK_EQ(errno, EAGAIN);
	}
	stop = 1;
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK(count > 0);
}

const struct part restart_parts[] = {
	{ "read_pipe", "read() of a pipe: EINTR, SA_RESTART", read_pipe },
	{ "sockets", "recv(): EINTR, SA_RESTART", sockets },
	{ "nanosleep", "what is left of nanosleep()", sleeps },
	{ "stop_cont", "SIGSTOP and SIGCONT while it sleeps", stop_cont },
	{ "futex_wait", "futex(): EINTR, with and without a time", futex_wait },
	{ "child_waits", "waitpid(): EINTR", child_waits },
	{ "pause", "pause() always ends", pauses },
	{ "read_storm", "read() in a storm of signals", read_storm },
	{ "eintr_storm", "futex() in a storm of signals", eintr_storm },
	{ NULL, NULL, NULL },
};
