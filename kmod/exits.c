// SPDX-License-Identifier: GPL-2.0-only
/*
 * What happens on each kind of exit. Two tables, one small function a kind;
 * policy: a guest gets what CPL 3 of a plain process would get, plus what VMX
 * gives it for itself; all else is an exception inside the guest.
 */
#include <linux/printk.h>
#include <linux/sched/signal.h>
#include <asm/fpu/xcr.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/trapnr.h>

#include "follow.h"
#include "quantum.h"
#include "requests.h"
#include "trace.h"
#include "vcpu.h"
#include "vmx/enter.h"

static int inject_gp(struct dune_vcpu *vcpu)
{
	vcpu_count(vcpu, DUNE_VCPU_injected);
	vmx_inject_exception(&vcpu->vmx, X86_TRAP_GP, VMX_ERROR_CODE_0);
	return VCPU_CONTINUE;
}

static int inject_ud(struct dune_vcpu *vcpu)
{
	vcpu_count(vcpu, DUNE_VCPU_injected);
	vmx_inject_exception(&vcpu->vmx, X86_TRAP_UD, VMX_NO_ERROR_CODE);
	return VCPU_CONTINUE;
}

static int skip(struct dune_vcpu *vcpu)
{
	vmx_skip_insn(&vcpu->vmx);
	return VCPU_CONTINUE;
}

int vcpu_record(struct dune_vcpu *vcpu, enum dune_exit_kind kind,
		const struct vmx_exit *exit)
{
	vcpu->page->exit = (struct dune_exit){
		.kind = kind,
		.hw_reason = exit->reason,
		.qualification = exit->qualification,
		.gpa = exit->gpa,
	};
	return kind;
}

/* The end of this vCPU, not of the host and not of other threads. */
static int end_vcpu(struct dune_vcpu *vcpu, enum dune_exit_kind kind,
		    const struct vmx_exit *exit, const char *what)
{
	pr_notice_ratelimited("dune: %s[%d]: %s: reason %#x, qualification %#llx, gpa %#llx\n",
			      current->comm, task_pid_nr(current), what,
			      exit->reason, exit->qualification, exit->gpa);
	vcpu->phase = VCPU_DEAD;
	return vcpu_record(vcpu, kind, exit);
}

static int on_unknown(struct dune_vcpu *vcpu, const struct vmx_exit *exit)
{
	vcpu_count(vcpu, DUNE_VCPU_other_exits);
	return end_vcpu(vcpu, DUNE_EXIT_UNKNOWN, exit, "unknown VM exit");
}

static int on_ept_misconfig(struct dune_vcpu *vcpu, const struct vmx_exit *exit)
{
	vcpu_count(vcpu, DUNE_VCPU_other_exits);
	return end_vcpu(vcpu, DUNE_EXIT_UNKNOWN, exit, "EPT misconfiguration");
}

static int on_entry_failed(struct dune_vcpu *vcpu, const struct vmx_exit *exit)
{
	return end_vcpu(vcpu, DUNE_EXIT_ENTRY_FAILED, exit, "VM entry failed");
}

/* Handled between two entries; then there was host work. */
static int on_done(struct dune_vcpu *vcpu, const struct vmx_exit *exit)
{
	return VCPU_CONTINUE;
}

static int on_interrupt(struct dune_vcpu *vcpu, const struct vmx_exit *exit)
{
	vcpu_count(vcpu, DUNE_VCPU_interrupts);	/* taken with irqs on again */
	follow_if_away(vcpu);
	return VCPU_CONTINUE;
}

static int on_nmi(struct dune_vcpu *vcpu, const struct vmx_exit *exit)
{
	vcpu_count(vcpu, DUNE_VCPU_nmis);	/* taken in vmx_run() */
	vmx_host_worked(&vcpu->vmx);
	return VCPU_CONTINUE;
}

static int on_machine_check(struct dune_vcpu *vcpu, const struct vmx_exit *exit)
{
	vcpu_count(vcpu, DUNE_VCPU_exceptions);
	vmx_host_worked(&vcpu->vmx);
	return VCPU_CONTINUE;
}

/* Intercepted only so that delivering them cannot loop in the CPU. */
static int on_exception(struct dune_vcpu *vcpu, const struct vmx_exit *exit)
{
	vcpu_count(vcpu, DUNE_VCPU_exceptions);
	vcpu_count(vcpu, DUNE_VCPU_injected);
	if (exit->after_insn)
		vmx_skip_insn(&vcpu->vmx);
	vmx_inject_exception(&vcpu->vmx, exit->vector,
			     exit->vector == X86_TRAP_AC ? VMX_ERROR_CODE_0 :
							   VMX_NO_ERROR_CODE);
	return VCPU_CONTINUE;
}

static int on_triple_fault(struct dune_vcpu *vcpu, const struct vmx_exit *exit)
{
	return vcpu_record(vcpu, DUNE_EXIT_CRASH, exit);
}

static int on_ept_violation(struct dune_vcpu *vcpu, const struct vmx_exit *exit)
{
	if (vmx_reinject(&vcpu->vmx))
		vcpu_count(vcpu, DUNE_VCPU_reinjected);
	return vcpu_ept_fault(vcpu, exit);
}

static int on_hypercall(struct dune_vcpu *vcpu, const struct vmx_exit *exit)
{
	if (!vcpu_at_cpl0(vcpu))
		return inject_ud(vcpu);
	return vcpu_hypercall(vcpu);
}

/* CPUID bits of what the guest does not get. */
#define CPUID_1_ECX_MONITOR	BIT(3)
#define CPUID_1_ECX_VMX		BIT(5)
#define CPUID_1_ECX_SMX		BIT(6)
#define CPUID_7_EBX_SGX		BIT(2)
#define CPUID_7_EBX_INVPCID	BIT(10)
#define CPUID_7_ECX_HIDDEN	(BIT(5) | BIT(7) | BIT(16) | BIT(23)) /* WAITPKG,
						* SHSTK, LA57, Key Locker */
#define CPUID_7_EDX_IBT		BIT(20)
#define CPUID_D_1_EAX_XSAVES	BIT(3)

static void hide_leaf_7(u32 *b, u32 *c, u32 *d)
{
	*b &= ~CPUID_7_EBX_SGX;
	if (!(vmx_api_caps() & DUNE_CAP_INVPCID))
		*b &= ~CPUID_7_EBX_INVPCID;
	*c &= ~CPUID_7_ECX_HIDDEN;
	*d &= ~CPUID_7_EDX_IBT;
}

/* Leaves that show what the guest does not get. */
#define CPUID_CHANGED	(BIT(1) | BIT(7) | BIT(0xd))

static noinline void change_cpuid(u32 leaf, u32 sub, u32 *a, u32 *b, u32 *c, u32 *d)
{
	if (leaf == 1)
		*c &= ~(CPUID_1_ECX_VMX | CPUID_1_ECX_SMX | CPUID_1_ECX_MONITOR);
	else if (leaf == 7 && sub == 0)
		hide_leaf_7(b, c, d);
	else if (leaf == 0xd && sub == 1)
		*a &= ~CPUID_D_1_EAX_XSAVES;
}

void vcpu_cpuid(struct dune_vcpu *vcpu)
{
	struct dune_regs *r = &vcpu->page->regs;
	u32 leaf = READ_ONCE(r->rax), sub = READ_ONCE(r->rcx);
	u32 a = leaf, b, c = sub, d;

	vcpu_count(vcpu, DUNE_VCPU_cpuid);
	asm volatile("cpuid" : "+a" (a), "=b" (b), "+c" (c), "=d" (d));
	if (unlikely(leaf < 32 && BIT(leaf) & CPUID_CHANGED)) {
		u32 w[4] = { a, b, c, d };

		change_cpuid(leaf, sub, &w[0], &w[1], &w[2], &w[3]);
		a = w[0];
		b = w[1];
		c = w[2];
		d = w[3];
	}
	r->rax = a;
	r->rbx = b;
	r->rcx = c;
	r->rdx = d;
	vmx_skip_cpuid(&vcpu->vmx);
}

/* What the bitmap does not pass: two harmless reads, nothing else. */
static int on_rdmsr(struct dune_vcpu *vcpu, const struct vmx_exit *exit)
{
	struct dune_regs *r = &vcpu->page->regs;
	u64 value;

	vcpu_count(vcpu, DUNE_VCPU_msr);
	switch ((u32)READ_ONCE(r->rcx)) {
	case MSR_IA32_TSC:
		value = rdtsc();
		break;
	case MSR_EFER:
		rdmsrl(MSR_EFER, value);
		break;
	default:
		return inject_gp(vcpu);
	}
	r->rax = (u32)value;
	r->rdx = value >> 32;
	return skip(vcpu);
}

static int on_wrmsr(struct dune_vcpu *vcpu, const struct vmx_exit *exit)
{
	vcpu_count(vcpu, DUNE_VCPU_msr);
	return inject_gp(vcpu);
}

/* CR8 is there and 0; other control register bits are not the guest's. */
static int on_cr(struct dune_vcpu *vcpu, const struct vmx_exit *exit)
{
	struct vmx_cr_access cr;
	u64 *gpr;

	vcpu_count(vcpu, DUNE_VCPU_other_exits);
	vmx_decode_cr(exit->qualification, &cr);
	gpr = (u64 *)&vcpu->page->regs + cr.gpr;
	if (cr.cr != 8 || cr.op == VMX_CR_OTHER)
		return inject_gp(vcpu);
	if (cr.op == VMX_CR_READ)
		*gpr = 0;
	else if (READ_ONCE(*gpr) != 0)
		return inject_gp(vcpu);
	return skip(vcpu);
}

/* The thread's XCR0 is the host's: only a write of the same is none. */
static int on_xsetbv(struct dune_vcpu *vcpu, const struct vmx_exit *exit)
{
	const struct dune_regs *r = &vcpu->page->regs;
	u64 value = (READ_ONCE(r->rdx) << 32) | (u32)READ_ONCE(r->rax);

	vcpu_count(vcpu, DUNE_VCPU_other_exits);
	if ((u32)READ_ONCE(r->rcx) != XCR_XFEATURE_ENABLED_MASK ||
	    value != xgetbv(XCR_XFEATURE_ENABLED_MASK))
		return inject_gp(vcpu);
	return skip(vcpu);
}

static int on_forbidden(struct dune_vcpu *vcpu, const struct vmx_exit *exit)
{
	vcpu_count(vcpu, DUNE_VCPU_other_exits);
	return inject_gp(vcpu);
}

static int on_invalid_insn(struct dune_vcpu *vcpu, const struct vmx_exit *exit)
{
	vcpu_count(vcpu, DUNE_VCPU_other_exits);
	return inject_ud(vcpu);
}

/* Park until a signal or the next tick: an idle loop costs little. */
static int on_hlt(struct dune_vcpu *vcpu, const struct vmx_exit *exit)
{
	vcpu_count(vcpu, DUNE_VCPU_hlt);
	if (READ_ONCE(vcpu->page->run_flags) & DUNE_RUN_NO_HLT)
		return inject_gp(vcpu);
	if (!vcpu_irq_pending(vcpu))
		schedule_timeout_interruptible(1);
	return skip(vcpu);
}

/* Caches are coherent and not the guest's to drop. */
static int on_wbinvd(struct dune_vcpu *vcpu, const struct vmx_exit *exit)
{
	vcpu_count(vcpu, DUNE_VCPU_other_exits);
	return skip(vcpu);
}

typedef int (*exit_fn)(struct dune_vcpu *vcpu, const struct vmx_exit *exit);

/* What needs interrupts, or may sleep, or ends DUNE_RUN. */
static const exit_fn outer_handlers[VMX_NR_EXIT_KINDS] = {
	[VMX_EXIT_UNKNOWN] = on_unknown,
	[VMX_EXIT_DONE] = on_done,
	[VMX_EXIT_ENTRY_FAILED] = on_entry_failed,
	[VMX_EXIT_INTERRUPT] = on_interrupt,
	[VMX_EXIT_TRIPLE_FAULT] = on_triple_fault,
	[VMX_EXIT_EPT_VIOLATION] = on_ept_violation,
	[VMX_EXIT_EPT_MISCONFIG] = on_ept_misconfig,
	[VMX_EXIT_HYPERCALL] = on_hypercall,
	[VMX_EXIT_HLT] = on_hlt,
	[VMX_EXIT_QUANTUM] = vcpu_quantum_over,
};

/*
 * What is done at once, irqs off, between two entries of one run. The frequent
 * ones are in run_inner.c.
 */
static const exit_fn inner_handlers[VMX_NR_EXIT_KINDS] = {
	[VMX_EXIT_NMI] = on_nmi,
	[VMX_EXIT_MACHINE_CHECK] = on_machine_check,
	[VMX_EXIT_EXCEPTION] = on_exception,
	[VMX_EXIT_RDMSR] = on_rdmsr,
	[VMX_EXIT_WRMSR] = on_wrmsr,
	[VMX_EXIT_CR] = on_cr,
	[VMX_EXIT_DR] = on_forbidden,
	[VMX_EXIT_XSETBV] = on_xsetbv,
	[VMX_EXIT_IO] = on_forbidden,
	[VMX_EXIT_MWAIT] = on_invalid_insn,
	[VMX_EXIT_RDPMC] = on_forbidden,
	[VMX_EXIT_WBINVD] = on_wbinvd,
	[VMX_EXIT_IRQ_WINDOW] = vcpu_irq_window,
	[VMX_EXIT_INVALID_INSN] = on_invalid_insn,
};

int vcpu_handle_exit(struct dune_vcpu *vcpu, const struct vmx_exit *exit)
{
	/* The frequent one without an indirect branch. */
	if (likely(exit->kind == VMX_EXIT_EPT_VIOLATION))
		return on_ept_violation(vcpu, exit);
	return outer_handlers[exit->kind](vcpu, exit);
}

enum vcpu_inner vcpu_handle_inner(struct dune_vcpu *vcpu,
				  const struct vmx_exit *exit)
{
	exit_fn handler = inner_handlers[exit->kind];

	trace_dune_exit(vcpu, exit->kind);
	if (handler)
		handler(vcpu, exit);
	return handler ? VCPU_INNER_DONE : VCPU_INNER_LEAVE;
}
