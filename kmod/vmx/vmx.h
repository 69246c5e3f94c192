/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The narrow interface of the VT-x part. Above it nobody names a VMCS field
 * or an exit reason number; a second vendor implements the same calls.
 *
 * Unless said otherwise a call needs the vCPU loaded on this CPU: between
 * vcpu_load() and vcpu_put() of the owning thread (preemption may be on; the
 * preempt notifier reloads), and may not be used in interrupt context.
 */
#ifndef KMOD_VMX_VMX_H
#define KMOD_VMX_VMX_H

#include <linux/list.h>
#include <linux/percpu-defs.h>
#include <linux/sched.h>
#include <linux/types.h>
#include <asm/desc_defs.h>
#include <uapi/dune.h>

#include "vpid.h"

#define VMX_NO_CPU	(-1)

struct vmx_vcpu {
	/*
	 * entry.S, in this order: HOST_RSP is the address of gprs, so that an
	 * exit finds the registers' place, the stack, and room below for one
	 * push. The stack's own depth differs from call to call.
	 */
	u64 exit_room;
	struct dune_regs *gprs;	/* the guest's, in the vCPU page, wherever that is */
	u64 host_sp;		/* at the last entry */
	u32 launched;		/* since the last VMCLEAR; entry.S reads it */
	u32 host_irqs;		/* see sync_host_debugctl() in run.c */
	u64 host_switches;	/* of the thread, when that was last looked at */
	u64 host_debugctl;	/* what an exit clears and vmx_run_end() restores */
	bool debugctl_stale;	/* it may have changed: read it again */
	bool rcu_noted;		/* since the last exit for an interrupt */
	bool host_worked;	/* see vmx_host_worked() */
	u8 cpuid_len;		/* bytes of the CPUID instruction at cpuid_rip */
	u64 cpuid_rip;
	u64 mm_id;		/* the process's mm.context.ctx_id */
	u64 cr2;		/* guest CR2 while outside the guest */
	void *vmcs;
	u64 vmcs_pa;
	u64 eptp;
	u64 host_cr3, host_cr4;	/* what the VMCS holds */
	u64 host_fs_base;
	struct vpid_tag vpid;	/* without VPIDs every transition flushes */
	u32 quantum_ticks;	/* of the preemption timer */
	bool irq_window;	/* an exit is wanted when the guest can take an interrupt */
	bool host_stale;	/* since the last vmx_host_state_restore() */
	u16 host_ldt;		/* for that; 0: none */
	u32 state;		/* enum residency_state; see sched-hooks */
	int cpu;		/* loaded on, or VMX_NO_CPU; see sched-hooks */
	int last_cpu;		/* loaded on last; VMX_NO_CPU: never */
	struct list_head loaded;/* on that CPU's list; its owner only */
};

/* Of each CPU; its own, preemption off. */
struct vmx_cpu {
	struct vmx_vcpu *current_vmcs;
	struct vpid_pool vpids;		/* generation 0: the CPU has none */
	void *vmxon_region;
	/* Host state of this CPU for every VMCS; constant since VMXON. */
	u64 tr_base, sysenter_esp, gs_base;
	struct desc_ptr gdt;
};
DECLARE_PER_CPU(struct vmx_cpu, vmx_cpu);

/* Kinds of exits, neutral. The order indexes the handler table in exits.c. */
enum vmx_exit_kind {
	VMX_EXIT_UNKNOWN,	/* 0: what no table names */
	VMX_EXIT_DONE,		/* handled already: enter again */
	VMX_EXIT_ENTRY_FAILED,
	VMX_EXIT_INTERRUPT,
	VMX_EXIT_NMI,
	VMX_EXIT_MACHINE_CHECK,
	VMX_EXIT_EXCEPTION,	/* vector, error_code */
	VMX_EXIT_TRIPLE_FAULT,
	VMX_EXIT_EPT_VIOLATION,	/* gpa, access */
	VMX_EXIT_EPT_MISCONFIG,	/* gpa */
	VMX_EXIT_HYPERCALL,
	VMX_EXIT_CPUID,
	VMX_EXIT_RDMSR,
	VMX_EXIT_WRMSR,
	VMX_EXIT_CR,
	VMX_EXIT_DR,
	VMX_EXIT_XSETBV,
	VMX_EXIT_IO,
	VMX_EXIT_HLT,
	VMX_EXIT_MWAIT,		/* MONITOR too */
	VMX_EXIT_RDPMC,
	VMX_EXIT_WBINVD,
	VMX_EXIT_QUANTUM,	/* the preemption timer ran out */
	VMX_EXIT_IRQ_WINDOW,	/* the guest can take an interrupt now */
	VMX_EXIT_INVALID_INSN,	/* what this guest does not have: #UD */
	VMX_NR_EXIT_KINDS
};

struct vmx_exit {
	enum vmx_exit_kind kind;	/* HYPERCALL, CPUID, DONE: nothing else is set */
	u32 reason;		/* the CPU's, for messages */
	u32 access;		/* DUNE_ACCESS_* */
	u64 qualification;
	u64 gpa;
	u8 vector;
	bool after_insn;	/* EXCEPTION: INT1, delivered after it */
};

/* CR access, decoded. */
struct vmx_cr_access {
	enum { VMX_CR_READ, VMX_CR_WRITE, VMX_CR_OTHER } op;
	unsigned int cr;
	unsigned int gpr;	/* index in struct dune_regs */
};

/* ---- module lifetime (process context) ---- */
int vmx_setup(void);
void vmx_teardown(void);
u32 vmx_api_caps(void);

/* ---- this CPU's VMX operation; irqs off or hotplug context ---- */
int vmx_cpu_enable(void);
void vmx_cpu_disable(void);
/* VMX goes off for good under running vCPUs: their entries fail from now. */
void vmx_announce_shutdown(void);
extern bool vmx_shut_down;
/* After the last vmx_cpu_disable(); process context. */
void vmx_free_cpu_regions(void);

/* ---- vCPU state ---- */
/* Allocates and fills the memory; may sleep. 0 or negative errno. */
int vmx_vcpu_create(struct vmx_vcpu *v, struct dune_regs *gprs,
		    u64 ept_root_pa);
/* The vCPU must be loaded nowhere. */
void vmx_vcpu_destroy(struct vmx_vcpu *v);

/* Another EPT from the next entry on; the VMCS may still have to be filled. */
void vmx_set_ept(struct vmx_vcpu *v, u64 ept_root_pa);

/* For sched-hooks only; preemption off. */
/* Current on this CPU, and its VPID its own: vmx_vpid_load() would keep it. */
static inline bool vmx_vmcs_is_ready(const struct vmx_vcpu *v)
{
	return this_cpu_read(vmx_cpu.current_vmcs) == v &&
	       this_cpu_read(vmx_cpu.vpids.generation) == v->vpid.generation;
}
void vmx_vmcs_load(struct vmx_vcpu *v);
void vmx_vmcs_clear(struct vmx_vcpu *v);
/* Into *page, and the old page into that; cleared everywhere. */
void vmx_vmcs_move(struct vmx_vcpu *v, void **page);
void vmx_vmcs_init(struct vmx_vcpu *v);
void vmx_host_state_load(struct vmx_vcpu *v);	/* the CPU changed */
enum vpid_use vmx_vpid_load(struct vmx_vcpu *v);	/* after a load */
/* Leaving this CPU to user mode or others after a run. */
void vmx_host_state_restore(struct vmx_vcpu *v);

void vmx_set_sregs(struct vmx_vcpu *v, const struct dune_sregs *s);
void vmx_set_regs(struct vmx_vcpu *v, const struct dune_regs *r);
/* rip, rsp, rflags into *r; the rest of it stays. */
void vmx_get_regs(const struct vmx_vcpu *v, struct dune_regs *r);
u64 vmx_guest_rip(const struct vmx_vcpu *v);
u32 vmx_exit_reason(const struct vmx_vcpu *v);	/* the last exit's */
u64 vmx_guest_sp(const struct vmx_vcpu *v);
u64 vmx_guest_fs_base(const struct vmx_vcpu *v);
/* The thread's, for the host and for the guest; the host alone. */
void vmx_set_fs_base(struct vmx_vcpu *v, u64 host_fs_base);
void vmx_set_host_fs_base(struct vmx_vcpu *v, u64 host_fs_base);
unsigned int vmx_guest_cpl(const struct vmx_vcpu *v);
void vmx_skip_insn(struct vmx_vcpu *v);
u32 vmx_insn_len(const struct vmx_vcpu *v);

/* Time in the guest after which an exit comes, again and again; 0: none. */
void vmx_quantum_set(struct vmx_vcpu *v, u32 us);
/* After VMX_EXIT_QUANTUM: the next one begins. */
void vmx_quantum_restart(struct vmx_vcpu *v);

/* Injection happens at the next entry. */
enum vmx_error_code { VMX_NO_ERROR_CODE, VMX_ERROR_CODE_0 };
void vmx_inject_exception(struct vmx_vcpu *v, u8 vector, enum vmx_error_code ec);
/* #PF for an access at gva; unless an event waits for its delivery already. */
void vmx_inject_page_fault(struct vmx_vcpu *v, u64 gva, u32 access);
/* Deliver again what enter.h's vmx_reinject() found; info as the VMCS has it. */
void vmx_reinject_event(struct vmx_vcpu *v, u32 info);

/*
 * irq.c. An external interrupt: at the next entry, unless the guest cannot take
 * one now or another event is to be delivered there.
 */
enum vmx_irq { VMX_IRQ_INJECTED, VMX_IRQ_BLOCKED };
enum vmx_irq vmx_inject_irq(struct vmx_vcpu *v, u8 vector);
/* One that no entry has delivered yet; that the last exit interrupted. */
bool vmx_irq_is_injected(const struct vmx_vcpu *v);
bool vmx_irq_was_interrupted(const struct vmx_vcpu *v);
/* VMX_EXIT_IRQ_WINDOW as soon as the guest can take one, until closed. */
void vmx_irq_window_open(struct vmx_vcpu *v);
void vmx_irq_window_close(struct vmx_vcpu *v);

/*
 * A run: begin, any number of entries, end; irqs off, preemption off and FPU
 * loaded all the time. Between two entries nothing may fault on memory or use
 * hardware breakpoints: CR2 and DR7 are the guest's until the end.
 *
 * vmx_run() (enter.h) enters once; v->gprs is loaded and stored. It takes NMI
 * and #MC of the host itself, returns the kind of the exit, and fills *exit
 * where the kind says so.
 */
void vmx_run_begin(struct vmx_vcpu *v);
void vmx_run_end(struct vmx_vcpu *v);
/* Something other than an interrupt may have changed the host's DEBUGCTL. */
static inline void vmx_host_debugctl_changed(struct vmx_vcpu *v)
{
	v->debugctl_stale = true;
}
/* Before a first run: has another thread run in between? */
static inline void vmx_host_switched(struct vmx_vcpu *v)
{
	u64 switches = current->nvcsw + current->nivcsw;

	if (v->host_switches == switches)
		return;
	v->host_switches = switches;
	v->debugctl_stale = true;
}
/* After an EPT violation: where the guest wanted to go; 0: it was no access. */
u64 vmx_fault_gva(const struct vmx_vcpu *v, const struct vmx_exit *exit);
void vmx_decode_cr(u64 qualification, struct vmx_cr_access *cr);

/* This CPU's cached translations; preemption off. */
void vmx_flush_ept(u64 eptp);
/* What this CPU has cached of the guest's own page tables, every PCID. */
void vmx_flush_guest(const struct vmx_vcpu *v);

#endif /* KMOD_VMX_VMX_H */
