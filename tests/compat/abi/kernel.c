// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Other services of Linux. */
#include "abi.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <asm/prctl.h>

/* --- time --- */

static uint64_t ns(const struct timespec *t)
{
	return t->tv_sec * 1000000000ul + t->tv_nsec;
}

/* The vDSO's clock is between two of the kernel's. */
static void clocks(void)
{
	static const clockid_t ids[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME,
					 CLOCK_MONOTONIC_COARSE, CLOCK_THREAD_CPUTIME_ID };
	struct timespec a, b, c;

	for (unsigned int i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
		for (unsigned long k = 0; k < rounds(200); k++) {
			CHECK_EQ(syscall(SYS_clock_gettime, ids[i], &a), 0);
			CHECK_EQ(clock_gettime(ids[i], &b), 0);
			CHECK_EQ(syscall(SYS_clock_gettime, ids[i], &c), 0);
			CHECK(ns(&a) <= ns(&b) && ns(&b) <= ns(&c));
		}
	}
	CHECK(time(NULL) - syscall(SYS_time, NULL) < 2);
}

static void cpus(void)
{
	unsigned int cpu, node, cpu2;
	cpu_set_t set, old;

	CHECK_EQ(sched_getaffinity(0, sizeof(old), &old), 0);
	for (int i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET(i, &old))
			continue;
		CPU_ZERO(&set);
		CPU_SET(i, &set);
		CHECK_EQ(sched_setaffinity(0, sizeof(set), &set), 0);
		CHECK_EQ(getcpu(&cpu, &node), 0);
		CHECK_EQ(syscall(SYS_getcpu, &cpu2, NULL, NULL), 0);
		CHECK_EQ(cpu, i);
		CHECK_EQ(cpu2, i);
		CHECK_EQ(sched_getcpu(), i);
	}
	CHECK_EQ(sched_setaffinity(0, sizeof(old), &old), 0);
}

/* --- pidfd --- */

static void pidfds(void)
{
	struct pollfd p = { .events = POLLIN };
	pid_t pid = fork();
	siginfo_t info;
	int fd;

	REQUIRE(pid >= 0);
	if (!pid)
		for (;;)
			pause();
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	REQUIRE(fd >= 0);
	p.fd = fd;
	CHECK_EQ(poll(&p, 1, 0), 0);
	CHECK_EQ(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0), 0);
	CHECK_EQ(poll(&p, 1, 60000), 1);
	memset(&info, 0, sizeof(info));
	CHECK_EQ(waitid(3 /* P_PIDFD */, fd, &info, WEXITED), 0);
	CHECK_EQ(info.si_status, SIGTERM);
	CHECK_EQ(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), -1);
	CHECK_EQ(errno, ESRCH);
	close(fd);
	CHECK_ERRNO(syscall(SYS_pidfd_open, -1, 0), EINVAL);
}

/* --- prctl, arch_prctl --- */

static void names(void)
{
	char name[16] = "";

	CHECK_EQ(prctl(PR_SET_NAME, "another name is cut"), 0);
	CHECK_EQ(prctl(PR_GET_NAME, name), 0);
	CHECK(!strcmp(name, "another name is"));
	CHECK_EQ(prctl(PR_SET_DUMPABLE, 0), 0);
	CHECK_EQ(prctl(PR_GET_DUMPABLE), 0);
	/* It goes on, and so do children. */
	CHECK_EQ(system("exit 4"), 4 << 8);
	CHECK_EQ(prctl(PR_SET_DUMPABLE, 1), 0);
	CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	CHECK_EQ(system("exit 4"), 4 << 8);
	CHECK_ERRNO(prctl(99999, 0, 0, 0, 0), EINVAL);
}

static void gs_base(void)
{
	static uint64_t block[2] = { 0x1234, 0x5678 };
	uint64_t got = 0, word;

	CHECK_EQ(syscall(SYS_arch_prctl, ARCH_SET_GS, block), 0);
	asm volatile("mov %%gs:8, %0" : "=r" (word));
	CHECK_EQ(word, 0x5678);
	CHECK_EQ(syscall(SYS_arch_prctl, ARCH_GET_GS, &got), 0);
	CHECK_EQ(got, (uint64_t)block);
	for (int i = 0; i < 100; i++)
		sched_yield();
	CHECK_EQ(system("exit 4"), 4 << 8);
	asm volatile("mov %%gs:0, %0" : "=r" (word));
	CHECK_EQ(word, 0x1234);
	CHECK_EQ(syscall(SYS_arch_prctl, ARCH_SET_GS, 0), 0);
	CHECK_ERRNO(syscall(SYS_arch_prctl, ARCH_SET_FS, -1ul), EPERM);
	CHECK_ERRNO(syscall(SYS_arch_prctl, 0x7777, 0), EINVAL);
}

static void fs_base_child(void *arg)
{
	static uint64_t block[64];
	uint64_t old, got, word;

	/* libc's thread pointer is away meanwhile. */
	block[5] = 0xabcdef;
	asm volatile("syscall" : "=a" (got) : "a" (SYS_arch_prctl), "D" (ARCH_GET_FS), "S" (&old)
		     : "rcx", "r11", "memory");
	asm volatile("syscall" : "=a" (got) : "a" (SYS_arch_prctl), "D" (ARCH_SET_FS), "S" (block)
		     : "rcx", "r11", "memory");
	asm volatile("mov %%fs:40, %0" : "=r" (word));
	asm volatile("syscall" : "=a" (got) : "a" (SYS_arch_prctl), "D" (ARCH_SET_FS), "S" (old)
		     : "rcx", "r11", "memory");
	CHECK_EQ(word, 0xabcdef);
}

static void fs_base(void)
{
	in_child(fs_base_child, NULL);
}

/* --- seccomp --- */

#ifndef SYS_SECCOMP
#define SYS_SECCOMP	1	/* si_code */
#endif

static void filter_child(void *arg)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 77),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sysinfo, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP | 5),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(filter) / sizeof(*filter), filter };

	REQUIRE(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	REQUIRE(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog));
}

static volatile int trapped, trap_nr, trap_errno;
static volatile uint64_t trap_at, trap_rip;

static void on_sys(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	trapped = info->si_code;
	trap_nr = info->si_syscall;
	trap_errno = info->si_errno;
	trap_at = (uint64_t)info->si_call_addr;
	trap_rip = uc->uc_mcontext.gregs[REG_RIP];
	uc->uc_mcontext.gregs[REG_RAX] = 5150;
}

static void filtered(void *arg)
{
	handle(SIGSYS, on_sys, 0);
	filter_child(NULL);
	CHECK_ERRNO(syscall(SYS_getppid), 77);
	CHECK_EQ(syscall(SYS_sysinfo, NULL), 5150);
	CHECK_EQ(trapped, SYS_SECCOMP);
	CHECK_EQ(trap_nr, SYS_sysinfo);
	CHECK_EQ(trap_errno, 5);
	CHECK_EQ(trap_at, trap_rip);
	CHECK_EQ(system("exit 4"), 4 << 8);
}

static void *thread_asks(void *arg)
{
	CHECK_ERRNO(syscall(SYS_getppid), 77);
	return NULL;
}

static void filtered_threads(void *arg)
{
	pthread_t thread;

	filter_child(NULL);
	REQUIRE(!pthread_create(&thread, NULL, thread_asks, NULL));
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

static void seccomp(void)
{
	in_child(filtered, NULL);
	in_child(filtered_threads, NULL);
}

/*
 * What may be refused, as by a kernel that has it not; else it works. In dune-run it
 * would stop the next call that the program did not make.
 */

static volatile char selector;

static void let_through(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	selector = SYSCALL_DISPATCH_FILTER_ALLOW;
	trap_nr = info->si_syscall;
}

static void dispatched(void *arg)
{
	struct sigaction sa = { .sa_sigaction = let_through, .sa_flags = SA_SIGINFO };

	(void)arg;
	sigaction(SIGSYS, &sa, NULL);
	selector = SYSCALL_DISPATCH_FILTER_ALLOW;
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &selector)) {
		CHECK_EQ(errno, EINVAL);
		return;
	}
	selector = SYSCALL_DISPATCH_FILTER_BLOCK;
	syscall(SYS_getppid);
	CHECK_EQ(trap_nr, SYS_getppid);
	CHECK_EQ(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0), 0);
}

static void strict(void *arg)
{
	if (arg ? syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, NULL) :
		  prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT)) {
		CHECK_EQ(errno, EINVAL);
		return;
	}
	/* exit_group() would be too much. */
	syscall(SYS_exit, 0);
}

static void stoppers(void)
{
	in_child(dispatched, NULL);
	in_child(strict, NULL);
	in_child(strict, "seccomp()");
	CHECK_EQ(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0), 0);
	CHECK_ERRNO(prctl(PR_SET_SYSCALL_USER_DISPATCH, 7, 0, 0, 0), EINVAL);
}

/* --- calls that are none --- */

static void no_calls(void)
{
	static const long numbers[] = { 450 + 500, 1000, 0x40000000 | 39, -1, 340, 0x7fffffff };

	for (unsigned int i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		CHECK_ERRNO(syscall(numbers[i], 0, 0, 0), ENOSYS);
}

const struct part kernel_parts[] = {
	{ "clocks", "the vDSO's clocks beside the kernel's", clocks },
	{ "cpus", "getcpu() and affinity", cpus },
	{ "pidfd", "pidfd_open(), poll, signals", pidfds },
	{ "prctl", "names, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS", names },
	{ "gs_base", "ARCH_SET_GS", gs_base },
	{ "fs_base", "ARCH_SET_FS", fs_base },
	{ "seccomp", "a filter that returns errors and traps", seccomp },
	{ "stoppers", "strict seccomp and user dispatch, if they are there", stoppers },
	{ "no_calls", "system calls that do not exist", no_calls },
	{ NULL, NULL, NULL },
};
