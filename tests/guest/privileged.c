// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Ring 0 of the guest may try everything: no privileged instruction reaches
 * the host. Each runs in a child process of its own in Dune mode; the child
 * either goes on or gets a signal, and the host works as before.
 */
#include "test.h"

#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

struct descriptor {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

static struct descriptor saved_table, big_table = { 0xffff, 0x1000 };

#define MSR_LSTAR 0xc0000082
#define MSR_STAR 0xc0000081
#define MSR_EFER 0xc0000080
#define MSR_KERNEL_GS_BASE 0xc0000102
#define MSR_APIC_BASE 0x1b
#define MSR_FEATURE_CONTROL 0x3a
#define MSR_SYSENTER_EIP 0x176
#define MSR_DEBUGCTL 0x1d9
#define MSR_X2APIC_ICR 0x830
#define MSR_VMX_BASIC 0x480

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (uint64_t)hi << 32 | lo;
}

static inline void wrmsr(uint32_t msr, uint64_t v)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32))
		     : "memory");
}

#define OP(name, ...)                           \
	static void op_##name(void)             \
	{                                       \
		__VA_ARGS__;                    \
	}
#define ASM(name, ...) OP(name, asm volatile(__VA_ARGS__))

ASM(inb, "inb $0x70, %%al" : : : "rax")
ASM(outb, "outb %%al, $0x80" : : "a"(0))
ASM(outb_reset, "outb %%al, $0x64" : : "a"(0xfe))	/* resets a PC */
ASM(outl_pci, "outl %%eax, %%dx" : : "a"(0x80000000), "d"(0xcf8))
ASM(ins, "rep insb" : : "c"(0), "d"(0x70), "D"(&saved_table))
ASM(outs, "rep outsb" : : "c"(1), "d"(0x80), "S"(&saved_table))
OP(rdmsr_lstar, rdmsr(MSR_LSTAR))
OP(rdmsr_apic, rdmsr(MSR_APIC_BASE))
OP(rdmsr_kernel_gs, rdmsr(MSR_KERNEL_GS_BASE))
OP(rdmsr_vmx, rdmsr(MSR_VMX_BASIC))
OP(rdmsr_nonsense, rdmsr(0x12345678))
OP(wrmsr_lstar, wrmsr(MSR_LSTAR, 0x1234))
OP(wrmsr_star, wrmsr(MSR_STAR, 0))
OP(wrmsr_efer, wrmsr(MSR_EFER, 0))
OP(wrmsr_kernel_gs, wrmsr(MSR_KERNEL_GS_BASE, 0x1234))
OP(wrmsr_sysenter, wrmsr(MSR_SYSENTER_EIP, 0x1234))
OP(wrmsr_debugctl, wrmsr(MSR_DEBUGCTL, 3))
OP(wrmsr_icr, wrmsr(MSR_X2APIC_ICR, 0xc4500))	/* INIT to all others */
OP(wrmsr_feature, wrmsr(MSR_FEATURE_CONTROL, 0))
ASM(hlt, "hlt")
ASM(cr0_read, "mov %%cr0, %%rax" : : : "rax")
ASM(cr0_clear_wp, "mov %%cr0, %%rax; and $~0x10000, %%eax; mov %%rax, %%cr0" : : : "rax")
ASM(cr0_clear_pg, "mov %%cr0, %%rax; and $0x7fffffff, %%eax; mov %%rax, %%cr0" : : : "rax")
ASM(cr0_cd, "mov %%cr0, %%rax; or $0x40000000, %%eax; mov %%rax, %%cr0" : : : "rax")
ASM(cr3_garbage, "mov %%rax, %%cr3" : : "a"(0x123456000ul))
ASM(cr3_huge, "mov %%rax, %%cr3" : : "a"(0x7ffffffffffff000ul))
ASM(cr3_reload, "mov %%cr3, %%rax; mov %%rax, %%cr3" : : : "rax")
ASM(cr4_clear_pae, "mov %%cr4, %%rax; and $~0x20, %%eax; mov %%rax, %%cr4" : : : "rax")
ASM(cr4_set_vmxe, "mov %%cr4, %%rax; or $0x2000, %%eax; mov %%rax, %%cr4" : : : "rax")
ASM(cr4_smep, "mov %%cr4, %%rax; or $0x300000, %%eax; mov %%rax, %%cr4" : : : "rax")
ASM(cr4_all, "mov %%rax, %%cr4" : : "a"(-1l))
ASM(cr8, "mov %%rax, %%cr8" : : "a"(15ul))
ASM(clts, "clts")
ASM(dr_read, "mov %%dr7, %%rax" : : : "rax")
ASM(dr_write, "mov %%rax, %%dr0; mov %%rbx, %%dr7" : : "a"(0x1000ul), "b"(0x401ul))
ASM(sgdt, "sgdt %0" : "=m"(saved_table))
ASM(lgdt, "lgdt %0" : : "m"(big_table))
ASM(lidt, "lidt %0; ud2" : : "m"(big_table))
ASM(ltr, "ltr %%ax" : : "a"(0x40))
ASM(lldt, "lldt %%ax" : : "a"(0))
ASM(lldt_bad, "lldt %%ax" : : "a"(0x1234))
ASM(ss_bad, "mov %%eax, %%ss" : : "a"(0x1238))
ASM(ds_bad, "mov %%eax, %%ds" : : "a"(0x1238))
ASM(smsw_lmsw, "smsw %%ax; lmsw %%ax" : : : "rax")
ASM(wbinvd, "wbinvd")
ASM(invd, "invd")
ASM(invlpg, "invlpg (%%rax)" : : "a"(&saved_table))
ASM(invpcid, "push $0; push $0; invpcid (%%rsp), %%rax; add $16, %%rsp" : : "a"(2ul) : "memory")
ASM(swapgs, "swapgs; swapgs")
ASM(vmxoff, "vmxoff")
ASM(vmxon, "vmxon %0" : : "m"(saved_table))
ASM(vmclear, "vmclear %0" : : "m"(saved_table))
ASM(vmlaunch, "vmlaunch")
ASM(vmread, "vmread %%rax, %%rbx" : : "a"(0x6800ul) : "rbx")
ASM(vmwrite, "vmwrite %%rax, %%rbx" : : "a"(0x681eul), "b"(0x6816ul))
ASM(invept, "push $0; push $0; invept (%%rsp), %%rax; add $16, %%rsp" : : "a"(2ul) : "memory")
ASM(invvpid, "push $0; push $0; invvpid (%%rsp), %%rax; add $16, %%rsp" : : "a"(2ul) : "memory")
ASM(vmfunc, "vmfunc" : : "a"(0), "c"(0))
ASM(vmcall_bad, "vmcall" : "+D"((uint64_t){ 0 }) : "a"(0x44554e45000000fful))
ASM(monitor_mwait, "monitor; xor %%ecx, %%ecx; xor %%eax, %%eax; mwait" : : "a"(&saved_table), "c"(0), "d"(0))
ASM(xsetbv, "xsetbv" : : "a"(7), "c"(0), "d"(0))
ASM(xsetbv_bad, "xsetbv" : : "a"(0), "c"(0), "d"(0))
ASM(xsetbv_index, "xsetbv" : : "a"(7), "c"(5), "d"(0))
ASM(rdpmc, "rdpmc" : : "c"(0) : "rax", "rdx")
ASM(rsm, "rsm")
ASM(getsec, ".byte 0x0f, 0x37" : : "a"(0))
ASM(rdtsc, "rdtsc; rdtscp" : : : "rax", "rdx", "rcx")
ASM(pause, "pause")
ASM(sysexit, ".byte 0x0f, 0x35" : : "c"(0x1000), "d"(0x1000))
ASM(sysenter, "sysenter")
ASM(sysret, "sysretq" : : "c"(0x1000), "r"(0))
ASM(int80, "int $0x80" : : "a"(20))
ASM(int_nmi, "int $2")
ASM(int_de, "int $0")
ASM(int_df, "int $8")
ASM(int_high, "int $0xfe")
ASM(far_null, "push $0; push $0; lretq")
ASM(ac_flag, "pushfq; orl $0x40000, (%%rsp); popfq; mov 1(%%rax), %%ebx" : : "a"(&big_table) : "rbx")
ASM(tf_flag, "pushfq; orl $0x100, (%%rsp); popfq; nop; nop" : :)
ASM(nt_flag, "pushfq; orl $0x4000, (%%rsp); popfq; nop" : :)
ASM(iopl, "pushfq; orl $0x3000, (%%rsp); popfq; inb $0x70, %%al" : : : "rax")
ASM(cli_sti, "cli; nop; sti")

/* ANY: harmless either way; GP: must be #GP, hence SIGSEGV; NONE: must work. */
enum want { ANY, GP, NONE };
static const struct op {
	const char *name;
	void (*fn)(void);
	enum want want;
} ops[] = {
#define R(name, want) { #name, op_##name, want }
	R(inb, GP), R(outb, GP), R(outb_reset, GP), R(outl_pci, GP),
	R(ins, ANY), R(outs, GP), R(rdmsr_lstar, ANY), R(rdmsr_apic, ANY),
	R(rdmsr_kernel_gs, ANY), R(rdmsr_vmx, ANY), R(rdmsr_nonsense, GP),
	R(wrmsr_lstar, ANY), R(wrmsr_star, ANY), R(wrmsr_efer, ANY),
	R(wrmsr_kernel_gs, ANY), R(wrmsr_sysenter, ANY),
	R(wrmsr_debugctl, ANY), R(wrmsr_icr, ANY), R(wrmsr_feature, ANY),
	R(hlt, ANY), R(cr0_read, ANY), R(cr0_clear_wp, ANY),
	R(cr0_clear_pg, ANY), R(cr0_cd, ANY), R(cr3_garbage, ANY),
	R(cr3_huge, ANY), R(cr3_reload, NONE), R(cr4_clear_pae, ANY),
	R(cr4_set_vmxe, ANY), R(cr4_smep, ANY), R(cr4_all, ANY), R(cr8, ANY),
	R(clts, ANY), R(dr_read, ANY), R(dr_write, ANY), R(sgdt, ANY),
	R(lgdt, ANY), R(lidt, ANY), R(ltr, ANY), R(lldt, ANY),
	R(lldt_bad, ANY), R(ss_bad, ANY), R(ds_bad, ANY), R(smsw_lmsw, ANY),
	R(wbinvd, ANY), R(invd, ANY), R(invlpg, NONE), R(invpcid, ANY),
	R(swapgs, ANY), R(vmxoff, ANY), R(vmxon, ANY), R(vmclear, ANY),
	R(vmlaunch, ANY), R(vmread, ANY), R(vmwrite, ANY), R(invept, ANY),
	R(invvpid, ANY), R(vmfunc, ANY), R(vmcall_bad, ANY),
	R(monitor_mwait, ANY), R(xsetbv, ANY), R(xsetbv_bad, ANY),
	R(xsetbv_index, ANY), R(rdpmc, ANY), R(rsm, ANY), R(getsec, ANY),
	R(rdtsc, NONE), R(pause, NONE), R(sysexit, ANY), R(sysenter, ANY),
	R(sysret, ANY), R(int80, ANY), R(int_nmi, ANY), R(int_de, ANY),
	R(int_df, ANY), R(int_high, ANY), R(far_null, ANY), R(ac_flag, ANY),
	R(tf_flag, ANY), R(nt_flag, ANY), R(iopl, GP), R(cli_sti, ANY),
};
#define NR_OPS (sizeof(ops) / sizeof(*ops))

/* What a thread does after an instruction that had no effect. */
static void in_child(void *arg)
{
	const struct op *op = arg;

	mode_enter();
	op->fn();
	/* Still alive: system calls, memory and interrupts work. */
	if (syscall(SYS_getpid) <= 0)
		_exit(5);
	spin(20000);
	_exit(0);
}

static void host_is_well(const char *after)
{
	uint64_t t0 = now_ns();

	/* Time goes on and every CPU schedules. */
	for (int c = 0; c < nr_cpus(); c++) {
		pin_to(c);
		CHECK_EQ(sched_getcpu(), c);
	}
	if (now_ns() == t0)
		FAIL("time stands still after %s", after);
}

static void one(const struct op *op)
{
	int status = run_child(20, in_child, (void *)op);
	int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	printf("    %-16s %s\n", op->name, sig ? strsignal(sig) : "no effect");
	if (!sig && WEXITSTATUS(status))
		FAIL("%s: exit status %d", op->name, WEXITSTATUS(status));
	if (sig && sig != SIGSEGV && sig != SIGILL && sig != SIGBUS &&
	    sig != SIGTRAP && sig != SIGFPE)
		FAIL("%s: signal %d", op->name, sig);
	if (op->want == GP && sig != SIGSEGV)
		FAIL("%s: no #GP (signal %d)", op->name, sig);
	if (op->want == NONE && sig && !opt.native)
		FAIL("%s: signal %d", op->name, sig);
	host_is_well(op->name);
}

/* What the guest wrote to MSRs is not there in plain Linux. */
static void nothing_kept(void)
{
	pid_t pid = getpid();

	for (int c = 0; c < nr_cpus(); c++) {
		pin_to(c);
		CHECK_EQ(syscall(SYS_getpid), pid);
	}
}

int main(int argc, char **argv)
{
	test_start(argc, argv, (struct test_opts){ 0 });
	for (size_t i = 0; i < NR_OPS; i++)
		if (!opt.only || !strcmp(opt.only, ops[i].name))
			one(&ops[i]);
	nothing_kept();
	/* This process's own vm was not touched by its children's ends. */
	mode_enter();
	CHECK_EQ(syscall(SYS_getpid), getpid());
	mode_exit();
	return test_end();
}
