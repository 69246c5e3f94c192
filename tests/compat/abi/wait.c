// SPDX-License-Identifier: GPL-2.0 OR MIT
/* How processes end and who is told; groups and sessions. */
#include "abi.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void die_by(void *arg)
{
	static const struct rlimit no_core;

	setrlimit(RLIMIT_CORE, &no_core);
	kill(getpid(), (int)(long)arg);
	_exit(200);
}

static bool is_harmless(int sig)
{
	return sig == SIGCHLD || sig == SIGCONT || sig == SIGURG || sig == SIGWINCH;
}

static bool stops(int sig)
{
	return sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

/* Each signal that kills, by default. */
static void fatal(void)
{
	for (int sig = 1; sig <= 64; sig++) {
		int want = is_harmless(sig) ? 200 << 8 : sig;

		if (stops(sig) || (sig >= 32 && sig < 34))
			continue;
		if (!CHECK_EQ(status_of(die_by, (void *)(long)sig) & ~0x80, want))
			FAIL("signal %d", sig);
	}
}

enum way { BY_READ, BY_UD2, BY_DIVIDE, BY_INT3, BY_ABORT, BY_JUMP, NR_WAYS };

static volatile int zero;

static void die_of(void *arg)
{
	static const struct rlimit no_core;

	setrlimit(RLIMIT_CORE, &no_core);
	switch ((enum way)(long)arg) {
	case BY_READ:
		zero = *(volatile int *)(long)zero;
		break;
	case BY_UD2:
		asm volatile("ud2");
		break;
	case BY_DIVIDE:
		asm volatile("xor %%edx, %%edx\n\tdivl %0" : : "r" (zero) : "eax", "edx");
		break;
	case BY_INT3:
		asm volatile("int3");
		break;
	case BY_ABORT:
		abort();
	default:
		asm volatile("jmp *%0" : : "r" (8l));
	}
	_exit(200);
}

static void exceptions(void)
{
	static const int want[NR_WAYS] = { SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGSEGV };

	for (int i = 0; i < NR_WAYS; i++)
		CHECK_EQ(status_of(die_of, (void *)(long)i) & ~0x80, want[i]);
}

/* A blocked or an ignored SIGSEGV kills nevertheless. */
static void blocked_fault(void *arg)
{
	sigset_t set = set_of(SIGSEGV);

	sigprocmask(SIG_BLOCK, &set, NULL);
	die_of((void *)BY_READ);
}

static void ignored_fault(void *arg)
{
	signal(SIGSEGV, SIG_IGN);
	die_of((void *)BY_READ);
}

static void forced(void)
{
	CHECK_EQ(status_of(blocked_fault, NULL) & ~0x80, SIGSEGV);
	CHECK_EQ(status_of(ignored_fault, NULL) & ~0x80, SIGSEGV);
}

/* --- stops --- */

static void wait_for_signals(void)
{
	for (;;)
		pause();
}

static void stopping(void)
{
	static const int sigs[] = { SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU };
	int status;

	for (unsigned int i = 0; i < sizeof(sigs) / sizeof(*sigs); i++) {
		pid_t pid = fork();

		REQUIRE(pid >= 0);
		if (!pid)
			wait_for_signals();
		CHECK_EQ(kill(pid, sigs[i]), 0);
		CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
		CHECK_EQ(status, sigs[i] << 8 | 0x7f);
		CHECK_EQ(kill(pid, SIGCONT), 0);
		CHECK_EQ(waitpid(pid, &status, WCONTINUED), pid);
		CHECK_EQ(status, 0xffff);
		CHECK_EQ(kill(pid, SIGKILL), 0);
		CHECK_EQ(wait_status(pid), SIGKILL);
	}
}

static void wait_id(void)
{
	siginfo_t info;
	struct rusage usage;
	int status;
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (!pid)
		_exit(77);
	memset(&info, 0, sizeof(info));
	CHECK_EQ(waitid(P_PID, pid, &info, WEXITED | WNOWAIT), 0);
	CHECK_EQ(info.si_pid, pid);
	CHECK_EQ(info.si_code, CLD_EXITED);
	CHECK_EQ(info.si_status, 77);
	CHECK_EQ(wait4(pid, &status, 0, &usage), pid);
	CHECK_EQ(status, 77 << 8);
	CHECK_ERRNO(waitpid(pid, &status, 0), ECHILD);
	CHECK_ERRNO(waitid(P_ALL, 0, &info, WEXITED), ECHILD);
}

/* SIGCHLD ignored: nobody to wait for. */
static void no_zombies(void)
{
	pid_t pid;

	signal(SIGCHLD, SIG_IGN);
	pid = fork();
	if (!pid)
		_exit(3);
	CHECK_ERRNO(waitpid(pid, NULL, 0), ECHILD);
	signal(SIGCHLD, SIG_DFL);
}

/* --- groups, sessions, orphans --- */

static void leads(void *arg)
{
	pid_t parent_group = getpgrp(), parent_session = getsid(0);

	CHECK_EQ(setpgid(0, 0), 0);
	CHECK_EQ(getpgrp(), getpid());
	CHECK_EQ(getsid(0), parent_session);
	CHECK_ERRNO(setsid(), EPERM);
	CHECK_EQ(setpgid(0, parent_group), 0);
	CHECK_EQ(getpgrp(), parent_group);
	CHECK_EQ(setsid(), getpid());
	CHECK_EQ(getsid(0), getpid());
	CHECK_EQ(getpgrp(), getpid());
	CHECK(open("/dev/tty", O_RDWR) < 0);
}

static void groups(void)
{
	int status;
	pid_t pids[3];

	if (getpid() != getsid(0))
		in_child(leads, NULL);
	/* A signal for a group reaches each of it. */
	for (int i = 0; i < 3; i++) {
		pids[i] = fork();
		REQUIRE(pids[i] >= 0);
		if (!pids[i])
			wait_for_signals();
		CHECK_EQ(setpgid(pids[i], pids[0]), 0);
	}
	CHECK_EQ(waitpid(-pids[0], &status, WNOHANG), 0);
	CHECK_EQ(kill(-pids[0], SIGTERM), 0);
	for (int i = 0; i < 3; i++) {
		CHECK(waitpid(-pids[0], &status, 0) > 0);
		CHECK_EQ(status, SIGTERM);
	}
}

static void orphan_maker(void *arg)
{
	int *shared = arg;
	pid_t pid = fork();

	if (!pid) {
		while (getppid() != shared[0])
			sched_yield();
		_exit(19);
	}
	shared[1] = pid;
	_exit(pid < 0);
}

static void subreaper(void)
{
	int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	REQUIRE(shared != MAP_FAILED);
	CHECK_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	shared[0] = getpid();
	CHECK_EQ(status_of(orphan_maker, shared), 0);
	CHECK_EQ(wait_status(shared[1]), 19 << 8);
}

static void becomes_daemon(void *arg)
{
	int fd = ((int *)arg)[1];
	pid_t old = getpid();
	char ok;

	CHECK_EQ(daemon(0, 0), 0);
	CHECK(getpid() != old);
	CHECK_EQ(getsid(0), getpid());
	ok = check_failures == 0;
	if (write(fd, &ok, 1) != 1)
		_exit(1);
}

static void daemons(void)
{
	char ok = 0;
	int fds[2];

	REQUIRE(!pipe(fds));
	CHECK_EQ(status_of(becomes_daemon, fds), 0);
	close(fds[1]);
	CHECK_EQ(read(fds[0], &ok, 1), 1);
	CHECK_EQ(ok, 1);
}

static void parent_dies(void *arg)
{
	int *fds = arg;
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (write(fds[1], "a", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	if (read(fds[2], &(char){ 0 }, 1) != 1)
		_exit(1);
	_exit(0);
}

/* The child dies with its parent: its end of the pipe closes. */
static void death_signal(void)
{
	int fds[4];
	char c;

	REQUIRE(!pipe(fds) && !pipe(fds + 2));
	if (!fork())
		parent_dies(fds);
	CHECK_EQ(read(fds[0], &c, 1), 1);
	close(fds[1]);
	CHECK_EQ(write(fds[3], "b", 1), 1);
	CHECK_EQ(read(fds[0], &c, 1), 0);
	CHECK(wait(NULL) > 0);
}

const struct part wait_parts[] = {
	{ "fatal", "each signal that kills, by default", fatal },
	{ "exceptions", "exceptions that kill", exceptions },
	{ "forced", "a blocked or ignored SIGSEGV kills", forced },
	{ "stopping", "stops and continuations, as waitpid() tells", stopping },
	{ "wait_id", "waitid(), wait4(), ECHILD", wait_id },
	{ "no_zombies", "SIGCHLD ignored", no_zombies },
	{ "groups", "process groups and sessions", groups },
	{ "subreaper", "an orphan comes to the subreaper", subreaper },
	{ "daemon", "daemon()", daemons },
	{ "death_signal", "PR_SET_PDEATHSIG", death_signal },
	{ NULL, NULL, NULL },
};
