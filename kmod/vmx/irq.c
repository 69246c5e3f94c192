// SPDX-License-Identifier: GPL-2.0-only
/* Interrupts of the guest: injection, and the window that waits for it. */
#include <asm/vmx.h>

#include "caps.h"
#include "insn.h"
#include "vmx.h"

#define NO_IRQ_NOW (GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS)

/* "Event Injection" in the SDM: what a VM entry checks, or overwrites. */
static bool is_interruptible(void)
{
	return vmcs_read(GUEST_RFLAGS) & X86_EFLAGS_IF &&
	       !(vmcs_read(GUEST_INTERRUPTIBILITY_INFO) & NO_IRQ_NOW) &&
	       !(vmcs_read(VM_ENTRY_INTR_INFO_FIELD) & INTR_INFO_VALID_MASK);
}

enum vmx_irq vmx_inject_irq(struct vmx_vcpu *v, u8 vector)
{
	if (!is_interruptible())
		return VMX_IRQ_BLOCKED;
	vmcs_write(VM_ENTRY_INTR_INFO_FIELD,
		   vector | INTR_TYPE_EXT_INTR | INTR_INFO_VALID_MASK);
	return VMX_IRQ_INJECTED;
}

static bool is_irq(u32 info)
{
	return (info & (INTR_INFO_VALID_MASK | INTR_INFO_INTR_TYPE_MASK)) ==
	       (INTR_INFO_VALID_MASK | INTR_TYPE_EXT_INTR);
}

bool vmx_irq_is_injected(const struct vmx_vcpu *v)
{
	return is_irq(vmcs_read(VM_ENTRY_INTR_INFO_FIELD));
}

/* The same layout. */
bool vmx_irq_was_interrupted(const struct vmx_vcpu *v)
{
	return is_irq(vmcs_read(IDT_VECTORING_INFO_FIELD));
}

void vmx_irq_window_open(struct vmx_vcpu *v)
{
	if (v->irq_window)
		return;
	v->irq_window = true;
	vmcs_write(CPU_BASED_VM_EXEC_CONTROL,
		   vmx_caps.proc | CPU_BASED_INTR_WINDOW_EXITING);
}

void vmx_irq_window_close(struct vmx_vcpu *v)
{
	if (!v->irq_window)
		return;
	v->irq_window = false;
	vmcs_write(CPU_BASED_VM_EXEC_CONTROL, vmx_caps.proc);
}
