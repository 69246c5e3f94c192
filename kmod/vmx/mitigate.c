// SPDX-License-Identifier: GPL-2.0-only
/*
 * See mitigate.h. The kernel's own findings and choice are asked for, as KVM
 * does: its command line (mitigations=, mds=, spectre_v2=, l1tf=, ...) is what
 * an administrator sets. What happens in entry.S is switched by static keys.
 */
#include <linux/cpu.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/sched/smt.h>
#include <linux/string.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/processor.h>

#include "compat.h"
#include "mitigate.h"

/* More than any L1 data cache, whose replacement is not exactly LRU. */
#define FLUSH_ORDER	4
#define FLUSH_SIZE	(PAGE_SIZE << FLUSH_ORDER)
#define CACHE_LINE	64

unsigned int vmx_mitigations __ro_after_init;
bool vmx_l1tf_open __ro_after_init;
static char wanted[128] = "auto";

DEFINE_STATIC_CALL(vmx_enter_chosen, vmx_enter);

/* Read by entry.S. */
DEFINE_STATIC_KEY_FALSE(vmx_mitigate_rsb_key);
DEFINE_STATIC_KEY_FALSE(vmx_mitigate_rsb_lite_key);
DEFINE_STATIC_KEY_FALSE(vmx_mitigate_ibrs_key);
DEFINE_STATIC_KEY_FALSE(vmx_mitigate_bhb_key);
DEFINE_STATIC_KEY_FALSE(vmx_mitigate_verw_key);
DEFINE_STATIC_KEY_FALSE(vmx_mitigate_l1d_key);

static DEFINE_STATIC_KEY_FALSE(l1d_always_key);
DEFINE_STATIC_KEY_FALSE(vmx_mitigate_ibpb_key);
DEFINE_STATIC_KEY_FALSE(vmx_mitigate_vmscape_key);

static struct static_key_false *const keys[NR_MITIGATE_ACTIONS] = {
	[MITIGATE_RSB] = &vmx_mitigate_rsb_key,
	[MITIGATE_RSB_LITE] = &vmx_mitigate_rsb_lite_key,
	[MITIGATE_IBRS] = &vmx_mitigate_ibrs_key,
	[MITIGATE_BHB] = &vmx_mitigate_bhb_key,
	[MITIGATE_VERW] = &vmx_mitigate_verw_key,
	[MITIGATE_L1D_COND] = &vmx_mitigate_l1d_key,
	[MITIGATE_L1D] = &l1d_always_key,
	[MITIGATE_IBPB] = &vmx_mitigate_ibpb_key,
	[MITIGATE_VMSCAPE] = &vmx_mitigate_vmscape_key,
};

/* ---- L1 data cache ---- */

static char *flush_pages;	/* where the CPU has no command for it */

static noinstr void read_all(unsigned long step)
{
	unsigned long i;

	for (i = 0; i < FLUSH_SIZE; i += step)
		(void)READ_ONCE(flush_pages[i]);
}

/* From entry.S: irqs off, RCU may not be watching, the guest's CR2. */
noinstr void vmx_mitigate_before_entry(struct vmx_vcpu *v);
noinstr void vmx_mitigate_before_entry(struct vmx_vcpu *v)
{
	unsigned int a = 0, b, c = 0, d;

	if (!static_branch_unlikely(&l1d_always_key) && !v->host_worked)
		return;
	v->host_worked = false;
	if (!flush_pages) {
		native_wrmsr(MSR_IA32_FLUSH_CMD, L1D_FLUSH, 0);
		return;
	}
	/* Translations first: walking for them would fill lines again. */
	read_all(PAGE_SIZE);
	asm volatile("cpuid" : "+a" (a), "=b" (b), "+c" (c), "=d" (d) : : "memory");
	read_all(CACHE_LINE);
	asm volatile("lfence" : : : "memory");
}

static int l1d_setup(void)
{
	unsigned int i;

	if (boot_cpu_has(X86_FEATURE_FLUSH_L1D))
		return 0;
	flush_pages = (char *)__get_free_pages(GFP_KERNEL, FLUSH_ORDER);
	if (!flush_pages)
		return -ENOMEM;
	/* All different, or a hypervisor below merges them into one page. */
	for (i = 0; i < 1 << FLUSH_ORDER; i++)
		memset(flush_pages + i * PAGE_SIZE, i + 1, PAGE_SIZE);
	return 0;
}

/* ---- indirect branch predictors ---- */

/* mm.context.ctx_id, never used twice, of the last guest on this CPU. */
static DEFINE_PER_CPU(u64, last_guest);

void vmx_ibpb_between_vms(const struct vmx_vcpu *v)
{
	if (this_cpu_read(last_guest) == v->mm_id)
		return;
	this_cpu_write(last_guest, v->mm_id);
	native_wrmsr(MSR_IA32_PRED_CMD, (u32)x86_pred_cmd, 0);
}

void vmx_mitigate_cpu_reset(void)
{
	this_cpu_write(last_guest, 0);
}

void vmx_ibpb_before_user(void)
{
	this_cpu_write(x86_ibpb_exit_to_user, true);
}

/* ---- what to do ---- */

static unsigned int l1tf_facts(void)
{
	unsigned int facts = 0;
	u64 cap = 0;

	if (boot_cpu_has_bug(X86_BUG_L1TF))
		facts |= FACT_L1TF;
	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		rdmsrl(MSR_IA32_ARCH_CAPABILITIES, cap);
	if (cap & ARCH_CAP_SKIP_VMENTRY_L1DFLUSH)
		facts |= FACT_SKIP_L1D_FLUSH;
	switch (l1tf_mitigation) {
	case L1TF_MITIGATION_OFF:
		facts |= FACT_L1TF_OFF;
		break;
	case L1TF_MITIGATION_FULL:
	case L1TF_MITIGATION_FULL_FORCE:
		facts |= FACT_L1TF_FULL;
		break;
	default:
		break;
	}
	return facts;
}

static unsigned int find_facts(void)
{
	static const struct {
		unsigned int feature, fact;
	} features[] = {
		{ X86_FEATURE_RSB_VMEXIT, FACT_RSB_VMEXIT },
		{ X86_FEATURE_RSB_VMEXIT_LITE, FACT_RSB_VMEXIT_LITE },
		{ X86_FEATURE_KERNEL_IBRS, FACT_KERNEL_IBRS },
		{ X86_FEATURE_CLEAR_BHB_LOOP_ON_VMEXIT, FACT_BHB_LOOP },
		{ X86_FEATURE_CLEAR_CPU_BUF, FACT_CLEAR_CPU_BUF },
		{ X86_FEATURE_USE_IBPB, FACT_USE_IBPB },
		{ X86_FEATURE_IBPB, FACT_CAN_IBPB },
		{ X86_FEATURE_MSR_SPEC_CTRL, FACT_CAN_IBRS },
		{ X86_FEATURE_IBPB_EXIT_TO_USER, FACT_EXIT_IBPB },
	};
	unsigned int i, facts = l1tf_facts();

	for (i = 0; i < ARRAY_SIZE(features); i++)
		if (test_cpu_cap(&boot_cpu_data, features[i].feature))
			facts |= features[i].fact;
	if (cpu_mitigations_off())
		facts |= FACT_OFF;
	if (static_key_enabled(&mmio_stale_data_clear))
		facts |= FACT_MMIO_STALE_DATA;
	return facts;
}

static void enable_keys(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(keys); i++)
		if (vmx_mitigations & BIT(i) && keys[i])
			static_branch_enable(keys[i]);
	if (vmx_mitigations & MITIGATE(L1D))
		static_branch_enable(&vmx_mitigate_l1d_key);
	if (vmx_mitigations & MITIGATE(GPRS))
		static_call_update(vmx_enter_chosen, vmx_enter_mitigated);
}

int vmx_mitigate_setup(void)
{
	unsigned int facts = find_facts();
	char words[128];
	int err;

	err = mitigate_parse(wanted, facts, &vmx_mitigations);
	if (err) {
		pr_err("dune: mitigations=%s: %s\n", wanted, err == -EINVAL ?
		       "unknown word" : "not on this CPU or kernel");
		return err;
	}
	if (vmx_mitigations & (MITIGATE(L1D) | MITIGATE(L1D_COND))) {
		err = l1d_setup();
		if (err)
			return err;
	}
	vmx_l1tf_open = mitigate_l1tf_open(facts, vmx_mitigations);
	enable_keys();
	mitigate_print(words, sizeof(words), vmx_mitigations);
	pr_info("dune: mitigations at VM entry and exit: %s\n", words);
	if (vmx_mitigations & (MITIGATE(L1D) | MITIGATE(L1D_COND)) &&
	    sched_smt_active())
		pr_info("dune: L1TF and SMT: a guest may read what its sibling has in the cache\n");
	return 0;
}

void vmx_mitigate_teardown(void)
{
	free_pages((unsigned long)flush_pages, FLUSH_ORDER);
}

static int param_set(const char *val, const struct kernel_param *kp)
{
	size_t len = strcspn(val, "\n");

	if (len >= sizeof(wanted))
		return -ENOSPC;
	memcpy(wanted, val, len);
	wanted[len] = '\0';
	return 0;
}

/* What is done, whatever was wanted. */
static int param_get(char *buf, const struct kernel_param *kp)
{
	int len = mitigate_print(buf, PAGE_SIZE - 1, vmx_mitigations);

	buf[len++] = '\n';
	return len;
}

static const struct kernel_param_ops param_ops = {
	.set = param_set,
	.get = param_get,
};

module_param_cb(mitigations, &param_ops, NULL, 0444);
MODULE_PARM_DESC(mitigations,
		 "at VM entry and exit: auto (as the kernel chose), off, or a list of gprs, rsb, rsb-lite, ibrs, bhb, verw, l1d-cond, l1d, ibpb, vmscape (default: auto)");
