// SPDX-License-Identifier: GPL-2.0 OR MIT
/* New processes. */
#include "abi.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static int value = 1;
static __thread int own = 2;

static void exit_with(void *arg)
{
	_exit((int)(long)arg);
}

static void status(void)
{
	unsigned long n = rounds(16);

	for (unsigned long i = 0; i < n; i++)
		CHECK_EQ(status_of(exit_with, (void *)(i * 17 % 256)), i * 17 % 256 << 8);
	CHECK_EQ(status_of(exit_with, (void *)0x1234), 0x34 << 8);
}

/* The child has all that there was, and changes nothing of its parent's. */
static void inherits(void *arg)
{
	int *shared = arg;

	CHECK_EQ(value, 77);
	CHECK_EQ(own, 78);
	CHECK_EQ(proc_status("Threads"), 1);
	CHECK_EQ(getpid(), gettid());
	CHECK_EQ(getppid(), shared[1]);
	CHECK_EQ(getpid(), syscall(SYS_getpid));
	value = own = 0;
	shared[0] = 5;
}

static void fork_copies(void)
{
	int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	REQUIRE(shared != MAP_FAILED);
	value = 77;
	own = 78;
	shared[1] = getpid();
	in_child(inherits, shared);
	CHECK_EQ(shared[0], 5);
	CHECK_EQ(value, 77);
	CHECK_EQ(own, 78);
}

/* A child's child's child... */
static void generation(void *arg)
{
	long left = (long)arg;

	if (left)
		CHECK_EQ(status_of(generation, (void *)(left - 1)), (left - 1) % 7 << 8);
	if (!check_failures)
		_exit(left % 7);
}

static void generations(void)
{
	CHECK_EQ(status_of(generation, (void *)12l), 12 % 7 << 8);
}

/* --- with threads --- */

static volatile int stop;

static void *allocates(void *arg)
{
	while (!stop)
		free(malloc(1000 + (size_t)arg));
	return NULL;
}

static void uses_libc(void *arg)
{
	char *text = malloc(100000);
	pthread_t thread;

	CHECK_EQ(own, (int)(long)arg);
	CHECK_EQ(proc_status("Threads"), 1);
	memset(text, 1, 100000);
	free(text);
	stop = 1;
	REQUIRE(!pthread_create(&thread, NULL, allocates, NULL));
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

static void *forks(void *arg)
{
	own = 500 + (int)(long)arg;
	for (int i = 0; i < 4; i++)
		in_child(uses_libc, (void *)(long)own);
	return NULL;
}

/* fork() in threads, while others hold libc's locks. */
static void fork_threads(void)
{
	pthread_t busy[2], threads[3];

	for (long i = 0; i < 2; i++)
		REQUIRE(!pthread_create(&busy[i], NULL, allocates, (void *)i));
	for (long i = 0; i < 3; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, forks, (void *)i));
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	stop = 1;
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_join(busy[i], NULL), 0);
}

static int prepared, in_parent, in_child_;

static void note_prepare(void)
{
	prepared++;
}

static void note_parent(void)
{
	in_parent++;
}

static void note_child(void)
{
	in_child_++;
}

static void was_told(void *arg)
{
	CHECK_EQ(prepared, 1);
	CHECK_EQ(in_parent, 0);
	CHECK_EQ(in_child_, 1);
}

static void at_fork(void)
{
	REQUIRE(!pthread_atfork(note_prepare, note_parent, note_child));
	in_child(was_told, NULL);
	CHECK_EQ(prepared, 1);
	CHECK_EQ(in_parent, 1);
	CHECK_EQ(in_child_, 0);
}

/* --- vfork --- */

static volatile int shared_by_vfork;

static void __attribute__((noinline)) vfork_exit(int code)
{
	pid_t pid = vfork();

	REQUIRE(pid >= 0);
	if (!pid) {
		shared_by_vfork = code + 1;
		_exit(code);
	}
	CHECK_EQ(shared_by_vfork, code + 1);
	CHECK_EQ(wait_status(pid), code << 8);
}

static void __attribute__((noinline)) vfork_exec(int code)
{
	char text[32];
	pid_t pid;

	snprintf(text, sizeof(text), "exit %d", code);
	pid = vfork();
	REQUIRE(pid >= 0);
	if (!pid) {
		execl("/bin/sh", "sh", "-c", text, NULL);
		_exit(99);
	}
	CHECK_EQ(wait_status(pid), code << 8);
}

static volatile int exec_errno;

static void __attribute__((noinline)) vfork_fails(void)
{
	pid_t pid = vfork();

	if (!pid) {
		execl("/no/such/file", "x", NULL);
		exec_errno = errno;
		_exit(13);
	}
	CHECK_EQ(exec_errno, ENOENT);
	CHECK_EQ(wait_status(pid), 13 << 8);
}

static void vforks(void)
{
	unsigned long n = rounds(5);

	for (unsigned long i = 0; i < n; i++) {
		vfork_exit(i % 50);
		vfork_exec(i % 50 + 3);
		vfork_fails();
	}
}

static void *vfork_thread(void *arg)
{
	own = (int)(long)arg;
	for (int i = 0; i < 3; i++) {
		vfork_exec((int)(long)arg);
		CHECK_EQ(own, (int)(long)arg);
	}
	return NULL;
}

static void vfork_threads(void)
{
	pthread_t threads[3];

	for (long i = 0; i < 3; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, vfork_thread, (void *)(i + 10)));
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
}

/* --- posix_spawn, popen, system --- */

static volatile int signals;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	signals++;
}

static void spawn(void)
{
	char *argv[] = { "sh", "-c", "read line; test \"$line\" = hello && exit 7", NULL };
	char *none[] = { "x", NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t set = set_of(SIGUSR1), empty;
	int fds[2], ret;
	pid_t pid;

	REQUIRE(!pipe2(fds, O_CLOEXEC));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[0], 0);
	posix_spawnattr_init(&attr);
	sigemptyset(&empty);
	posix_spawnattr_setsigmask(&attr, &empty);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	/* The child takes it back, for itself. */
	handle(SIGUSR2, on_signal, 0);
	sigprocmask(SIG_BLOCK, &set, NULL);
	ret = posix_spawn(&pid, "/bin/sh", &actions, &attr, argv, environ);
	CHECK_EQ(ret, 0);
	CHECK_EQ(getpgid(pid), pid);
	CHECK_EQ(write(fds[1], "hello\n", 6), 6);
	CHECK_EQ(wait_status(pid), 7 << 8);
	CHECK_EQ(posix_spawn(&pid, "/no/such/file", NULL, NULL, none, environ), ENOENT);
	CHECK_EQ(posix_spawn(&pid, "/etc", NULL, NULL, none, environ), EACCES);
	CHECK_EQ(posix_spawnp(&pid, "no-such-program-anywhere", NULL, NULL, none, environ), ENOENT);
	raise(SIGUSR2);
	CHECK_EQ(signals, 1);
	/* What it was blocked for is as it was. */
	sigprocmask(SIG_BLOCK, NULL, &empty);
	CHECK_EQ(sigismember(&empty, SIGUSR1), 1);
	CHECK_EQ(sigismember(&empty, SIGUSR2), 0);
}

static void shell(void)
{
	char line[64] = "";
	FILE *f;

	CHECK_EQ(system("exit 5"), 5 << 8);
	CHECK_EQ(system("kill -9 $$"), SIGKILL);
	CHECK(system(NULL) != 0);
	f = popen("echo one; exit 9", "r");
	REQUIRE(f);
	CHECK(fgets(line, sizeof(line), f) && !strcmp(line, "one\n"));
	CHECK(!fgets(line, sizeof(line), f));
	CHECK_EQ(pclose(f), 9 << 8);
	f = popen("read x; test $x = abc", "w");
	REQUIRE(f);
	fputs("abc\n", f);
	CHECK_EQ(pclose(f), 0);
}

/* --- many --- */

/* By fork() and by vfork() in turn; each has a status of its own. */
static pid_t run_ending(unsigned int status)
{
	char text[8];
	pid_t pid;

	snprintf(text, sizeof(text), "%u", status);
	pid = status % 2 ? vfork() : fork();
	if (!pid) {
		execl(self_path(), "abi", "--role", "ends", text, NULL);
		_exit(254);
	}
	return pid;
}

/* Two at a time. */
static void exec_storm(void)
{
	unsigned long n = rounds(10000), exact = 0;
	pid_t pid[2] = { -1, -1 };
	int status;

	for (unsigned long i = 0; i < n + 2; i++) {
		if (pid[i % 2] > 0)
			exact += waitpid(pid[i % 2], &status, 0) == pid[i % 2] &&
				 status == (int)((i - 2) % 251) << 8;
		if (i < n)
			pid[i % 2] = run_ending(i % 251);
	}
	CHECK_EQ(exact, n);
	CHECK_ERRNO(waitpid(-1, &status, WNOHANG), ECHILD);
}

const struct part fork_parts[] = {
	{ "fork_status", "fork() and exit statuses", status },
	{ "fork_copies", "what a child has, and what it changes", fork_copies },
	{ "generations", "children of children", generations },
	{ "fork_threads", "fork() in threads beside others", fork_threads },
	{ "at_fork", "pthread_atfork()", at_fork },
	{ "vfork", "vfork() with exit, exec, and an exec that fails", vforks },
	{ "vfork_threads", "vfork() in several threads at once", vfork_threads },
	{ "spawn", "posix_spawn(), and what it refuses", spawn },
	{ "shell", "system() and popen()", shell },
	{ "exec_storm", "fork(), vfork() and execve(), many times: all statuses are exact",
	  exec_storm },
	{ NULL, NULL, NULL },
};
