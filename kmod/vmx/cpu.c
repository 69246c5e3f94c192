// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMX operation of one CPU: VMXON, VMXOFF, the current VMCS, VPIDs, TLB
 * invalidations. Who turns it on and when is sched-hooks' business.
 */
#include <linux/gfp.h>
#include <linux/moduleparam.h>
#include <linux/percpu.h>
#include <linux/smp.h>
#include <asm/cpu_entry_area.h>
#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/perf_event.h>
#include <asm/processor.h>
#include <asm/tlbflush.h>

#include "caps.h"
#include "insn.h"
#include "mitigate.h"
#include "vmx.h"

bool vmx_shut_down;

DEFINE_PER_CPU(struct vmx_cpu, vmx_cpu);

static int set_vpids(const char *text, const struct kernel_param *param)
{
	return param_set_uint_minmax(text, param, VPID_FEWEST, VPID_LAST);
}

static const struct kernel_param_ops vpids_ops = {
	.set = set_vpids,
	.get = param_get_uint,
};
static unsigned int vpids = VPID_LAST;
module_param_cb(vpids, &vpids_ops, &vpids, 0644);
MODULE_PARM_DESC(vpids, "VPIDs that each CPU gives out before it flushes all of them and begins anew (default: 65535, the most; at least 2)");

/* What a VM exit loads on this CPU, whatever VMCS is current. */
static void note_host_state(struct vmx_cpu *c, int cpu)
{
	c->tr_base = (unsigned long)&get_cpu_entry_area(cpu)->tss.x86_tss;
	c->gdt.address = (unsigned long)get_cpu_gdt_ro(cpu);
	c->gdt.size = GDT_SIZE - 1;
	rdmsrl(MSR_IA32_SYSENTER_ESP, c->sysenter_esp);
	rdmsrl(MSR_GS_BASE, c->gs_base);
}

/* -EBUSY: somebody else is in VMX operation here. */
int vmx_cpu_enable(void)
{
	struct vmx_cpu *c = this_cpu_ptr(&vmx_cpu);
	int err;

	if (cr4_read_shadow() & X86_CR4_VMXE)
		return -EBUSY;
	if (!c->vmxon_region) {
		/* 4 KiB a CPU, kept until the module goes. */
		c->vmxon_region = (void *)get_zeroed_page(GFP_ATOMIC);
		if (!c->vmxon_region)
			return -ENOMEM;
	}
	*(u32 *)c->vmxon_region = vmx_caps.revision;

	/* Intel PT may not trace through VMXON. */
	intel_pt_handle_vmx(1);
	cr4_set_bits(X86_CR4_VMXE);
	err = vmx_insn_vmxon(__pa(c->vmxon_region));
	if (err) {
		cr4_clear_bits(X86_CR4_VMXE);
		intel_pt_handle_vmx(0);
		return err;
	}
	/* Whatever used VMX before us left its translations. */
	vmx_insn_invept(VMX_EPT_EXTENT_GLOBAL, 0);
	if (vmx_caps.vpid) {
		vmx_insn_invvpid(VMX_VPID_EXTENT_ALL_CONTEXT, 0);
		vpid_pool_restart(&c->vpids, smp_processor_id());
	}
	c->current_vmcs = NULL;
	note_host_state(c, smp_processor_id());
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
		free_page((unsigned long)per_cpu(vmx_cpu.vmxon_region, cpu));
		per_cpu(vmx_cpu.vmxon_region, cpu) = NULL;
	}
}

void vmx_vmcs_load(struct vmx_vcpu *v)
{
	if (this_cpu_read(vmx_cpu.current_vmcs) == v)
		return;
	this_cpu_write(vmx_cpu.current_vmcs, v);
	vmx_insn_vmptrld(v->vmcs_pa);
	vmx_mitigate_switch(v);
}

void vmx_vmcs_clear(struct vmx_vcpu *v)
{
	vmx_insn_vmclear(v->vmcs_pa);
	v->launched = 0;
	if (this_cpu_read(vmx_cpu.current_vmcs) == v)
		this_cpu_write(vmx_cpu.current_vmcs, NULL);
}

void vmx_flush_ept(u64 eptp)
{
	vmx_insn_invept(VMX_EPT_EXTENT_CONTEXT, eptp);
}

void vmx_flush_guest(const struct vmx_vcpu *v)
{
	/* Without VPIDs each entry and each exit does it. */
	if (vmx_caps.vpid)
		vmx_insn_invvpid(VMX_VPID_EXTENT_SINGLE_CONTEXT, v->vpid.vpid);
}

enum vpid_use vmx_vpid_load(struct vmx_vcpu *v)
{
	enum vpid_use use;

	use = vpid_take(&this_cpu_ptr(&vmx_cpu)->vpids, &v->vpid,
			READ_ONCE(vpids));
	if (use == VPID_TAKEN_FLUSH)
		vmx_insn_invvpid(VMX_VPID_EXTENT_ALL_CONTEXT, 0);
	if (use != VPID_KEPT)
		vmcs_write(VIRTUAL_PROCESSOR_ID, v->vpid.vpid);
	return use;
}
