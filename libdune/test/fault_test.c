// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Refused accesses, exceptions, crashes, failures: on the fake CPU. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../vm/vm.h"
#include "guest.h"

/*
 * void guest_load(const struct dune_regs *regs): all general registers but
 * rsp, then the instructions at guest_insn.
 */
void guest_load(const struct dune_regs *regs);
extern const char guest_ud[], guest_load_fault[];
asm(".text\n"
    ".macro	load_all\n"
    "	mov	0(%rdi), %rax\n"
    "	mov	8(%rdi), %rcx\n"
    "	mov	16(%rdi), %rdx\n"
    "	mov	24(%rdi), %rbx\n"
    "	mov	40(%rdi), %rbp\n"
    "	mov	48(%rdi), %rsi\n"
    "	mov	64(%rdi), %r8\n"
    "	mov	72(%rdi), %r9\n"
    "	mov	80(%rdi), %r10\n"
    "	mov	88(%rdi), %r11\n"
    "	mov	96(%rdi), %r12\n"
    "	mov	104(%rdi), %r13\n"
    "	mov	112(%rdi), %r14\n"
    "	mov	120(%rdi), %r15\n"
    "	movq	%rax, %xmm0\n"
    "	movq	%rcx, %xmm15\n"
    "	mov	56(%rdi), %rdi\n"
    ".endm\n"
    "guest_load_ud:\n"
    "	load_all\n"
    "guest_ud: ud1 %eax, %eax\n"
    "guest_load:\n"
    "	load_all\n"
    "guest_load_fault: mov (%rbx), %r12\n");
void guest_load_ud(const struct dune_regs *regs);

/* The call at rsp is the last thing these regs' user sees. */
static struct dune_regs some_regs(uint64_t rbx)
{
	struct dune_regs r = {
		1, 2, 3, 4, 0, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0, 0
	};

	r.rbx = rbx;
	r.rcx = 0x1234567800000000;
	return r;
}

static char *page;
static int touches;
static uint64_t touch_sp;

static void repair(int sig, siginfo_t *info, ucontext_t *uc)
{
	CHECK_EQ(sig, SIGSEGV);
	CHECK_EQ((uint64_t)info->si_addr, (uint64_t)page + 8);
	CHECK(!dune_inside());
	touch_sp = uc->uc_mcontext.gregs[REG_RSP];
	touches++;
	mprotect(page, PAGE_SIZE, PROT_READ | PROT_WRITE);
}

static void refused_access_runs_the_handler(void)
{
	char here;

	page = mmap(NULL, PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fake.on_native_fault = repair;
	enter();
	page[8] = 5;
	CHECK_EQ(page[8], 5);
	CHECK_EQ(touches, 1);
	/* On the guest's stack. */
	CHECK(touch_sp > (uint64_t)&here - 4096 && touch_sp < (uint64_t)&here + 4096);
	CHECK(dune_inside());
	mprotect(page, PAGE_SIZE, PROT_NONE);
	CHECK_EQ(*(volatile char *)(page + 8), 5);
	CHECK_EQ(touches, 2);
	leave();
}

static struct dune_regs expected;
static const char *expected_rip;
static int crash_calls;

/* Out of Dune mode, but it may enter again. */
static void after_crash(void)
{
	CHECK_EQ(dune_enter(), 0);
	CHECK_EQ(guest_syscall(SYS_getppid, 0, 0, 0x202), getppid());
	CHECK_EQ(dune_exit(), 0);
	_exit(crash_calls);
}

static void check_regs(int sig, siginfo_t *info, ucontext_t *uc)
{
	greg_t *g = uc->uc_mcontext.gregs;

	(void)sig;
	(void)info;
	CHECK(!dune_inside());
	CHECK_EQ(g[REG_RIP], (uint64_t)expected_rip);
	CHECK_EQ(g[REG_RAX], expected.rax);
	CHECK_EQ(g[REG_RCX], expected.rcx);
	CHECK_EQ(g[REG_RDX], expected.rdx);
	CHECK_EQ(g[REG_RBX], expected.rbx);
	CHECK_EQ(g[REG_RBP], expected.rbp);
	CHECK_EQ(g[REG_RSI], expected.rsi);
	CHECK_EQ(g[REG_RDI], expected.rdi);
	CHECK_EQ(g[REG_R8], expected.r8);
	CHECK_EQ(g[REG_R9], expected.r9);
	CHECK_EQ(g[REG_R10], expected.r10);
	CHECK_EQ(g[REG_R11], expected.r11);
	CHECK_EQ(g[REG_R12], expected.r12);
	CHECK_EQ(g[REG_R13], expected.r13);
	CHECK_EQ(g[REG_R14], expected.r14);
	CHECK_EQ(g[REG_R15], expected.r15);
	CHECK_EQ(uc->uc_mcontext.fpregs->_xmm[0].element[0], expected.rax);
	CHECK_EQ(uc->uc_mcontext.fpregs->_xmm[15].element[1], expected.rcx >> 32);
	g[REG_RIP] = (uint64_t)after_crash;
	g[REG_RSP] = (g[REG_RSP] & ~15ull) - 256 - 8;
}

static void on_crash(const struct dune_crash *c, void *arg)
{
	double scratch[8];
	unsigned int i;

	CHECK_EQ((long)arg, 77);
	CHECK(!dune_inside());
	CHECK_EQ(dune_enter(), -EBUSY);
	CHECK_EQ((uint64_t)__builtin_frame_address(0) & 15, 0);
	CHECK_EQ(c->kind, DUNE_CRASH_TRAP);
	CHECK_EQ(c->vector, 6);
	CHECK_EQ(c->regs.rip, (uint64_t)guest_ud);
	CHECK_EQ(c->regs.rbx, expected.rbx);
	CHECK_EQ(c->regs.r15, expected.r15);
	CHECK(c->regs.rsp - (uint64_t)&i < 8192);
	for (i = 0; i < 8; i++)		/* spoil vector registers */
		scratch[i] = i * 1.5 + (double)c->vector;
	asm volatile("" : : "m" (scratch));
	asm volatile("pxor %%xmm0, %%xmm0; pxor %%xmm15, %%xmm15" : : : "xmm0", "xmm15");
	crash_calls++;
}

static void trap_is_replayed_exactly(void)
{
	fake.on_native_fault = check_regs;
	expected = some_regs(4);
	expected_rip = guest_ud;
	enter();
	guest_load_ud(&expected);
	CHECK(false);
}

static void crash_handler_comes_first(void)
{
	dune_on_crash(on_crash, (void *)77);
	trap_is_replayed_exactly();
}

static void refused_access_is_replayed_exactly(void)
{
	page = mmap(NULL, PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fake.signals_default = true;
	fake.on_native_fault = check_regs;
	expected = some_regs((uint64_t)page);
	expected_rip = guest_load_fault;
	enter();
	guest_load(&expected);
	CHECK(false);
}

/* #PF of an empty 1 GiB entry: filled, and the instruction goes on. */
static void page_fault_fills_the_region(void)
{
	uint64_t far = 0x123456789abc;
	uint64_t runs, result;

	enter();
	CHECK(!*view_entry(dune_thread_current()->vm.view, far >> 30));
	fake.inject_vector = 14;
	fake.inject_error = 2;
	fake.cr2 = far;
	runs = fake.runs;
	asm volatile("mov $0x5a5a, %%ebx\n"
		     FAKE_INJECT "\n"
		     "mov %%rbx, %0"
		     : "=r" (result) : : "rbx", "memory");
	CHECK_EQ(result, 0x5a5a);
	CHECK_EQ(fake.runs, runs);
	CHECK_EQ(*view_entry(dune_thread_current()->vm.view, far >> 30),
		 (uint64_t)(dune_vm.slot_table[far >> 30] & ~DUNE_SLOT_VALID) << 30 |
		 1ull << 54 | 0xe7);
	leave();
}

static void failed_start_fails_dune_enter(void)
{
	CHECK_EQ(dune_init(), 0);
	fake.end_kind = DUNE_EXIT_ENTRY_FAILED;
	CHECK_EQ(dune_enter(), -EIO);
	CHECK(strstr(dune_why(), "VM entry failed"));
	CHECK(strstr(dune_why(), "0x77"));
	CHECK(!dune_inside());
	CHECK_EQ(dune_vcpu_fd(), -1);
	fake.run_error = EPERM;
	CHECK_EQ(dune_enter(), -EPERM);
	enter();
	leave();
}

static void dead_vcpu_kills_by_sigsegv(void)
{
	close(2);
	enter();
	fake.end_kind = DUNE_EXIT_CRASH;
	dune_syscall(SYS_getppid, 0, 0, 0, 0, 0, 0);
	CHECK(false);
}


/* Linux allows the access, the module never does: on without Dune. */
static void hopeless_refusal_goes_on_natively(void)
{
	page = mmap(NULL, PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	close(2);
	enter();
	fake.refused_addr = (uint64_t)page;
	CHECK_EQ(dune_syscall(SYS_getppid, 0, 0, 0, 0, 0, 0), getppid());
	CHECK(!dune_inside());
	CHECK(fake.runs > 10);
	fake.refused_addr = 0;
	CHECK_EQ(dune_exit(), -EINVAL);
	enter();
	leave();
}

/* But not while other threads change mappings. */
static void refusal_with_changes_is_not_hopeless(void)
{
	page = mmap(NULL, PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	enter();
	fake.refused_addr = (uint64_t)page;
	fake.refused_changes = 200;
	CHECK_EQ(dune_syscall(SYS_getppid, 0, 0, 0, 0, 0, 0), getppid());
	CHECK(dune_inside());
	CHECK_EQ(fake.refused_changes, 0);
	leave();
}

static void skip_insn(int sig, siginfo_t *info, ucontext_t *uc)
{
	(void)info;
	CHECK_EQ(sig, SIGILL);
	CHECK_EQ(uc->uc_mcontext.gregs[REG_RBX], 0x5a5a);
	uc->uc_mcontext.gregs[REG_RIP] += 2;
}

static void no_slot_goes_on_natively(void)
{
	uint64_t result;

	close(2);
	fake.on_native_fault = skip_insn;
	enter();
	fake.slot_error = ENOSPC;
	fake.inject_vector = 14;
	fake.cr2 = 0x123456789abc;
	asm volatile("mov $0x5a5a, %%ebx\n"
		     FAKE_INJECT "\n"
		     "mov %%rbx, %0"
		     : "=r" (result) : : "rbx", "memory");
	CHECK_EQ(result, 0x5a5a);
	CHECK(!dune_inside());
	fake.slot_error = 0;
	enter();
	leave();
}

static void init_says_why(void)
{
	static const struct {
		int err;
		const char *hint;
	} cases[] = {
		{ ENOENT, "modprobe dune" },
		{ EACCES, "group" },
		{ ENODEV, "VT-x" },
		{ EBUSY, "hypervisor" },
		{ EMFILE, "Too many open files" },
	};
	unsigned int i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake.open_error = cases[i].err;
		CHECK_EQ(dune_init(), -cases[i].err);
		CHECK(strstr(dune_why(), cases[i].hint));
	}
	fake.open_error = 0;
	fake.api_version = DUNE_API_VERSION + 1;
	CHECK_EQ(dune_init(), -EPROTO);
	CHECK(strstr(dune_why(), "version"));
	fake.api_version = 0;
	CHECK_EQ(dune_init(), 0);
}

static unsigned int count_fds(void)
{
	unsigned int fd, n = 0;

	for (fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static unsigned int count_maps(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned int n = 0;
	int c;

	while ((c = fgetc(maps)) != EOF)
		n += c == '\n';
	fclose(maps);
	return n;
}

/* Fail the first call, then the second, ... until fn succeeds; often. It makes nr. */
static void fail_each_call(int (*fn)(void), unsigned int nr)
{
	unsigned int nth, i, fds, maps;

	for (nth = 1;; nth++) {
		fds = count_fds();
		maps = count_maps();
		for (i = 0; i < 20; i++) {
			fake.fail_nth = nth;
			if (fn() == 0) {
				CHECK(nth > nr);
				fake.fail_nth = 0;
				return;
			}
			CHECK(dune_why()[0]);
			CHECK(!dune_inside());
		}
		CHECK_EQ(count_fds(), fds);
		CHECK(count_maps() <= maps + 3);
	}
}

static void failures_leak_nothing(void)
{
	/* Device, two requests, three areas of the module. */
	fail_each_call(dune_init, 6);
	/* A thread's area is mapped once, and kept: then the request for a vCPU. */
	fail_each_call(dune_enter, 1);
	CHECK_EQ(dune_exit(), 0);
}

const struct test_case fault_cases[] = {
	CASE(refused_access_runs_the_handler),
	CASE(refused_access_is_replayed_exactly),
	CASE(hopeless_refusal_goes_on_natively),
	CASE(refusal_with_changes_is_not_hopeless),
	CASE(no_slot_goes_on_natively),
	CASE(trap_is_replayed_exactly),
	{ "crash_handler_comes_first", crash_handler_comes_first, 1 << 8 },
	CASE(page_fault_fills_the_region),
	CASE(failed_start_fails_dune_enter),
	{ "dead_vcpu_kills_by_sigsegv", dead_vcpu_kills_by_sigsegv, SIGSEGV },
	CASE(init_says_why),
	CASE(failures_leak_nothing),
};
const unsigned int nr_fault_cases = sizeof(fault_cases) / sizeof(fault_cases[0]);
