// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Entering and leaving Dune mode, many times: the call keeps every register a
 * C function must keep, flags and floating-point control words included; the
 * thread stays the same thread; all general registers live through exits.
 */
#include "test.h"

#include <asm/prctl.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>

/*
 * Load all registers with known values, loop with an exit each time around
 * (CPUID, then whatever interrupts come), and return a mask of the registers
 * that changed. rax..rdx are CPUID's.
 */
uint64_t registers_live(uint64_t rounds);
asm(".text\n"
    ".globl registers_live\n"
    ".type registers_live, @function\n"
    "registers_live:\n"
    "	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "	push %rdi\n"
    "	mov $0x0606060606060606, %rsi\n"
    "	mov $0x0505050505050505, %rbp\n"
    "	mov $0x0707070707070707, %rdi\n"
    "	mov $0x0808080808080808, %r8\n"
    "	mov $0x0909090909090909, %r9\n"
    "	mov $0x1010101010101010, %r10\n"
    "	mov $0x1111111111111111, %r11\n"
    "	mov $0x1212121212121212, %r12\n"
    "	mov $0x1313131313131313, %r13\n"
    "	mov $0x1414141414141414, %r14\n"
    "	mov $0x1515151515151515, %r15\n"
    "1:	xor %eax, %eax\n"
    "	xor %ecx, %ecx\n"
    "	cpuid\n"
    "	mov $0x0303030303030303, %rbx\n"
    "	mov $0x0202020202020202, %rdx\n"
    "	mov $500, %ecx\n"
    "2:	dec %ecx\n"
    "	jnz 2b\n"
    "	decq (%rsp)\n"
    "	jnz 1b\n"
    "	xor %eax, %eax\n"
#define SAME(reg, value, bit)                   \
    "	mov $" value ", %rcx\n"                 \
    "	cmp %rcx, %" reg "\n"                   \
    "	je 3f\n"                                \
    "	or $" bit ", %rax\n"                    \
    "3:\n"
    SAME("rdx", "0x0202020202020202", "0x4")
    SAME("rbx", "0x0303030303030303", "0x8")
    SAME("rbp", "0x0505050505050505", "0x20")
    SAME("rsi", "0x0606060606060606", "0x40")
    SAME("rdi", "0x0707070707070707", "0x80")
    SAME("r8", "0x0808080808080808", "0x100")
    SAME("r9", "0x0909090909090909", "0x200")
    SAME("r10", "0x1010101010101010", "0x400")
    SAME("r11", "0x1111111111111111", "0x800")
    SAME("r12", "0x1212121212121212", "0x1000")
    SAME("r13", "0x1313131313131313", "0x2000")
    SAME("r14", "0x1414141414141414", "0x4000")
    SAME("r15", "0x1515151515151515", "0x8000")
    "	pop %rdi\n"
    "	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "	ret\n"
    ".size registers_live, . - registers_live\n");

/*
 * Call fn() with the callee-saved registers holding patterns; a mask of those
 * that changed, bit 16 when rsp did.
 */
uint64_t callee_saved(int (*fn)(void));
asm(".globl callee_saved\n"
    ".type callee_saved, @function\n"
    "callee_saved:\n"
    "	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "	mov $0x0303030303030303, %rbx\n"
    "	mov $0x0505050505050505, %rbp\n"
    "	mov $0x1212121212121212, %r12\n"
    "	mov $0x1313131313131313, %r13\n"
    "	mov $0x1414141414141414, %r14\n"
    "	mov %rsp, %r15\n"
    "	sub $8, %rsp\n"
    "	call *%rdi\n"
    "	add $8, %rsp\n"
    "	xor %eax, %eax\n"
    SAME("rbx", "0x0303030303030303", "0x8")
    SAME("rbp", "0x0505050505050505", "0x20")
    SAME("r12", "0x1212121212121212", "0x1000")
    SAME("r13", "0x1313131313131313", "0x2000")
    SAME("r14", "0x1414141414141414", "0x4000")
    "	cmp %rsp, %r15\n"
    "	je 3f\n"
    "	or $0x10000, %rax\n"
    "	mov %r15, %rsp\n"
    "3:\n"
    "	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "	ret\n"
    ".size callee_saved, . - callee_saved\n");

static uint32_t get_mxcsr(void)
{
	uint32_t v;

	asm volatile("stmxcsr %0" : "=m"(v));
	return v;
}

static void set_mxcsr(uint32_t v)
{
	asm volatile("ldmxcsr %0" : : "m"(v));
}

static uint16_t get_x87cw(void)
{
	uint16_t v;

	asm volatile("fnstcw %0" : "=m"(v));
	return v;
}

static void set_x87cw(uint16_t v)
{
	asm volatile("fldcw %0" : : "m"(v));
}

static uint64_t get_flags(void)
{
	uint64_t v;

	asm volatile("pushfq; pop %0" : "=r"(v));
	return v;
}

static void rounds(void)
{
	static __thread int tls = 4711;
	pthread_t self = pthread_self();
	long tid = syscall(SYS_gettid);
	uint32_t mxcsr = get_mxcsr();
	uint16_t cw = get_x87cw();

	set_mxcsr(mxcsr ^ 0x8000);	/* flush to zero */
	set_x87cw(cw ^ 0x0300);		/* precision */
	for (long i = 0; i < opt.rounds; i++) {
		if (!CHECK_EQ(callee_saved(opt.native ? (int (*)(void))getpid :
							dune_enter), 0))
			return;
		CHECK_EQ(dune_inside(), !opt.native);
		CHECK_EQ(get_mxcsr(), mxcsr ^ 0x8000);
		CHECK_EQ(get_x87cw(), cw ^ 0x0300);
		CHECK_EQ(get_flags() & 0x400, 0);	/* DF */
		CHECK_EQ(tls, 4711 + i);
		tls++;
		CHECK(pthread_equal(self, pthread_self()));
		CHECK_EQ(syscall(SYS_gettid), tid);
		CHECK_EQ(callee_saved(opt.native ? (int (*)(void))getpid :
						   dune_exit), 0);
		CHECK_EQ(dune_inside(), 0);
		CHECK_EQ(get_mxcsr(), mxcsr ^ 0x8000);
		CHECK_EQ(get_x87cw(), cw ^ 0x0300);
		CHECK_EQ(syscall(SYS_gettid), tid);
	}
	set_mxcsr(mxcsr);
	set_x87cw(cw);
}

static void live(void)
{
	mode_enter();
	CHECK_EQ(registers_live(opt.rounds), 0);
	mode_exit();
}

/* Direction, carry, alignment and arithmetic flags live through an exit. */
static void flags(void)
{
	uint64_t set = 0x400 | 0x8d5 | 0x40000, got;	/* DF, OSZAPC, AC */

	mode_enter();
	asm volatile("pushfq\n"
		     "orq %1, (%%rsp)\n"
		     "popfq\n"
		     "cpuid\n"
		     "pushfq\n"
		     "pop %0\n"
		     "pushfq\n"
		     "andq %2, (%%rsp)\n"
		     "popfq\n"
		     : "=&S"(got)
		     : "r"(set), "r"(~set), "a"(0), "c"(0)
		     : "rbx", "rdx", "cc", "memory");
	mode_exit();
	CHECK_EQ(got & set, set);
}

static void system_call_registers(void)
{
	uint64_t rax = SYS_getppid, r11 = 0, rcx = 0, bad;

	mode_enter();
	asm volatile("mov $0x0808080808080808, %%r8\n"
		     "mov $0x0909090909090909, %%r9\n"
		     "mov $0x1010101010101010, %%r10\n"
		     "mov $0x1212121212121212, %%r12\n"
		     "mov $0x1313131313131313, %%r13\n"
		     "mov $0x1414141414141414, %%r14\n"
		     "mov $0x1515151515151515, %%r15\n"
		     "mov $0x77, %%edi\n"
		     "mov $0x66, %%esi\n"
		     "mov $0x22, %%edx\n"
		     "stc\n"
		     "syscall\n"
		     "mov %%rcx, %1\n"
		     "mov %%r11, %2\n"
		     "sub $0x77, %%rdi\n"
		     "sub $0x66, %%rsi\n"
		     "sub $0x22, %%rdx\n"
		     "or %%rsi, %%rdi\n"
		     "or %%rdx, %%rdi\n"
		     "mov $0x0808080808080808, %%rcx\n"
		     "xor %%rcx, %%r8\n"
		     "mov $0x0909090909090909, %%rcx\n"
		     "xor %%rcx, %%r9\n"
		     "mov $0x1010101010101010, %%rcx\n"
		     "xor %%rcx, %%r10\n"
		     "mov $0x1212121212121212, %%rcx\n"
		     "xor %%rcx, %%r12\n"
		     "mov $0x1313131313131313, %%rcx\n"
		     "xor %%rcx, %%r13\n"
		     "mov $0x1414141414141414, %%rcx\n"
		     "xor %%rcx, %%r14\n"
		     "mov $0x1515151515151515, %%rcx\n"
		     "xor %%rcx, %%r15\n"
		     "or %%r8, %%rdi\n"
		     "or %%r9, %%rdi\n"
		     "or %%r10, %%rdi\n"
		     "or %%r12, %%rdi\n"
		     "or %%r13, %%rdi\n"
		     "or %%r14, %%rdi\n"
		     "or %%r15, %%rdi\n"
		     : "+a"(rax), "=m"(rcx), "=m"(r11), "=D"(bad)
		     :
		     : "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12",
		       "r13", "r14", "r15", "cc", "memory");
	mode_exit();
	CHECK_EQ(rax, getppid());
	CHECK_EQ(bad, 0);
	CHECK(rcx != 0x0202020202020202);
	CHECK_EQ(r11 & 1, 1);		/* the carry flag as it was */
}

/* What the header promises about calls in the wrong mode. */
static void misuse(void)
{
	if (opt.native)
		return;
	CHECK_EQ(dune_exit(), -EINVAL);
	CHECK_EQ(dune_init(), 0);
	mode_enter();
	CHECK_EQ(dune_enter(), -EBUSY);
	CHECK(dune_inside());
	mode_exit();
	CHECK_EQ(dune_exit(), -EINVAL);
	CHECK(dune_vcpu_fd() >= 0);
	CHECK(dune_vm_fd() >= 0);
}

static void counters(void)
{
	uint64_t entries, calls;

	if (opt.native)
		return;
	mode_enter();
	entries = vcpu_stat(DUNE_VCPU_entries);
	calls = vcpu_stat(DUNE_VCPU_syscalls);
	for (int i = 0; i < 10; i++)
		syscall(SYS_getppid);
	CHECK(vcpu_stat(DUNE_VCPU_syscalls) >= calls + 10);
	CHECK(vcpu_stat(DUNE_VCPU_entries) >= entries + 10);
	CHECK(vm_stat(DUNE_VM_vcpus) >= 1);
	CHECK(vm_stat(DUNE_VM_ept_tables) >= 1);
	mode_exit();
}

static void on_thread(int index, void *arg)
{
	for (int i = 0; i < 20; i++) {
		mode_exit();
		mode_enter();
		CHECK_EQ(registers_live(5), 0);
	}
}

static void threads(void)
{
	run_threads(opt.threads, on_thread, NULL);
}

/*
 * The thread pointer is the thread's in both modes: what the guest writes to
 * FS base is seen by Linux, and what Linux sets is seen by the guest. Nothing
 * but this assembly may run while it is wrong.
 */
struct thread_pointer {
	uint64_t old, other, by_linux, in_guest, set_by_linux;
};

static void swap_thread_pointer(struct thread_pointer *tp)
{
	asm volatile("rdfsbase %%rax\n\t"
		     "mov %%rax, 0(%%rbx)\n\t"
		     "mov 8(%%rbx), %%rax\n\t"
		     "wrfsbase %%rax\n\t"
		     "mov %[nr], %%eax\n\t"		/* Linux: which is it? */
		     "mov %[get], %%edi\n\t"
		     "lea 16(%%rbx), %%rsi\n\t"
		     "syscall\n\t"
		     "rdfsbase %%rax\n\t"
		     "mov %%rax, 24(%%rbx)\n\t"
		     "mov %[nr], %%eax\n\t"		/* Linux: set the old one */
		     "mov %[set], %%edi\n\t"
		     "mov 0(%%rbx), %%rsi\n\t"
		     "syscall\n\t"
		     "rdfsbase %%rax\n\t"
		     "mov %%rax, 32(%%rbx)\n\t"
		     "mov 0(%%rbx), %%rax\n\t"
		     "wrfsbase %%rax"
		     : : "b" (tp), [nr] "i" (SYS_arch_prctl),
			 [get] "i" (ARCH_GET_FS), [set] "i" (ARCH_SET_FS)
		     : "rax", "rcx", "rdi", "rsi", "r11", "memory", "cc");
}

static void thread_pointer(void)
{
	struct thread_pointer tp = { .other = 0x123456789000 };

	mode_enter();
	for (int i = 0; i < 100; i++) {
		swap_thread_pointer(&tp);
		CHECK_EQ(tp.by_linux, tp.other);
		CHECK_EQ(tp.in_guest, tp.other);
		CHECK_EQ(tp.set_by_linux, tp.old);
	}
	mode_exit();
}

int main(int argc, char **argv)
{
	test_start(argc, argv, (struct test_opts){ .rounds = 500, .threads = 4 });
	test_part("rounds", rounds);
	test_part("live", live);
	test_part("flags", flags);
	test_part("system_call_registers", system_call_registers);
	test_part("misuse", misuse);
	test_part("counters", counters);
	test_part("thread_pointer", thread_pointer);
	test_part("threads", threads);
	return test_end();
}
