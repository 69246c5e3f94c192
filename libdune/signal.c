// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Signals that doing the same natively would not raise: the SIGSEGV of a page fault
 * that only the guest page table has, since Linux allows the access; and the SIGTRAP
 * of a single step, which would be that of the next instruction.
 *
 * Code of kind "host" (see internal.h). The signal is queued while it is blocked,
 * and sigreturn gives the thread the registers of the fault and its mask at once:
 * so the handler sees what it would see after a fault of its own.
 */
#include <cpuid.h>
#include <signal.h>
#include <sys/ucontext.h>

#include "fpu.h"
#include "internal.h"
#include "rawsys.h"

/* asm/ucontext.h of Linux, which clashes with libc's headers. */
#define UC_FP_XSTATE		0x1
#define UC_SIGCONTEXT_SS	0x2
#define UC_STRICT_RESTORE_SS	0x4

#define FP_SW_BYTES		464	/* offset of struct _fpx_sw_bytes */

/* Components that every thread may use; Linux wants no others in a frame. */
#define FP_COMPONENTS		10

static unsigned int fp_size(void)
{
	unsigned int i, size = XSAVE_HEADER + 64, a, b, c, d;

	for (i = 2; i < FP_COMPONENTS; i++) {
		__cpuid_count(0xd, i, a, b, c, d);
		if (a && a + b > size && a + b <= dune_vm.xsave_size)
			size = a + b;
	}
	return size;
}

/* The live vector registers, as in a signal's frame. area has room for it. */
static void fp_frame(void *area)
{
	struct _fpx_sw_bytes *sw = (struct _fpx_sw_bytes *)((char *)area + FP_SW_BYTES);
	uint64_t *features = (uint64_t *)((char *)area + XSAVE_HEADER);
	unsigned int size;

	fpu_save(area);
	__builtin_memset(sw, 0, sizeof(*sw));
	if (!dune_vm.xsave_size)
		return;
	size = fp_size();
	*features &= (1ul << FP_COMPONENTS) - 1;
	sw->magic1 = FP_XSTATE_MAGIC1;
	sw->extended_size = size + sizeof(uint32_t);
	sw->xstate_bv = (1ul << FP_COMPONENTS) - 1;
	sw->xstate_size = size;
	*(uint32_t *)((char *)area + size) = FP_XSTATE_MAGIC2;
}

static void set_registers(ucontext_t *uc, const struct dune_regs *r)
{
	greg_t *g = uc->uc_mcontext.gregs;
	uint64_t cs, ss;

	asm("mov %%cs, %0; mov %%ss, %1" : "=r" (cs), "=r" (ss));
	g[REG_RAX] = r->rax;
	g[REG_RCX] = r->rcx;
	g[REG_RDX] = r->rdx;
	g[REG_RBX] = r->rbx;
	g[REG_RSP] = r->rsp;
	g[REG_RBP] = r->rbp;
	g[REG_RSI] = r->rsi;
	g[REG_RDI] = r->rdi;
	g[REG_R8] = r->r8;
	g[REG_R9] = r->r9;
	g[REG_R10] = r->r10;
	g[REG_R11] = r->r11;
	g[REG_R12] = r->r12;
	g[REG_R13] = r->r13;
	g[REG_R14] = r->r14;
	g[REG_R15] = r->r15;
	g[REG_RIP] = r->rip;
	g[REG_EFL] = r->rflags;
	g[REG_CSGSFS] = (cs & 0xffff) | ss << 48;
}

/* A fault's signal cannot be blocked or ignored: then it kills. */
static void force(int sig, uint64_t *mask)
{
	uint64_t bit = 1ul << (sig - 1);
	struct kernel_sigaction sa;

	if (raw_syscall4(SYS_rt_sigaction, sig, 0, (long)&sa, sizeof(*mask)))
		return;
	if (!(*mask & bit) && sa.handler != (uint64_t)SIG_IGN)
		return;
	*mask &= ~bit;
	sa.handler = (uint64_t)SIG_DFL;
	raw_syscall4(SYS_rt_sigaction, sig, (long)&sa, 0, sizeof(*mask));
}

static void info_of(const struct dune_crash *c, siginfo_t *info)
{
	__builtin_memset(info, 0, sizeof(*info));
	if (c->vector == DUNE_VECTOR_DB) {
		info->si_signo = SIGTRAP;
		info->si_code = TRAP_TRACE;
		info->si_addr = (void *)c->regs.rip;
		return;
	}
	info->si_signo = SIGSEGV;
	info->si_code = c->error_code & DUNE_PF_PRESENT ? SEGV_ACCERR : SEGV_MAPERR;
	info->si_addr = (void *)c->fault_addr;
}

static bool queue(const siginfo_t *info)
{
	return !raw_syscall4(SYS_rt_tgsigqueueinfo, raw_syscall3(SYS_getpid, 0, 0, 0),
			     raw_syscall3(SYS_gettid, 0, 0, 0), info->si_signo, (long)info);
}

uint64_t (*dune_mask_hook)(struct dune_thread *t, uint64_t mask);

uint64_t dune_block_signals(void)
{
	uint64_t all = ~0ul, mask = 0;

	raw_syscall4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&mask, sizeof(mask));
	return mask;
}

void dune_sigreturn(struct dune_thread *t, const struct dune_regs *regs, uint64_t mask)
{
	struct {
		uint64_t restorer;
		ucontext_t uc;
	} frame;
	void *area = fpu_alloca(sizeof(uint32_t));	/* the second magic */

	__builtin_memset(&frame, 0, sizeof(frame));
	fp_frame(area);
	frame.uc.uc_flags = UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS |
			    (dune_vm.xsave_size ? UC_FP_XSTATE : 0);
	frame.uc.uc_mcontext.fpregs = area;
	set_registers(&frame.uc, regs);
	/* It stays what it is: that cannot fail. */
	raw_syscall3(SYS_sigaltstack, 0, (long)&frame.uc.uc_stack, 0);
	__builtin_memcpy(&frame.uc.uc_sigmask, &mask, sizeof(mask));
	__atomic_store_n(&t->entered, 0, __ATOMIC_RELAXED);
	asm volatile("mov %0, %%rsp; syscall; ud2"
		     : : "r" (&frame.uc), "a" (SYS_rt_sigreturn) : "memory");
	__builtin_unreachable();
}

void dune_signal_fault(struct dune_thread *t)
{
	uint64_t mask = dune_block_signals();
	siginfo_t info;

	info_of(&t->crash, &info);
	if (dune_mask_hook)
		mask = dune_mask_hook(t, mask);
	if (!queue(&info)) {
		raw_syscall4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, sizeof(mask));
		return;
	}
	force(info.si_signo, &mask);
	dune_sigreturn(t, &t->crash.regs, mask);
}
