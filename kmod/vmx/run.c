// SPDX-License-Identifier: GPL-2.0-only
/*
 * One entry into the guest and the decoding of the exit that ends it. The
 * only reader of exit fields; it reads just what the kind of exit needs.
 */
#include <linux/sched.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/hardirq.h>
#include <asm/mmu_context.h>
#include <asm/special_insns.h>
#include <asm/tlbflush.h>
#include <asm/trapnr.h>
#include <asm/vmx.h>

#include "caps.h"
#include "compat.h"
#include "insn.h"
#include "mitigate.h"
#include "vmx.h"
#include "vmx_internal.h"

#define EXIT_REASON_BASIC	0xffffu
/* "Basic Exit Reasons" in the SDM; not in the kernels' headers yet. */
#define EXIT_REASON_SEAMCALL	76
#define EXIT_REASON_TDCALL	77
#define EXIT_REASON_FAILED	BIT(31)

static const u8 kind_of_reason[] = {
	[EXIT_REASON_EXCEPTION_NMI] = VMX_EXIT_EXCEPTION,
	[EXIT_REASON_EXTERNAL_INTERRUPT] = VMX_EXIT_INTERRUPT,
	[EXIT_REASON_TRIPLE_FAULT] = VMX_EXIT_TRIPLE_FAULT,
	[EXIT_REASON_INTERRUPT_WINDOW] = VMX_EXIT_IRQ_WINDOW,
	[EXIT_REASON_CPUID] = VMX_EXIT_CPUID,
	[EXIT_REASON_HLT] = VMX_EXIT_HLT,
	[EXIT_REASON_INVD] = VMX_EXIT_WBINVD,
	[EXIT_REASON_RDPMC] = VMX_EXIT_RDPMC,
	[EXIT_REASON_VMCALL] = VMX_EXIT_HYPERCALL,
	[EXIT_REASON_VMCLEAR] = VMX_EXIT_INVALID_INSN,
	[EXIT_REASON_VMLAUNCH] = VMX_EXIT_INVALID_INSN,
	[EXIT_REASON_VMPTRLD] = VMX_EXIT_INVALID_INSN,
	[EXIT_REASON_VMPTRST] = VMX_EXIT_INVALID_INSN,
	[EXIT_REASON_VMREAD] = VMX_EXIT_INVALID_INSN,
	[EXIT_REASON_VMRESUME] = VMX_EXIT_INVALID_INSN,
	[EXIT_REASON_VMWRITE] = VMX_EXIT_INVALID_INSN,
	[EXIT_REASON_VMOFF] = VMX_EXIT_INVALID_INSN,
	[EXIT_REASON_VMON] = VMX_EXIT_INVALID_INSN,
	[EXIT_REASON_CR_ACCESS] = VMX_EXIT_CR,
	[EXIT_REASON_DR_ACCESS] = VMX_EXIT_DR,
	[EXIT_REASON_IO_INSTRUCTION] = VMX_EXIT_IO,
	[EXIT_REASON_MSR_READ] = VMX_EXIT_RDMSR,
	[EXIT_REASON_MSR_WRITE] = VMX_EXIT_WRMSR,
	[EXIT_REASON_MWAIT_INSTRUCTION] = VMX_EXIT_MWAIT,
	[EXIT_REASON_MONITOR_INSTRUCTION] = VMX_EXIT_MWAIT,
	[EXIT_REASON_EPT_VIOLATION] = VMX_EXIT_EPT_VIOLATION,
	[EXIT_REASON_EPT_MISCONFIG] = VMX_EXIT_EPT_MISCONFIG,
	[EXIT_REASON_INVEPT] = VMX_EXIT_INVALID_INSN,
	[EXIT_REASON_RDTSCP] = VMX_EXIT_INVALID_INSN,
	[EXIT_REASON_PREEMPTION_TIMER] = VMX_EXIT_QUANTUM,
	[EXIT_REASON_INVVPID] = VMX_EXIT_INVALID_INSN,
	[EXIT_REASON_WBINVD] = VMX_EXIT_WBINVD,
	[EXIT_REASON_XSETBV] = VMX_EXIT_XSETBV,
	[EXIT_REASON_INVPCID] = VMX_EXIT_INVALID_INSN,
	[EXIT_REASON_VMFUNC] = VMX_EXIT_INVALID_INSN,
	[EXIT_REASON_ENCLS] = VMX_EXIT_INVALID_INSN,
	[EXIT_REASON_XSAVES] = VMX_EXIT_INVALID_INSN,
	[EXIT_REASON_XRSTORS] = VMX_EXIT_INVALID_INSN,
	[EXIT_REASON_SEAMCALL] = VMX_EXIT_INVALID_INSN,
	[EXIT_REASON_TDCALL] = VMX_EXIT_INVALID_INSN,
};

/* Host CR3 (address space id) and CR4 may change between any two entries. */
static void sync_host_crs(struct vmx_vcpu *v)
{
	u64 cr3 = __get_current_cr3_fast();
	u64 cr4 = cr4_read_shadow();

	if (cr3 != v->host_cr3) {
		vmcs_write(HOST_CR3, cr3);
		v->host_cr3 = cr3;
	}
	if (cr4 != v->host_cr4) {
		vmcs_write(HOST_CR4, cr4);
		v->host_cr4 = cr4;
	}
}

/* Interrupts this CPU took in which Linux may turn LBR or BTS on. */
static u32 host_irqs(void)
{
	return this_cpu_read(irq_stat.irq_call_count) +
	       this_cpu_read(irq_stat.apic_timer_irqs);
}

/*
 * A VM exit clears DEBUGCTL. Linux keeps no copy, and RDMSR is slow: what was
 * read is good for as long as it was 0 and nothing ran here that could have
 * set it: no other thread (vmx_host_switched()), no interrupt, no call on a perf
 * event (who makes one says so by vmx_host_debugctl_changed()).
 */
static void sync_host_debugctl(struct vmx_vcpu *v)
{
	u32 irqs = host_irqs();

	if (likely(!v->debugctl_stale && !v->host_debugctl &&
		   v->host_irqs == irqs))
		return;
	v->host_debugctl = get_debugctlmsr();
	v->host_irqs = irqs;
	v->debugctl_stale = false;
}

/*
 * What the exit unloads. 0 after an exit that nothing was restored after: the
 * one noted before is it still. 0 as well when the mm has just got its first
 * LDT and Linux' interrupt is on its way here: that one loads it then.
 */
static void note_host_ldt(struct vmx_vcpu *v)
{
	u16 ldt;

	store_ldt(ldt);
	if (ldt)
		v->host_ldt = ldt;
}

void vmx_run_begin(struct vmx_vcpu *v)
{
	lockdep_assert_irqs_disabled();
	vmx_host_worked(v);
	if (unlikely(mm_has_ldt(current->mm)))
		note_host_ldt(v);
	guest_context_note(&v->rcu_noted);
	sync_host_crs(v);
	sync_host_debugctl(v);
	if (v->cr2 != native_read_cr2())
		native_write_cr2(v->cr2);
}

void vmx_run_end(struct vmx_vcpu *v)
{
	v->cr2 = native_read_cr2();
	vmx_mitigate_run_end();
	/* The exit cleared DR7 and DEBUGCTL. */
	if (v->host_debugctl)
		update_debugctlmsr(v->host_debugctl);
	if (hw_breakpoint_active())
		hw_breakpoint_restore();
}

/* The host's own handlers, through its IDT; irqs still off. */
static void handle_host_exception(struct vmx_exit *exit)
{
	u32 info = vmcs_read(VM_EXIT_INTR_INFO);

	exit->vector = info & INTR_INFO_VECTOR_MASK;
	if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI_INTR) {
		exit->kind = VMX_EXIT_NMI;
		asm volatile("int $2");
	} else if (exit->vector == X86_TRAP_MC) {
		exit->kind = VMX_EXIT_MACHINE_CHECK;
		asm volatile("int $18");
	} else {
		exit->kind = VMX_EXIT_EXCEPTION;
		exit->after_insn = (info & INTR_INFO_INTR_TYPE_MASK) ==
				   INTR_TYPE_PRIV_SW_EXCEPTION;
	}
}

static void decode_ept_violation(struct vmx_exit *exit)
{
	u64 q = vmcs_read(EXIT_QUALIFICATION);

	exit->qualification = q;
	exit->gpa = vmcs_read(GUEST_PHYSICAL_ADDRESS);
	exit->access = (q & EPT_VIOLATION_ACC_READ ? DUNE_ACCESS_READ : 0) |
		       (q & EPT_VIOLATION_ACC_WRITE ? DUNE_ACCESS_WRITE : 0) |
		       (q & EPT_VIOLATION_ACC_INSTR ? DUNE_ACCESS_EXEC : 0);
}

static void decode_failed(struct vmx_exit *exit)
{
	if ((exit->reason & EXIT_REASON_BASIC) == EXIT_REASON_MCE_DURING_VMENTRY) {
		exit->kind = VMX_EXIT_MACHINE_CHECK;
		asm volatile("int $18");
		return;
	}
	exit->kind = VMX_EXIT_ENTRY_FAILED;
	exit->qualification = vmcs_read(EXIT_QUALIFICATION);
}

static enum vmx_exit_kind kind_of(u32 reason)
{
	return reason < ARRAY_SIZE(kind_of_reason) ? kind_of_reason[reason] :
						     VMX_EXIT_UNKNOWN;
}

enum vmx_exit_kind vmx_decode(struct vmx_vcpu *v, struct vmx_exit *exit,
			      u32 reason)
{
	if (likely(reason == EXIT_REASON_EPT_VIOLATION)) {
		exit->reason = reason;
		decode_ept_violation(exit);
		return VMX_EXIT_EPT_VIOLATION;
	}
	*exit = (struct vmx_exit){ .reason = reason, .kind = kind_of(reason) };
	if (reason & EXIT_REASON_FAILED) {
		v->launched = 0;
		decode_failed(exit);
		return exit->kind;
	}
	switch (exit->kind) {
	case VMX_EXIT_EXCEPTION:
		handle_host_exception(exit);
		break;
	case VMX_EXIT_INTERRUPT:
		v->rcu_noted = false;
		break;
	case VMX_EXIT_EPT_MISCONFIG:
		exit->gpa = vmcs_read(GUEST_PHYSICAL_ADDRESS);
		break;
	case VMX_EXIT_CR:
	case VMX_EXIT_UNKNOWN:
		exit->qualification = vmcs_read(EXIT_QUALIFICATION);
		break;
	default:
		break;
	}
	return exit->kind;
}

enum vmx_exit_kind vmx_insn_failed(struct vmx_exit *exit)
{
	*exit = (struct vmx_exit){
		.qualification = vmcs_read(VM_INSTRUCTION_ERROR),
	};
	return VMX_EXIT_ENTRY_FAILED;
}

u64 vmx_fault_gva(const struct vmx_vcpu *v, const struct vmx_exit *exit)
{
	return exit->qualification & EPT_VIOLATION_GVA_IS_VALID ?
		       vmcs_read(GUEST_LINEAR_ADDRESS) : 0;
}

void vmx_decode_cr(u64 qualification, struct vmx_cr_access *cr)
{
	unsigned int type = (qualification >> 4) & 3;

	cr->cr = qualification & 15;
	cr->gpr = (qualification >> 8) & 15;
	cr->op = type == 0 ? VMX_CR_WRITE : type == 1 ? VMX_CR_READ : VMX_CR_OTHER;
}

u32 vmx_insn_len(const struct vmx_vcpu *v)
{
	return vmcs_read(VM_EXIT_INSTRUCTION_LEN);
}

void vmx_skip_insn(struct vmx_vcpu *v)
{
	vmcs_write(GUEST_RIP, vmcs_read(GUEST_RIP) + vmx_insn_len(v));
}

void vmx_inject_exception(struct vmx_vcpu *v, u8 vector, enum vmx_error_code ec)
{
	u32 info = vector | INTR_TYPE_HARD_EXCEPTION | INTR_INFO_VALID_MASK;

	if (ec == VMX_ERROR_CODE_0) {
		info |= INTR_INFO_DELIVER_CODE_MASK;
		vmcs_write(VM_ENTRY_EXCEPTION_ERROR_CODE, 0);
	}
	vmcs_write(VM_ENTRY_INTR_INFO_FIELD, info);
}

/* Bits of #PF's error code ("Interrupt 14" in the SDM). */
#define PF_WRITE	BIT(1)
#define PF_USER		BIT(2)
#define PF_INSTR	BIT(4)

void vmx_inject_page_fault(struct vmx_vcpu *v, u64 gva, u32 access)
{
	u32 code = DUNE_PF_ERROR_REFUSED |
		   (access & DUNE_ACCESS_WRITE ? PF_WRITE : 0) |
		   (access & DUNE_ACCESS_EXEC ? PF_INSTR : 0) |
		   (vmx_guest_cpl(v) == 3 ? PF_USER : 0);

	if (vmcs_read(VM_ENTRY_INTR_INFO_FIELD) & INTR_INFO_VALID_MASK)
		return;
	v->cr2 = gva;
	vmcs_write(VM_ENTRY_EXCEPTION_ERROR_CODE, code);
	vmcs_write(VM_ENTRY_INTR_INFO_FIELD,
		   X86_TRAP_PF | INTR_TYPE_HARD_EXCEPTION |
			   INTR_INFO_DELIVER_CODE_MASK | INTR_INFO_VALID_MASK);
}

void vmx_reinject_event(struct vmx_vcpu *v, u32 info)
{
	u32 type = info & VECTORING_INFO_TYPE_MASK;

	if (info & VECTORING_INFO_DELIVER_CODE_MASK)
		vmcs_write(VM_ENTRY_EXCEPTION_ERROR_CODE,
			   vmcs_read(IDT_VECTORING_ERROR_CODE));
	if (type == INTR_TYPE_SOFT_INTR || type == INTR_TYPE_SOFT_EXCEPTION ||
	    type == INTR_TYPE_PRIV_SW_EXCEPTION)
		vmcs_write(VM_ENTRY_INSTRUCTION_LEN, vmx_insn_len(v));
	/* Same layout; bit 12 ("NMI unblocking") is undefined there. */
	vmcs_write(VM_ENTRY_INTR_INFO_FIELD, info & ~INTR_INFO_UNBLOCK_NMI);
}
