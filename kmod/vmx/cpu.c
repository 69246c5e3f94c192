// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMX operation of one CPU: VMXON, VMXOFF, the current VMCS, TLB
 * invalidations. Who turns it on and when is sched-hooks' business.
 */
#include <linux/gfp.h>
#include <linux/percpu.h>
#include <asm/msr.h>
#include <asm/perf_event.h>
#include <asm/processor.h>
#include <asm/tlbflush.h>

#include "caps.h"
#include "insn.h"
#include "mitigate.h"
#include "vmx.h"

bool vmx_shut_down;

/* CPU-local; irqs off or hotplug context. */
static DEFINE_PER_CPU(void *, vmxon_region);
static DEFINE_PER_CPU(struct vmx_vcpu *, current_vmcs);

/* -EBUSY: somebody else is in VMX operation here. */
int vmx_cpu_enable(void)
{
	void *region = this_cpu_read(vmxon_region);
	int err;

	if (cr4_read_shadow() & X86_CR4_VMXE)
		return -EBUSY;
	if (!region) {
		/* 4 KiB a CPU, kept until the module goes. */
		region = (void *)get_zeroed_page(GFP_ATOMIC);
		if (!region)
			return -ENOMEM;
		this_cpu_write(vmxon_region, region);
	}
	*(u32 *)region = vmx_caps.revision;

	/* Intel PT may not trace through VMXON. */
	intel_pt_handle_vmx(1);
	cr4_set_bits(X86_CR4_VMXE);
	err = vmx_insn_vmxon(__pa(region));
	if (err) {
		cr4_clear_bits(X86_CR4_VMXE);
		intel_pt_handle_vmx(0);
		return err;
	}
	/* Whatever used VMX before us left its translations. */
	vmx_insn_invept(VMX_EPT_EXTENT_GLOBAL, 0);
	if (vmx_caps.vpid)
		vmx_insn_invvpid(VMX_VPID_EXTENT_ALL_CONTEXT, 0);
	this_cpu_write(current_vmcs, NULL);
	vmx_mitigate_cpu_reset();
	return 0;
}

void vmx_cpu_disable(void)
{
	vmx_insn_vmxoff();
	cr4_clear_bits(X86_CR4_VMXE);
	intel_pt_handle_vmx(0);
}

void vmx_announce_shutdown(void)
{
	WRITE_ONCE(vmx_shut_down, true);
}

void vmx_free_cpu_regions(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		free_page((unsigned long)per_cpu(vmxon_region, cpu));
		per_cpu(vmxon_region, cpu) = NULL;
	}
}

void vmx_vmcs_load(struct vmx_vcpu *v)
{
	if (this_cpu_read(current_vmcs) == v)
		return;
	this_cpu_write(current_vmcs, v);
	vmx_insn_vmptrld(v->vmcs_pa);
	vmx_mitigate_switch(v);
}

void vmx_vmcs_clear(struct vmx_vcpu *v)
{
	vmx_insn_vmclear(v->vmcs_pa);
	v->launched = 0;
	v->host_rsp = 0;	/* entry.S: look at launched */
	if (this_cpu_read(current_vmcs) == v)
		this_cpu_write(current_vmcs, NULL);
}

void vmx_flush_ept(u64 eptp)
{
	vmx_insn_invept(VMX_EPT_EXTENT_CONTEXT, eptp);
}

void vmx_flush_vpid(u16 vpid)
{
	if (vpid)
		vmx_insn_invvpid(VMX_VPID_EXTENT_SINGLE_CONTEXT, vpid);
}
