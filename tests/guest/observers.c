// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Who watches system calls sees those made in Dune mode, every one, with its
 * arguments and result: ptrace (and changes them), strace -f, audit, system
 * call tracepoints. With and without fast calls.
 */
#include "test.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

#define CALLS	20
#define THREADS	2
#define TRACEFS	"/sys/kernel/tracing/"
#define MAGIC	0x123456789abcdef0ul

/* getppid() ignores its arguments, observers see them. */
static long getppid_with(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	register uint64_t r10 asm("r10") = d;
	long ret = SYS_getppid;

	asm volatile("syscall" : "+a" (ret) : "D" (a), "S" (b), "d" (c), "r" (r10)
		     : "rcx", "r11", "memory");
	return ret;
}

static void set_fast(int fast)
{
	setenv("DUNE_SYSCALLS", fast ? "fast" : "reissue", 1);
}

/* What each thread does under the eyes of an observer. */
static void watched_thread(int index, void *unused)
{
	for (long i = 0; i < CALLS; i++) {
		CHECK_EQ(getppid_with(MAGIC + i, 2, 3, 4), getppid());
		CHECK_EQ(syscall(SYS_lseek, 999, 100 + i, 1), -1);
		CHECK_EQ(syscall(SYS_write, 998, "written", 7), -1);
	}
}

static void workload(void *unused)
{
	run_threads(THREADS, watched_thread, NULL);
}

static long lines(const char *text, const char *a, const char *b)
{
	long n = 0;

	while (*text) {
		const char *end = strchrnul(text, '\n');
		const char *found = memmem(text, end - text, a, strlen(a));

		n += found && (!b || memmem(found, end - found, b, strlen(b)));
		text = *end ? end + 1 : end;
	}
	return n;
}

static char *read_all(const char *path)
{
	static char text[4 << 20];
	int fd = open(path, O_RDONLY);
	size_t len = 0;
	ssize_t n;

	REQUIRE(fd >= 0);
	while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += n;
	text[len] = '\0';
	close(fd);
	return text;
}

/* ---- strace ---- */

static void strace_once(int fast)
{
	char command[512], text[64], *out;

	set_fast(fast);
	snprintf(command, sizeof(command),
		 "strace -f -o /tmp/strace.out -e trace=getppid,lseek,write %s %s --only workload >/dev/null",
		 program_invocation_name, opt.native ? "--native" : "");
	CHECK_EQ(system(command), 0);
	out = read_all("/tmp/strace.out");
	/*
	 * A call that another thread's interrupts in the output has two lines.
	 * Each thread calls twice each time: getppid() checks the other's result.
	 */
	CHECK_EQ(lines(out, " getppid(", NULL), 2 * CALLS * THREADS);
	for (long i = 0; i < CALLS; i++) {
		snprintf(text, sizeof(text), " lseek(999, %ld, SEEK_CUR", 100 + i);
		CHECK_EQ(lines(out, text, NULL), THREADS);
	}
	CHECK_EQ(lines(out, " write(998, \"written\", 7", NULL), CALLS * THREADS);
	CHECK_IN(lines(out, "= -1 EBADF", NULL), 2 * CALLS * THREADS, 2 * CALLS * THREADS + 10);
}

static void by_strace(void)
{
	if (system("strace -V >/dev/null 2>&1")) {
		printf("    no strace here\n");
		return;
	}
	strace_once(0);
	strace_once(1);
}

/* ---- ptrace ---- */

static void traced_child(void)
{
	mode_enter();
	CHECK(getppid_with(0, 0, 0, 0) > 0);
	ptrace(PTRACE_TRACEME, 0, 0, 0);
	raise(SIGSTOP);
	for (int i = 0; i < CALLS; i++) {
		CHECK_EQ(getppid_with(MAGIC, 0, 0, 0), getpid());
		CHECK_EQ(getppid_with(MAGIC + 1, 0, 0, 0), -EXDEV);
		CHECK_EQ(getppid_with(MAGIC + 2, 0, 0, 0), 12345);
		CHECK_EQ(getppid_with(MAGIC + 3, 0, 0, 0), getppid());
		/* The tracer gives it a good fd. */
		CHECK_EQ(syscall(SYS_dup2, 999, 1), 1);
		CHECK_EQ(syscall(SYS_lseek, 998, 0, SEEK_CUR),
			 syscall(SYS_lseek, 1, 0, SEEK_CUR));
	}
	mode_exit();
	fflush(stdout);
	_exit(check_failures ? 1 : 0);
}

/* At the entry: another number, no call at all, another argument. */
static void change_entry(pid_t pid, struct user_regs_struct *r)
{
	if (r->orig_rax == SYS_getppid && r->rdi == MAGIC)
		r->orig_rax = SYS_getpid;
	else if (r->orig_rax == SYS_getppid && r->rdi == MAGIC + 1)
		r->orig_rax = -1;
	else if ((r->orig_rax == SYS_dup2 && r->rdi == 999) ||
		 (r->orig_rax == SYS_lseek && r->rdi == 998))
		r->rdi = 1;
	else
		return;
	ptrace(PTRACE_SETREGS, pid, 0, r);
}

/* At the exit: another result. */
static void change_exit(pid_t pid, struct user_regs_struct *r)
{
	if (r->rdi == MAGIC + 1 && r->orig_rax == -1ul)
		r->rax = -EXDEV;
	else if (r->rdi == MAGIC + 2 && r->orig_rax == SYS_getppid)
		r->rax = 12345;
	else
		return;
	ptrace(PTRACE_SETREGS, pid, 0, r);
}

static void ptrace_once(int fast)
{
	struct user_regs_struct regs;
	int status, sig = 0, unchanged = 0;
	bool entry = true;
	pid_t pid;

	set_fast(fast);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		child_init();
		traced_child();
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSTOPPED(status));
	ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
	while (!ptrace(PTRACE_SYSCALL, pid, 0, sig) &&
	       waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		sig = WSTOPSIG(status);
		if (sig != (SIGTRAP | 0x80))
			continue;
		sig = 0;
		ptrace(PTRACE_GETREGS, pid, 0, &regs);
		if (entry)
			change_entry(pid, &regs);
		else
			change_exit(pid, &regs);
		unchanged += regs.orig_rax == SYS_getppid && regs.rdi == MAGIC + 3;
		entry = !entry;
	}
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK_EQ(unchanged, 2 * CALLS);
}

static void by_ptrace(void)
{
	ptrace_once(0);
	ptrace_once(1);
}

/* ---- audit ---- */

static int audit;

static int audit_send(int type, const void *data, size_t size)
{
	struct {
		struct nlmsghdr head;
		char data[sizeof(struct audit_rule_data) + 64];
	} msg = { { NLMSG_LENGTH(size), type, NLM_F_REQUEST | NLM_F_ACK, 1, 0 }, "" };
	char buf[9000];

	memcpy(msg.data, data, size);
	if (send(audit, &msg, msg.head.nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		struct nlmsghdr *head = (void *)buf;
		ssize_t n = recv(audit, buf, sizeof(buf), 0);

		if (n < 0)
			return -errno;
		if (head->nlmsg_type == NLMSG_ERROR)
			return ((struct nlmsgerr *)NLMSG_DATA(head))->error;
	}
}

static int audit_rule(int what, int list, int action, int nr)
{
	struct audit_rule_data rule = { .flags = list, .action = action };

	if (nr >= 0) {
		rule.field_count = 1;
		rule.fields[0] = AUDIT_ARCH;
		rule.values[0] = AUDIT_ARCH_X86_64;
		rule.fieldflags[0] = AUDIT_EQUAL;
		rule.mask[nr / 32] = 1u << (nr % 32);
	} else {
		memset(rule.mask, 0xff, sizeof(rule.mask));
	}
	return audit_send(what, &rule, sizeof(rule));
}

/* Records of the last child's getppid calls with these arguments: a line each. */
static void audit_count(pid_t child, const char *args, long *with, long *all)
{
	struct pollfd p = { audit, POLLIN, 0 };
	char buf[9000], pid[32];

	snprintf(pid, sizeof(pid), " ppid=%d ", child);
	*with = *all = 0;
	while (poll(&p, 1, 500) > 0) {
		struct nlmsghdr *head = (void *)buf;
		ssize_t n = recv(audit, buf, sizeof(buf) - 1, 0);
		char *text = NLMSG_DATA(head);

		if (n <= 0 || head->nlmsg_type != AUDIT_SYSCALL)
			continue;
		buf[n] = '\0';
		if (!strstr(text, pid) || !strstr(text, " syscall=110 success=yes "))
			continue;
		*all += 1;
		*with += strstr(text, args) != NULL;
	}
}

static void audited(void *unused)
{
	/* A task is audited from its fork on. */
	CHECK_EQ(run_child(20, workload, NULL), 0);
}

static int audit_status(int enabled)
{
	struct audit_status status = {
		.mask = AUDIT_STATUS_ENABLED | AUDIT_STATUS_PID | AUDIT_STATUS_BACKLOG_LIMIT,
		.enabled = enabled, .pid = enabled ? getpid() : 0, .backlog_limit = 8192,
	};

	return audit_send(AUDIT_SET, &status, sizeof(status));
}

static void audit_once(int fast)
{
	long with, all;
	pid_t pid;
	int status;

	set_fast(fast);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		opt.native ? (void)0 : child_init();
		audited(NULL);
		_exit(check_failures ? 1 : 0);
	}
	waitpid(pid, &status, 0);
	CHECK_EQ(status, 0);
	audit_count(pid, " a1=2 a2=3 a3=4 ", &with, &all);
	CHECK_EQ(with, CALLS * THREADS);
	CHECK_IN(all, 2 * CALLS * THREADS, 2 * CALLS * THREADS + 4);
	printf("    audit: %ld records\n", all);
}

static void by_audit(void)
{
	int size = 8 << 20, err;

	audit = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);
	if (audit < 0) {
		printf("    no audit in this kernel: %m\n");
		return;
	}
	setsockopt(audit, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	/* That of an earlier run in this machine. */
	audit_rule(AUDIT_DEL_RULE, AUDIT_FILTER_TASK, AUDIT_NEVER, -1);
	err = audit_status(1);
	if (!CHECK_EQ(err, 0))
		return;
	CHECK_EQ(audit_rule(AUDIT_ADD_RULE, AUDIT_FILTER_EXIT, AUDIT_ALWAYS, SYS_getppid), 0);
	audit_once(0);
	audit_once(1);
	CHECK_EQ(audit_rule(AUDIT_DEL_RULE, AUDIT_FILTER_EXIT, AUDIT_ALWAYS, SYS_getppid), 0);
	/* Else every later task of this machine would have an audit context. */
	CHECK_EQ(audit_rule(AUDIT_ADD_RULE, AUDIT_FILTER_TASK, AUDIT_NEVER, -1), 0);
	CHECK_EQ(audit_status(0), 0);
	close(audit);
}

/* ---- tracepoints of system calls ---- */

static void put(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY | O_TRUNC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		FAIL("%s: cannot write '%s': %m", file, text);
	close(fd);
}

static uint64_t fast_of_some(void)
{
	uint64_t before = vcpu_stat(DUNE_VCPU_fast_syscalls);

	for (long i = 0; i < CALLS; i++)
		CHECK_EQ(getppid_with(MAGIC + i, 2, 3, 4), getppid());
	return vcpu_stat(DUNE_VCPU_fast_syscalls) - before;
}

/* Switched on and off while the thread is in Dune mode. */
static void tracepoint_child(void *fast)
{
	char pid[16], text[128], *out;
	uint64_t fast_ones = !opt.native && fast ? 2 * CALLS : 0;

	snprintf(pid, sizeof(pid), "%d", getpid());
	put(TRACEFS "set_event_pid", pid);
	put(TRACEFS "buffer_size_kb", "2048");
	put(TRACEFS "trace", "\n");
	put(TRACEFS "tracing_on", "1");
	mode_enter();
	CHECK_IN(fast_of_some(), fast_ones, fast_ones);
	put(TRACEFS "events/raw_syscalls/enable", "1");
	CHECK_EQ(fast_of_some(), 0);
	put(TRACEFS "events/raw_syscalls/enable", "0");
	CHECK_IN(fast_of_some(), fast_ones, fast_ones);
	mode_exit();
	put(TRACEFS "tracing_on", "0");
	put(TRACEFS "set_event_pid", "\n");
	out = read_all(TRACEFS "trace");
	for (long i = 0; i < CALLS; i++) {
		snprintf(text, sizeof(text), "NR 110 (%lx, 2, 3, 4,", MAGIC + i);
		CHECK_EQ(lines(out, "sys_enter: ", text), 1);
	}
	CHECK_EQ(lines(out, "sys_enter: NR 110 ", NULL), 2 * CALLS);
	snprintf(text, sizeof(text), "sys_exit: NR 110 = %d", getppid());
	CHECK_EQ(lines(out, text, NULL), 2 * CALLS);
}

static void by_tracepoints(void)
{
	if (access(TRACEFS "events/raw_syscalls", F_OK)) {
		printf("    no tracefs here\n");
		return;
	}
	set_fast(0);
	CHECK_EQ(run_child(30, tracepoint_child, NULL), 0);
	set_fast(1);
	CHECK_EQ(run_child(30, tracepoint_child, (void *)1), 0);
}

int main(int argc, char **argv)
{
	test_start(argc, argv, (struct test_opts){ 0 });
	if (opt.only && !strcmp(opt.only, "workload")) {
		workload(NULL);
		return test_end();
	}
	test_part("ptrace", by_ptrace);
	test_part("strace", by_strace);
	test_part("tracepoints", by_tracepoints);
	/* Last: what it leaves behind. */
	test_part("audit", by_audit);
	return test_end();
}
