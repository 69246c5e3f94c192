// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Tasks made and ended from Dune mode: clone of threads, fork, vfork and exec,
 * posix_spawn, execve in place, exit_group from a worker, exit of the first
 * thread. All as in Linux.
 */
#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern char **environ;
static volatile int word;

static void *plain_thread(void *arg)
{
	/* A new thread starts in plain Linux and may enter. */
	CHECK_EQ(dune_inside(), 0);
	mode_enter();
	__atomic_add_fetch(&word, 1, __ATOMIC_RELAXED);
	CHECK_EQ(syscall(SYS_gettid) != getpid(), 1);
	mode_exit();
	return arg;
}

static void threads(void)
{
	pthread_t t[8];
	void *ret;

	word = 0;
	mode_enter();
	for (long i = 0; i < 8; i++)
		REQUIRE(pthread_create(&t[i], NULL, plain_thread, (void *)i) == 0);
	for (long i = 0; i < 8; i++) {
		CHECK_EQ(pthread_join(t[i], &ret), 0);
		CHECK_EQ((long)ret, i);
	}
	mode_exit();
	CHECK_EQ(word, 8);
}

static int bare_thread(void *arg)
{
	word = 4711;
	return 0;
}

/* clone() with a stack of its own, without pthreads. */
static void bare_clone(void)
{
	char *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status = 0;
	pid_t pid;

	REQUIRE(stack != MAP_FAILED);
	word = 0;
	mode_enter();
	pid = clone(bare_thread, stack + 65536, CLONE_VM | SIGCHLD, NULL);
	CHECK(pid > 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	mode_exit();
	CHECK_EQ(status, 0);
	CHECK_EQ(word, 4711);
	munmap(stack, 65536);
}

static void forks(void)
{
	static int data = 1;
	int status = -1;
	pid_t pid;

	mode_enter();
	for (int i = 0; i < 10; i++) {
		fflush(stdout);
		pid = fork();
		if (pid == 0) {
			if (dune_inside())
				_exit(1);
			if (getppid() == getpid() || data != 1 + i)
				_exit(2);
			data = 999;
			_exit(50 + i);
		}
		CHECK(pid > 0);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK(WIFEXITED(status));
		CHECK_EQ(WEXITSTATUS(status), 50 + i);
		CHECK_EQ(dune_inside(), !opt.native);
		CHECK_EQ(data, 1 + i);
		data++;
	}
	mode_exit();
}

/*
 * fork() by a bare SYSCALL with patterns in the registers a child keeps; the
 * child's exit status is the number of registers that changed.
 */
static long fork_with_patterns(void)
{
	long pid = SYS_fork;

	asm volatile("lea -128(%%rsp), %%rsp\n"	/* the red zone */
		     "push %%rbx; push %%rbp\n"
		     "mov $0x0b0b0b0b, %%ebx\n"
		     "mov $0x0e0e0e0e, %%ebp\n"
		     "mov $0x12121212, %%r12d\n"
		     "mov $0x13131313, %%r13d\n"
		     "mov $0x14141414, %%r14d\n"
		     "mov $0x15151515, %%r15d\n"
		     "mov $0x08080808, %%r8d\n"
		     "mov $0x0d0d0d0d, %%edi\n"
		     "syscall\n"
		     "xor %%edx, %%edx\n"
#define KEPT(reg, value)                                      \
		     "cmp $" value ", %%" reg "\n"            \
		     "je 1f\n"                                \
		     "inc %%edx\n"                            \
		     "1:\n"
		     KEPT("rbx", "0x0b0b0b0b") KEPT("rbp", "0x0e0e0e0e")
		     KEPT("r12", "0x12121212") KEPT("r13", "0x13131313")
		     KEPT("r14", "0x14141414") KEPT("r15", "0x15151515")
		     KEPT("r8", "0x08080808") KEPT("rdi", "0x0d0d0d0d")
		     "test %%rax, %%rax\n"
		     "jnz 2f\n"
		     "mov %%edx, %%edi\n"
		     "mov $60, %%eax\n"	/* SYS_exit */
		     "syscall\n"
		     "2:	pop %%rbp; pop %%rbx\n"
		     "lea 128(%%rsp), %%rsp\n"
		     "test %%edx, %%edx\n"
		     "jz 3f\n"
		     "mov $-1, %%rax\n"
		     "3:\n"
		     : "+a"(pid)
		     :
		     : "rcx", "rdx", "rdi", "r8", "r11", "r12", "r13", "r14",
		       "r15", "cc", "memory");
	return pid;
}

static void fork_registers(void)
{
	int status = -1;
	long pid;

	fflush(stdout);
	mode_enter();
	pid = fork_with_patterns();
	mode_exit();
	CHECK(pid > 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

static void vforks(void)
{
	char *argv[] = { "false-or-true", "--child-exit", "9", NULL };
	int status = -1;
	pid_t pid;

	mode_enter();
	for (int i = 0; i < 5; i++) {
		pid = vfork();
		if (pid == 0) {
			execve("/proc/self/exe", argv, environ);
			_exit(99);
		}
		CHECK(pid > 0);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(WEXITSTATUS(status), 9);
		CHECK_EQ(dune_inside(), !opt.native);
	}
	CHECK_EQ(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(WEXITSTATUS(status), 9);
	pid = -1;
	CHECK_EQ(posix_spawn(&pid, "/no/such/file", NULL, NULL, argv, environ), ENOENT);
	mode_exit();
}

static void do_exec(void *arg)
{
	char *argv[] = { "exec", "--child-exit", "11", NULL };

	mode_enter();
	execve("/proc/self/exe", argv, environ);
	_exit(98);
}

static volatile int others;

static void *other_thread(void *arg)
{
	mode_enter();
	__atomic_add_fetch(&others, 1, __ATOMIC_RELEASE);
	for (;;)
		spin(1000);
	return NULL;
}

/* execve while other threads run in Dune mode. */
static void do_exec_threads(void *arg)
{
	pthread_t t;

	others = 0;
	for (int i = 0; i < 3; i++)
		REQUIRE(pthread_create(&t, NULL, other_thread, NULL) == 0);
	wait_for(&others, 3, 30);
	do_exec(arg);
}

static void exec(void)
{
	int status;

	status = run_child(60, do_exec, NULL);
	CHECK_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -status, 11);
	status = run_child(60, do_exec_threads, NULL);
	CHECK_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -status, 11);
}

static void *exiting_thread(void *arg)
{
	mode_enter();
	while (__atomic_load_n(&others, __ATOMIC_ACQUIRE) != 3)
		sched_yield();
	syscall(SYS_exit_group, 21);
	return NULL;
}

static void do_exit_group(void *arg)
{
	pthread_t t;

	others = 0;
	for (int i = 0; i < 3; i++)
		REQUIRE(pthread_create(&t, NULL, other_thread, NULL) == 0);
	REQUIRE(pthread_create(&t, NULL, exiting_thread, NULL) == 0);
	mode_enter();
	for (;;)
		spin(1000);
}

static void do_exit_inside(void *arg)
{
	mode_enter();
	exit(22);
}

static void *last_thread(void *arg)
{
	/* The first thread is a zombie now, the process goes on. */
	mode_enter();
	for (int i = 0; i < 50; i++)
		sched_yield();
	exit(23);
}

static void do_first_exits(void *arg)
{
	pthread_t t;

	mode_enter();
	REQUIRE(pthread_create(&t, NULL, last_thread, NULL) == 0);
	pthread_exit(NULL);
}

static void exits(void)
{
	int status;

	status = run_child(60, do_exit_group, NULL);
	CHECK_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -status, 21);
	status = run_child(60, do_exit_inside, NULL);
	CHECK_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -status, 22);
	status = run_child(60, do_first_exits, NULL);
	CHECK_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -status, 23);
}

static void *exit_inside(void *arg)
{
	mode_enter();
	if (arg)
		pthread_exit(arg);
	return NULL;
}

/* Threads end while in Dune mode, by return, pthread_exit and cancellation. */
static void thread_exits(void)
{
	pthread_t t;
	void *ret;

	for (long i = 0; i < 10; i++) {
		REQUIRE(pthread_create(&t, NULL, exit_inside, (void *)(i & 1)) == 0);
		CHECK_EQ(pthread_join(t, &ret), 0);
		CHECK_EQ((long)ret, i & 1);
	}
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--child-exit"))
		return atoi(argv[2]);
	test_start(argc, argv, (struct test_opts){ .threads = 4 });
	test_part("threads", threads);
	test_part("bare_clone", bare_clone);
	test_part("forks", forks);
	test_part("fork_registers", fork_registers);
	test_part("vforks", vforks);
	test_part("exec", exec);
	test_part("exits", exits);
	test_part("thread_exits", thread_exits);
	return test_end();
}
