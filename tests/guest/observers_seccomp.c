// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * seccomp filters and syscall user dispatch decide over calls made in Dune
 * mode as over any others: each action, set up before and after the thread
 * entered, by itself and by another thread; with and without fast calls.
 */
#include "test.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_ON 1
#endif

/* si_code of a trap; glibc has no name for it. */
#define TRAPPED	1

#define CALLS	20
#define MAGIC	0x123456789abcdef0ul

/* getppid() ignores its arguments, observers see them. */
static long call_it(long a)
{
	long ret = SYS_getppid;

	asm volatile("syscall" : "+a" (ret) : "D" (a), "S" (2l), "d" (3l)
		     : "rcx", "r11", "memory");
	return ret;
}

/* What the filter does with getppid from now on; the value of seccomp(). */
static long filter(uint32_t action, unsigned int flags)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(code) / sizeof(*code), code };

	CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
}

/* ---- each action, filter installed before or after entering ---- */

enum when { BEFORE, AFTER };

/* Into Dune mode with the filter there; calls were fast without it. */
static long enter_with(uint32_t action, unsigned int flags, enum when when)
{
	long ret = 0;

	if (when == BEFORE)
		ret = filter(action, flags);
	mode_enter();
	if (when == AFTER) {
		CHECK(call_it(0) > 0);
		ret = filter(action, flags);
	}
	return ret;
}

static void errno_child(void *when)
{
	uint64_t fast;

	CHECK_EQ(enter_with(SECCOMP_RET_ERRNO | 77, 0, (long)when), 0);
	fast = vcpu_stat(DUNE_VCPU_fast_syscalls);
	for (int i = 0; i < CALLS; i++)
		CHECK_EQ(call_it(i), -77);
	CHECK_EQ(vcpu_stat(DUNE_VCPU_fast_syscalls), fast);
	mode_exit();
}

static void trace_child(void *when)
{
	CHECK_EQ(enter_with(SECCOMP_RET_TRACE, 0, (long)when), 0);
	CHECK_EQ(call_it(1), -ENOSYS);
	mode_exit();
}

static volatile int traps, bad_traps;

static void on_trap(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	traps++;
	if (info->si_code != TRAPPED || info->si_syscall != SYS_getppid ||
	    info->si_arch != AUDIT_ARCH_X86_64 || info->si_errno != 55 ||
	    uc->uc_mcontext.gregs[REG_RDI] != (long)MAGIC ||
	    uc->uc_mcontext.gregs[REG_RSI] != 2 || uc->uc_mcontext.gregs[REG_RDX] != 3)
		bad_traps++;
	uc->uc_mcontext.gregs[REG_RAX] = 1000 + traps;
}

static void trap_child(void *when)
{
	struct sigaction sa = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };

	sigaction(SIGSYS, &sa, NULL);
	CHECK_EQ(enter_with(SECCOMP_RET_TRAP | 55, 0, (long)when), 0);
	for (int i = 1; i <= CALLS; i++)
		CHECK_EQ(call_it(MAGIC), 1000 + i);
	mode_exit();
	CHECK_EQ(traps, CALLS);
	CHECK_EQ(bad_traps, 0);
}

static volatile int reached, came_back;

static void *killed_thread(void *when)
{
	enter_with(SECCOMP_RET_KILL_THREAD, 0, (long)when);
	reached = 1;
	call_it(0);
	came_back = 1;
	return NULL;
}

/* The one thread dies, the others go on. */
static void kill_thread_child(void *when)
{
	pthread_t thread;

	REQUIRE(pthread_create(&thread, NULL, killed_thread, when) == 0);
	pthread_join(thread, NULL);
	CHECK_EQ(reached, 1);
	CHECK_EQ(came_back, 0);
	mode_enter();
	CHECK(call_it(0) > 0);
	mode_exit();
}

static void kill_process_child(void *when)
{
	enter_with(SECCOMP_RET_KILL_PROCESS, 0, (long)when);
	call_it(0);
	FAIL("came back");
}

static volatile int listener = -1;

/* Answers each call: its own value for most, "go on" for some. */
static void *supervisor(void *unused)
{
	struct seccomp_notif req;
	struct seccomp_notif_resp resp;

	wait_for((volatile int *)&reached, 1, 20);
	for (int i = 0; i < CALLS; i++) {
		memset(&req, 0, sizeof(req));
		if (!CHECK_EQ(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &req), 0))
			break;
		CHECK_EQ(req.data.nr, SYS_getppid);
		CHECK_EQ(req.data.args[0], MAGIC + i);
		CHECK_EQ(req.data.args[2], 3);
		memset(&resp, 0, sizeof(resp));
		resp.id = req.id;
		if (i % 4 == 3)
			resp.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		else if (i % 4 == 2)
			resp.error = -EXDEV;
		else
			resp.val = 5000 + i;
		CHECK_EQ(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp), 0);
	}
	return NULL;
}

static void notify_child(void *when)
{
	long parent = getppid();
	pthread_t thread;

	REQUIRE(pthread_create(&thread, NULL, supervisor, NULL) == 0);
	listener = enter_with(SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			      (long)when);
	CHECK(listener >= 0);
	reached = 1;
	for (int i = 0; i < CALLS; i++)
		CHECK_EQ(call_it(MAGIC + i), i % 4 == 3 ? parent :
			 i % 4 == 2 ? -EXDEV : 5000 + i);
	mode_exit();
	pthread_join(thread, NULL);
}

static void both_times(void (*fn)(void *), int status)
{
	for (long when = BEFORE; when <= AFTER; when++)
		for (int fast = 0; fast < 2; fast++) {
			setenv("DUNE_SYSCALLS", fast ? "fast" : "reissue", 1);
			CHECK_EQ(run_child(20, fn, (void *)when), status);
		}
}

static void errnos(void) { both_times(errno_child, 0); }
static void traces(void) { both_times(trace_child, 0); }
static void trapped(void) { both_times(trap_child, 0); }
static void thread_killed(void) { both_times(kill_thread_child, 0); }

static void process_killed(void)
{
	for (long when = BEFORE; when <= AFTER; when++) {
		int status = run_child(20, kill_process_child, (void *)when);

		CHECK_EQ(WIFSIGNALED(status) ? WTERMSIG(status) : -1, SIGSYS);
	}
}

static void notified(void) { both_times(notify_child, 0); }

/* ---- by another thread ---- */

static volatile int calling, denied;
static volatile long fast_calls;

static void tsync_thread(int index, void *arg)
{
	uint64_t end = deadline(20), fast;
	long ret;

	do {
		ret = call_it(index);
		if (ret > 0)
			__atomic_store_n(&calling, 1, __ATOMIC_RELEASE);
	} while (ret > 0 && now_ns() < end);
	CHECK_EQ(ret, -EPERM);
	fast = vcpu_stat(DUNE_VCPU_fast_syscalls);
	for (int i = 0; i < CALLS; i++)
		CHECK_EQ(call_it(index), -EPERM);
	CHECK_EQ(vcpu_stat(DUNE_VCPU_fast_syscalls), fast);
	__atomic_add_fetch(&fast_calls, fast, __ATOMIC_RELAXED);
}

static void *tsync_main(void *unused)
{
	run_threads(2, tsync_thread, NULL);
	return NULL;
}

static void tsync_child(void *fast)
{
	pthread_t thread;

	REQUIRE(pthread_create(&thread, NULL, tsync_main, NULL) == 0);
	wait_for(&calling, 1, 20);
	CHECK_EQ(filter(SECCOMP_RET_ERRNO | EPERM, SECCOMP_FILTER_FLAG_TSYNC), 0);
	pthread_join(thread, NULL);
	if (!opt.native)
		CHECK_EQ(fast_calls > 0, fast != NULL);
}

static void other_thread(void)
{
	setenv("DUNE_SYSCALLS", "reissue", 1);
	CHECK_EQ(run_child(40, tsync_child, NULL), 0);
	setenv("DUNE_SYSCALLS", "fast", 1);
	CHECK_EQ(run_child(40, tsync_child, (void *)1), 0);
}

/* ---- syscall user dispatch ---- */

static char selector;	/* SYSCALL_DISPATCH_FILTER_ALLOW (0) or _BLOCK (1) */

static void on_dispatch(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	/* First: from here on the handler's own calls are free. */
	selector = 0;
	traps++;
	if (info->si_syscall != SYS_getppid ||
	    uc->uc_mcontext.gregs[REG_RDI] != (long)MAGIC)
		bad_traps++;
	uc->uc_mcontext.gregs[REG_RAX] = 2000 + traps;
}

static void dispatch_child(void *when)
{
	struct sigaction sa = { .sa_sigaction = on_dispatch, .sa_flags = SA_SIGINFO };
	uint64_t fast;

	sigaction(SIGSYS, &sa, NULL);
	if ((long)when == AFTER)
		mode_enter();
	CHECK_EQ(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &selector), 0);
	if ((long)when == BEFORE)
		mode_enter();
	fast = vcpu_stat(DUNE_VCPU_fast_syscalls);
	for (int i = 1; i <= CALLS; i++) {
		CHECK(call_it(0) > 0);
		selector = 1;
		CHECK_EQ(call_it(MAGIC), 2000 + i);
		CHECK_EQ(selector, 0);
	}
	CHECK_EQ(vcpu_stat(DUNE_VCPU_fast_syscalls), fast);
	mode_exit();
	CHECK_EQ(traps, CALLS);
	CHECK_EQ(bad_traps, 0);
}

/* Shares the CPU, so that each loses it to the other again and again. */
static void *hog(void *stop)
{
	while (!__atomic_load_n((volatile int *)stop, __ATOMIC_RELAXED))
		spin(1000);
	return NULL;
}

/*
 * The selector is on BLOCK while the thread computes. What brings it to plain
 * mode and back meanwhile is no call of its own.
 */
static void busy_child(void *when)
{
	struct sigaction sa = { .sa_sigaction = on_dispatch, .sa_flags = SA_SIGINFO };
	static volatile int stop;
	pthread_t thread;
	uint64_t left;

	pin_to(0);
	sigaction(SIGSYS, &sa, NULL);
	REQUIRE(pthread_create(&thread, NULL, hog, (void *)&stop) == 0);
	if ((long)when == AFTER)
		mode_enter();
	CHECK_EQ(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &selector), 0);
	if ((long)when == BEFORE)
		mode_enter();
	left = vcpu_stat(DUNE_VCPU_host_work);
	for (int i = 0; i < 200 && vcpu_stat(DUNE_VCPU_host_work) - left < 5; i++) {
		selector = 1;
		spin(1000000);
		selector = 0;
	}
	if (!opt.native)
		CHECK(vcpu_stat(DUNE_VCPU_host_work) - left >= 5);
	mode_exit();
	CHECK_EQ(traps, 0);
	stop = 1;
	pthread_join(thread, NULL);
}

static void dispatched(void) { both_times(dispatch_child, 0); }
static void dispatch_busy(void) { both_times(busy_child, 0); }

int main(int argc, char **argv)
{
	test_start(argc, argv, (struct test_opts){ 0 });
	test_part("errno", errnos);
	test_part("trace", traces);
	test_part("trap", trapped);
	test_part("kill_thread", thread_killed);
	test_part("kill_process", process_killed);
	test_part("user_notif", notified);
	test_part("tsync", other_thread);
	test_part("user_dispatch", dispatched);
	test_part("user_dispatch_busy", dispatch_busy);
	return test_end();
}
