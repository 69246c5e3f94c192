// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMX capability probe: reads the capability MSRs once ("VMX Capability
 * Reporting Facility" in the SDM) and refuses in one line.
 *
 * Policy of the controls: everything that could reach the host is intercepted
 * (ports, MSRs, CR0/CR4/CR8, debug registers, HLT, MWAIT, RDPMC, WBINVD);
 * what belongs to the guest alone is not (CR3, INVLPG, its descriptor tables,
 * #PF).
 */
#include <linux/printk.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/vmx.h>

#include "caps.h"

struct vmx_caps vmx_caps __ro_after_init;

struct control {
	const char *name;
	u32 msr, true_msr;
	u32 must, want, must_not;
	u32 at_times;		/* must be possible, and is not in the word */
	u32 *word;
};

#define PROC_MUST (CPU_BASED_HLT_EXITING | CPU_BASED_MWAIT_EXITING |	\
		   CPU_BASED_RDPMC_EXITING | CPU_BASED_CR8_LOAD_EXITING | \
		   CPU_BASED_CR8_STORE_EXITING | CPU_BASED_MOV_DR_EXITING | \
		   CPU_BASED_UNCOND_IO_EXITING | CPU_BASED_MONITOR_EXITING | \
		   CPU_BASED_USE_MSR_BITMAPS |				\
		   CPU_BASED_ACTIVATE_SECONDARY_CONTROLS)
#define PROC_MUST_NOT (CPU_BASED_CR3_LOAD_EXITING |			\
		       CPU_BASED_CR3_STORE_EXITING |			\
		       CPU_BASED_INVLPG_EXITING)

static struct control controls[] = {
	{ "pin-based", MSR_IA32_VMX_PINBASED_CTLS,
	  MSR_IA32_VMX_TRUE_PINBASED_CTLS,
	  PIN_BASED_EXT_INTR_MASK | PIN_BASED_NMI_EXITING, 0, 0, 0,
	  &vmx_caps.pin },
	{ "processor-based", MSR_IA32_VMX_PROCBASED_CTLS,
	  MSR_IA32_VMX_TRUE_PROCBASED_CTLS, PROC_MUST, 0, PROC_MUST_NOT,
	  CPU_BASED_INTR_WINDOW_EXITING, &vmx_caps.proc },
	{ "secondary processor-based", MSR_IA32_VMX_PROCBASED_CTLS2,
	  MSR_IA32_VMX_PROCBASED_CTLS2,
	  SECONDARY_EXEC_ENABLE_EPT | SECONDARY_EXEC_WBINVD_EXITING,
	  SECONDARY_EXEC_ENABLE_VPID | SECONDARY_EXEC_ENABLE_RDTSCP |
	  SECONDARY_EXEC_ENABLE_INVPCID | SECONDARY_EXEC_ENCLS_EXITING, 0, 0,
	  &vmx_caps.proc2 },
	{ "VM-exit", MSR_IA32_VMX_EXIT_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS,
	  VM_EXIT_HOST_ADDR_SPACE_SIZE | VM_EXIT_SAVE_DEBUG_CONTROLS, 0, 0, 0,
	  &vmx_caps.exit },
	{ "VM-entry", MSR_IA32_VMX_ENTRY_CTLS, MSR_IA32_VMX_TRUE_ENTRY_CTLS,
	  VM_ENTRY_IA32E_MODE | VM_ENTRY_LOAD_DEBUG_CONTROLS, 0, 0, 0,
	  &vmx_caps.entry },
};

static int refuse(const char *why)
{
	pr_err("dune: cannot use this CPU: %s\n", why);
	return -ENODEV;
}

static int probe_control(const struct control *c, bool true_msrs)
{
	u32 need = c->must | c->at_times, ones, may;

	rdmsr(true_msrs ? c->true_msr : c->msr, ones, may);
	if ((may & need) != need) {
		pr_err("dune: cannot use this CPU: %s controls %#x missing\n",
		       c->name, need & ~may);
		return -ENODEV;
	}
	if (ones & c->must_not) {
		pr_err("dune: cannot use this CPU: %s controls %#x forced on\n",
		       c->name, ones & c->must_not);
		return -ENODEV;
	}
	*c->word = ones | c->must | (c->want & may);
	return 0;
}

/* What is switched on for some vCPUs only, so it is not in vmx_caps.pin. */
static void probe_timer(bool true_msrs)
{
	u32 ones, pin_may, exit_may;

	rdmsr(true_msrs ? MSR_IA32_VMX_TRUE_PINBASED_CTLS :
			  MSR_IA32_VMX_PINBASED_CTLS, ones, pin_may);
	rdmsr(true_msrs ? MSR_IA32_VMX_TRUE_EXIT_CTLS : MSR_IA32_VMX_EXIT_CTLS,
	      ones, exit_may);
	vmx_timer_probe(pin_may, exit_may);
}

static int probe_ept_vpid(void)
{
	u64 cap, need;

	rdmsrl(MSR_IA32_VMX_EPT_VPID_CAP, cap);
	need = VMX_EPT_PAGE_WALK_4_BIT | VMX_EPTP_WB_BIT | VMX_EPT_INVEPT_BIT |
	       VMX_EPT_EXTENT_CONTEXT_BIT | VMX_EPT_EXTENT_GLOBAL_BIT;
	if ((cap & need) != need)
		return refuse("EPT lacks 4-level walks, write-back or INVEPT");
	vmx_caps.ept_ad = cap & VMX_EPT_AD_BIT;
	vmx_caps.ept_2m = cap & VMX_EPT_2MB_PAGE_BIT;
	vmx_caps.ept_1g = cap & VMX_EPT_1GB_PAGE_BIT;

	/* A VPID that cannot be invalidated by itself is no use. */
	need = (VMX_VPID_INVVPID_BIT | VMX_VPID_EXTENT_SINGLE_CONTEXT_BIT |
		VMX_VPID_EXTENT_GLOBAL_CONTEXT_BIT) << 32;
	if ((cap & need) != need)
		vmx_caps.proc2 &= ~SECONDARY_EXEC_ENABLE_VPID;
	vmx_caps.vpid = vmx_caps.proc2 & SECONDARY_EXEC_ENABLE_VPID;
	return 0;
}

int vmx_caps_probe(void)
{
	u64 basic, feat_ctl;
	unsigned int i;
	int err;

	if (!boot_cpu_has(X86_FEATURE_VMX))
		return refuse("no VT-x (CPUID.1:ECX.VMX is 0)");
	rdmsrl(MSR_IA32_FEAT_CTL, feat_ctl);
	if (!(feat_ctl & FEAT_CTL_LOCKED) ||
	    !(feat_ctl & FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX))
		return refuse("firmware has VT-x disabled; enable it in the setup");
	if (!boot_cpu_has(X86_FEATURE_NX) || !boot_cpu_has(X86_FEATURE_GBPAGES))
		return refuse("no NX or no 1 GiB pages");

	/*
	 * Without it the kernel's NMI entry judges by the sign of GS base
	 * whose it is, and a guest can leave any value there by SWAPGS.
	 */
	if (!boot_cpu_has(X86_FEATURE_FSGSBASE))
		return refuse("no FSGSBASE, or booted with nofsgsbase");

	rdmsrl(MSR_IA32_VMX_BASIC, basic);
	vmx_caps.revision = basic & 0x7fffffff;
	for (i = 0; i < ARRAY_SIZE(controls); i++) {
		err = probe_control(&controls[i], basic & BIT_ULL(55));
		if (err)
			return err;
	}
	probe_timer(basic & BIT_ULL(55));
	err = probe_ept_vpid();
	if (err)
		return err;

	rdmsrl(MSR_IA32_VMX_CR0_FIXED0, vmx_caps.cr0_fixed0);
	rdmsrl(MSR_IA32_VMX_CR0_FIXED1, vmx_caps.cr0_fixed1);
	rdmsrl(MSR_IA32_VMX_CR4_FIXED0, vmx_caps.cr4_fixed0);
	rdmsrl(MSR_IA32_VMX_CR4_FIXED1, vmx_caps.cr4_fixed1);
	return 0;
}
