// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VMX-preemption timer: counts down in the guest only, in TSC cycles
 * divided by a power of two, and ends the run at 0. What is left is saved at
 * each exit, so it goes on over exits and migrations without being written.
 */
#include <linux/kernel.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/tsc.h>
#include <asm/vmx.h>

#include "caps.h"
#include "insn.h"
#include "vmx.h"

/* Of IA32_VMX_MISC; the headers have moved their name for it. */
#define MISC_TIMER_RATE		0x1f

/* An erratum: "VMX-Preemption Timer Does Not Count Down at the Rate Specified" */
#define BROKEN_TIMER_CPU	0x000306a8

void vmx_timer_probe(u32 pin_may, u32 exit_may)
{
	u64 misc;

	if (!(pin_may & PIN_BASED_VMX_PREEMPTION_TIMER) ||
	    !(exit_may & VM_EXIT_SAVE_VMX_PREEMPTION_TIMER) ||
	    cpuid_eax(1) == BROKEN_TIMER_CPU || !tsc_khz)
		return;
	rdmsrl(MSR_IA32_VMX_MISC, misc);
	vmx_caps.timer_shift = misc & MISC_TIMER_RATE;
	vmx_caps.timer = true;
}

void vmx_quantum_restart(struct vmx_vcpu *v)
{
	vmcs_write(VMX_PREEMPTION_TIMER_VALUE, v->quantum_ticks);
}

void vmx_quantum_set(struct vmx_vcpu *v, u32 us)
{
	u64 ticks = ((u64)us * tsc_khz / 1000) >> vmx_caps.timer_shift;
	u32 pin = vmx_caps.pin, exit = vmx_caps.exit;

	/* Saving without counting fails the entry: both, or neither. */
	if (us) {
		pin |= PIN_BASED_VMX_PREEMPTION_TIMER;
		exit |= VM_EXIT_SAVE_VMX_PREEMPTION_TIMER;
	}
	vmcs_write(PIN_BASED_VM_EXEC_CONTROL, pin);
	vmcs_write(VM_EXIT_CONTROLS, exit);
	v->quantum_ticks = clamp_t(u64, ticks, 1, U32_MAX);
	if (us)
		vmx_quantum_restart(v);
}
