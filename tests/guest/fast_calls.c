// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * System calls made inside the kernel: they are made there when nobody looks,
 * give what the native ones give, keep the caller's registers, and every
 * seccomp filter and tracer sees them none the less.
 */
#include "test.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "emucount.h"

#define CALLS	50

/* Registers around a SYSCALL; what Linux keeps has to be kept. */
struct around {
	uint64_t in[14], out[14];
	uint64_t flags_in, flags_out;
	long result;
};

/* In order: rdi rsi rdx r10 r8 r9 rbx rbp r12 r13 r14 r15. Below the red zone. */
static void call_with(struct around *r, long nr)
{
	asm volatile("lea -128(%%rsp), %%rsp\n\t"
		     "push %%rbp\n\t"
		     "push %%rcx\n\t"
		     "mov 0(%%rcx), %%rdi\n\t"
		     "mov 8(%%rcx), %%rsi\n\t"
		     "mov 16(%%rcx), %%rdx\n\t"
		     "mov 24(%%rcx), %%r10\n\t"
		     "mov 32(%%rcx), %%r8\n\t"
		     "mov 40(%%rcx), %%r9\n\t"
		     "mov 48(%%rcx), %%rbx\n\t"
		     "mov 64(%%rcx), %%r12\n\t"
		     "mov 72(%%rcx), %%r13\n\t"
		     "mov 80(%%rcx), %%r14\n\t"
		     "mov 88(%%rcx), %%r15\n\t"
		     "mov 56(%%rcx), %%rbp\n\t"
		     "stc\n\t"
		     "syscall\n\t"
		     "xchg %%rax, (%%rsp)\n\t"
		     "mov %%rdi, 112(%%rax)\n\t"
		     "mov %%rsi, 120(%%rax)\n\t"
		     "mov %%rdx, 128(%%rax)\n\t"
		     "mov %%r10, 136(%%rax)\n\t"
		     "mov %%r8, 144(%%rax)\n\t"
		     "mov %%r9, 152(%%rax)\n\t"
		     "mov %%rbx, 160(%%rax)\n\t"
		     "mov %%rbp, 168(%%rax)\n\t"
		     "mov %%r12, 176(%%rax)\n\t"
		     "mov %%r13, 184(%%rax)\n\t"
		     "mov %%r14, 192(%%rax)\n\t"
		     "mov %%r15, 200(%%rax)\n\t"
		     "mov %%r11, 232(%%rax)\n\t"
		     "pop %%rcx\n\t"
		     "mov %%rcx, 240(%%rax)\n\t"
		     "pop %%rbp\n\t"
		     "lea 128(%%rsp), %%rsp\n\t"
		     : "+a" (nr), "+c" (r)
		     :
		     : "rdx", "rbx", "rsi", "rdi", "r8", "r9", "r10", "r11",
		       "r12", "r13", "r14", "r15", "memory", "cc");
}

_Static_assert(offsetof(struct around, out) == 112, "call_with()");
_Static_assert(offsetof(struct around, flags_out) == 232, "call_with()");
_Static_assert(offsetof(struct around, result) == 240, "call_with()");

/* The result; what SYSCALL has to keep is checked. */
static long checked_call(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	struct around r = { .in = { a, b, c, d, 0x88, 0x99, 0xb0, 0xb1, 0x12,
				    0x13, 0x14, 0x15 } };

	call_with(&r, nr);
	for (int i = 0; i < 12; i++)
		CHECK_EQ(r.out[i], r.in[i]);
	CHECK(r.flags_out & 1);
	return r.result;
}

/* Calls made inside the kernel by fn(), as the counter says. */
static uint64_t fast_calls_of(void (*fn)(void))
{
	uint64_t before = vcpu_stat(DUNE_VCPU_fast_syscalls);

	fn();
	return vcpu_stat(DUNE_VCPU_fast_syscalls) - before;
}

static void call_getppid(void)
{
	for (int i = 0; i < CALLS; i++)
		CHECK_EQ(syscall(SYS_getppid), getppid());
}

static bool expects_fast(void)
{
	const char *how = getenv("DUNE_SYSCALLS");

	return !opt.native && !(how && !strcmp(how, "reissue"));
}

static void counted(void)
{
	mode_enter();
	CHECK_EQ(fast_calls_of(call_getppid), expects_fast() ? 2 * CALLS : 0);
	mode_exit();
}

/* What each call gives natively and in Dune mode. */
static void same_results(void)
{
	static char page[8192] __attribute__((aligned(4096)));
	void *hole = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t calls[][5] = {		/* number, arguments */
		{ SYS_getppid }, { SYS_getpid }, { SYS_gettid }, { SYS_getuid },
		{ SYS_getpgid, 0 }, { SYS_getpgid, 1u << 30 }, { SYS_sched_yield },
		{ SYS_read, -1, (uint64_t)page, 1 },
		{ SYS_read, 0, 0xffff888000000000, 1 },
		{ SYS_write, 1, (uint64_t)hole, 1 },
		{ SYS_write, 1, 0x8000000000000000, 1 },
		{ SYS_write, 1, (uint64_t)page, 0 },
		{ SYS_pread64, 0, (uint64_t)page, 1, -1 },
		{ SYS_futex, (uint64_t)page, 0, 1, 0 },
		{ SYS_futex, (uint64_t)page + 1, 0, 0, 0 },
		{ SYS_clock_gettime, 77, (uint64_t)page },
		{ SYS_clock_gettime, 1, (uint64_t)hole },
		{ SYS_madvise, (uint64_t)page, 4096, 4 },
		{ SYS_madvise, (uint64_t)page, 4096, 999 },
		{ SYS_madvise, (uint64_t)page + 1, 4096, 4 },
		{ SYS_mprotect, (uint64_t)page, 4096, 3 },
		{ SYS_mprotect, (uint64_t)page + 1, 4096, 3 },
		{ SYS_munmap, 1, 1 }, { SYS_mmap, 0, 0, 3, 0x22 },
		{ SYS_poll, 0, 0, 0 }, { SYS_nanosleep, (uint64_t)hole, 0 },
		{ SYS_epoll_wait, -1, (uint64_t)page, 1, 0 },
		{ 600 }, { 1023 }, { 0x7fffffff },
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		long native = checked_call(calls[i][0], calls[i][1], calls[i][2],
					   calls[i][3], calls[i][4]), ours;

		mode_enter();
		ours = checked_call(calls[i][0], calls[i][1], calls[i][2],
				    calls[i][3], calls[i][4]);
		mode_exit();
		if (!CHECK_EQ(ours, native))
			FAIL("call %lu, case %zu", calls[i][0], i);
	}
	munmap(hole, 4096);
}

/* getppid fails from now on, for this thread. */
static void deny_getppid(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(code) / sizeof(*code), code };

	CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	CHECK_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0), 0);
}

static void denied_child(void *in_dune_mode)
{
	if (!in_dune_mode)
		deny_getppid();
	mode_enter();
	if (in_dune_mode) {
		CHECK(syscall(SYS_getppid) > 0);
		deny_getppid();
	}
	for (int i = 0; i < CALLS; i++) {
		errno = 0;
		CHECK_EQ(syscall(SYS_getppid), -1);
		CHECK_EQ(errno, EPERM);
	}
	mode_exit();
	_exit(test_end());
}

static void seccomp_denies(void)
{
	CHECK_EQ(run_child(20, denied_child, NULL), 0);
	CHECK_EQ(run_child(20, denied_child, (void *)1), 0);
}

static void traced_child(void *unused)
{
	mode_enter();
	CHECK(syscall(SYS_getppid) > 0);
	ptrace(PTRACE_TRACEME, 0, 0, 0);
	raise(SIGSTOP);
	for (int i = 0; i < CALLS; i++)
		syscall(SYS_getppid);
	mode_exit();
	_exit(0);
}

/* A tracer counts the child's getppid calls: all of them, while it traces. */
static void tracer_sees(void)
{
	int status, seen = 0, sig = 0;
	pid_t pid = fork();

	if (!pid) {
		child_init();
		traced_child(NULL);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSTOPPED(status));
	ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
	for (;;) {
		struct user_regs_struct regs;

		if (ptrace(PTRACE_SYSCALL, pid, 0, sig) ||
		    waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
			break;
		sig = WSTOPSIG(status);
		if (sig == (SIGTRAP | 0x80)) {
			sig = 0;
			ptrace(PTRACE_GETREGS, pid, 0, &regs);
			seen += regs.orig_rax == SYS_getppid;
		}
	}
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	/* A stop at the entry and one at the exit of each. */
	CHECK_EQ(seen, 2 * CALLS);
}

#define VMCALL_NOP() ({ long rax_ = DUNE_HC_NOP;				\
	asm volatile("vmcall" : "+a" (rax_) : : "memory"); rax_; })

struct limit {
	const char *what;
	double insns;	/* at most, per operation, the loop included */
};

static double cost_of(const struct limit *limit, void (*op)(void), struct emucount_snapshot *d)
{
	struct emucount_snapshot a, b;
	uint64_t best = ~0ull, n;

	for (int i = 0; i < 8; i++) {
		n = emucount_read(EMUCOUNT_SELF, EMU_INSN);
		op();
		n = emucount_read(EMUCOUNT_SELF, EMU_INSN) - n;
		if (n < best)
			best = n;
	}
	emucount_snapshot(EMUCOUNT_SELF, &a);
	op();
	emucount_snapshot(EMUCOUNT_SELF, &b);
	emucount_diff(d, &a, &b);
	printf("    %s: %.1f instructions (limit %.0f), %.2f VMREAD, %.2f VMWRITE\n",
	       limit->what, (double)best / CALLS, limit->insns,
	       (double)d->v[EMU_VMREAD] / CALLS, (double)d->v[EMU_VMWRITE] / CALLS);
	return (double)best / CALLS;
}

static void nops(void)
{
	for (int i = 0; i < CALLS; i++)
		VMCALL_NOP();
}

static void getppids(void)
{
	for (int i = 0; i < CALLS; i++) {
		long rax = SYS_getppid;

		asm volatile("syscall" : "+a" (rax) : : "rcx", "r11", "memory");
	}
}

static void cheap(const struct limit *limit, void (*op)(void))
{
	struct emucount_snapshot d;

	CHECK(cost_of(limit, op, &d) <= limit->insns);
	/* An interrupt in between adds a few. */
	CHECK(d.v[EMU_VMREAD] <= 2 * CALLS + 20);
	CHECK(d.v[EMU_VMWRITE] <= CALLS + 20);
	CHECK_EQ(d.v[EMU_VMCLEAR] + d.v[EMU_INVEPT] + d.v[EMU_INVVPID], 0);
}

static void costs(void)
{
	static const struct limit nop = { "null hypercall", 120 };
	static const struct limit call = { "getppid", 480 };

	if (!expects_fast() || !emucount_available()) {
		printf("    not in the emulator, or no fast calls: no limits\n");
		return;
	}
	pin_to(0);
	mode_enter();
	cheap(&nop, nops);
	cheap(&call, getppids);
	mode_exit();
}

int main(int argc, char **argv)
{
	test_start(argc, argv, (struct test_opts){ .threads = 1 });
	test_part("counted", counted);
	test_part("same_results", same_results);
	test_part("seccomp_denies", seccomp_denies);
	test_part("tracer_sees", tracer_sees);
	test_part("costs", costs);
	return test_end();
}
