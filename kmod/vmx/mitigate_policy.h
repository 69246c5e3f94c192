/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is done at VM entries and exits against attacks by speculative
 * execution, from what the kernel found out about the CPU and what it was told
 * to do about it. Pure: no kernel call, no CPU access, so that the unit test
 * (tests/unit/mitigate_test.c) asks all of it. docs/security.md has the table.
 */
#ifndef KMOD_VMX_MITIGATE_POLICY_H
#define KMOD_VMX_MITIGATE_POLICY_H

#include <linux/errno.h>
#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stddef.h>
#endif

/* X(NAME, "word of the module parameter") */
#define MITIGATE_ACTIONS(X)						\
	X(GPRS, "gprs")		/* no register keeps a guest's value */	\
	X(RSB, "rsb")		/* exit: return stack buffer filled */	\
	X(RSB_LITE, "rsb-lite")	/* exit: one CALL retired before a RET */ \
	X(IBRS, "ibrs")		/* off in the guest, written at each exit */ \
	X(BHB, "bhb")		/* exit: branch history cleared */	\
	X(VERW, "verw")		/* entry: CPU buffers cleared */	\
	X(L1D_COND, "l1d-cond")	/* entry after host work: L1D flushed */ \
	X(L1D, "l1d")		/* each entry: L1D flushed */		\
	X(IBPB, "ibpb")		/* another process' VMCS: barrier */	\
	X(VMSCAPE, "vmscape")	/* barrier before user mode */

/* Numbers of the bits in a set of actions. */
enum mitigate_action {
#define X(name, word) MITIGATE_##name,
	MITIGATE_ACTIONS(X)
#undef X
	NR_MITIGATE_ACTIONS
};

#define MITIGATE(name)	(1u << MITIGATE_##name)

/* Bits of what is known of CPU and kernel. */
enum mitigate_fact {
	FACT_OFF		= 1 << 0,	/* mitigations=off */
	FACT_RSB_VMEXIT		= 1 << 1,
	FACT_RSB_VMEXIT_LITE	= 1 << 2,
	FACT_KERNEL_IBRS	= 1 << 3,	/* IBRS that is no eIBRS */
	FACT_BHB_LOOP		= 1 << 4,	/* BHI without BHI_DIS_S */
	FACT_CLEAR_CPU_BUF	= 1 << 5,	/* MDS, TAA, RFDS; MMIO beside one */
	FACT_MMIO_STALE_DATA	= 1 << 6,	/* MMIO alone */
	FACT_L1TF		= 1 << 7,	/* the CPU has the bug */
	FACT_SKIP_L1D_FLUSH	= 1 << 8,	/* a hypervisor below flushes */
	FACT_L1TF_OFF		= 1 << 9,	/* the kernel's choice: l1tf=off */
	FACT_L1TF_FULL		= 1 << 10,	/* l1tf=full, full,force */
	FACT_USE_IBPB		= 1 << 11,
	FACT_CAN_IBPB		= 1 << 12,	/* the CPU has the command */
	FACT_CAN_IBRS		= 1 << 13,	/* and IA32_SPEC_CTRL */
	FACT_EXIT_IBPB		= 1 << 14,	/* IBPB_EXIT_TO_USER */
};

/* What KVM would do, of what concerns a guest that is a Linux process. */
unsigned int mitigate_decide(unsigned int facts);

/* Has the CPU the bug, its mitigation is wanted, and actions lacks it? */
bool mitigate_l1tf_open(unsigned int facts, unsigned int actions);

/*
 * The module parameter: words with commas between. "auto" stands for
 * mitigate_decide(), "off" alone for nothing, others for themselves. 0 and
 * *actions; -EINVAL: a word is unknown; -EOPNOTSUPP: this CPU or kernel cannot.
 */
int mitigate_parse(const char *words, unsigned int facts, unsigned int *actions);

/* The set as such words, "off" when empty. The length, as snprintf() has it. */
int mitigate_print(char *buf, size_t size, unsigned int actions);

#endif /* KMOD_VMX_MITIGATE_POLICY_H */
