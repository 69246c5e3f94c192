/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Actions against speculative execution (mitigate_policy.h), chosen once, when
 * the module is loaded. With none the entry code is the plain one and an entry
 * costs nothing more.
 */
#ifndef KMOD_VMX_MITIGATE_H
#define KMOD_VMX_MITIGATE_H

#include <linux/jump_label.h>
#include <linux/static_call.h>

#include "mitigate_policy.h"
#include "vmx_internal.h"

/* Process context, at module load and unload. */
int vmx_mitigate_setup(void);
void vmx_mitigate_teardown(void);

/* Constant after vmx_mitigate_setup(). */
extern unsigned int vmx_mitigations;

/* The entry: plain or with mitigations; and where its exits arrive. */
DECLARE_STATIC_CALL(vmx_enter_chosen, vmx_enter);

static inline unsigned long vmx_mitigate_exit_rip(void)
{
	return (unsigned long)(vmx_mitigations & MITIGATE(GPRS) ?
			       vmx_exit_mitigated : vmx_exit_entry);
}

/*
 * The host did more than handle a simple exit: it may have brought secrets of
 * others into the L1 data cache. Every run begins so; inside a run interrupts
 * are off, and what exits do there concerns this thread alone. The owner.
 */
static __always_inline void vmx_host_worked(struct vmx_vcpu *v)
{
	v->host_worked = true;
}

/* The VMCS of this vCPU becomes the CPU's current one; preemption off. */
DECLARE_STATIC_KEY_FALSE(vmx_mitigate_ibpb_key);
void vmx_ibpb_between_vms(const struct vmx_vcpu *v);

static inline void vmx_mitigate_switch(const struct vmx_vcpu *v)
{
	if (static_branch_unlikely(&vmx_mitigate_ibpb_key))
		vmx_ibpb_between_vms(v);
}

/* After a run; irqs off. */
DECLARE_STATIC_KEY_FALSE(vmx_mitigate_vmscape_key);
void vmx_ibpb_before_user(void);

static inline void vmx_mitigate_run_end(void)
{
	if (static_branch_unlikely(&vmx_mitigate_vmscape_key))
		vmx_ibpb_before_user();
}

/* VMX was off here: whoever had it meanwhile is not known. irqs off. */
void vmx_mitigate_cpu_reset(void);

/* The kernel's choice is to mitigate L1TF, and this module was told not to. */
extern bool vmx_l1tf_open;

#endif /* KMOD_VMX_MITIGATE_H */
