/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The VMX instructions, one inline each. A failure that only a bug in this
 * module can cause warns once and names the field; the others are returned.
 */
#ifndef KMOD_VMX_INSN_H
#define KMOD_VMX_INSN_H

#include <linux/bug.h>
#include <linux/types.h>
#include <asm/asm.h>
#include <asm/vmx.h>

#include "vmcs_stats.h"
#include "vmx.h"

/* 0 or -EFAULT when the CPU faults (VMX locked out by firmware, say). */
static inline int vmx_insn_vmxon(u64 pa)
{
	asm goto("1: vmxon %[pa]\n\t"
		 _ASM_EXTABLE(1b, %l[fault])
		 : : [pa] "m" (pa) : "memory", "cc" : fault);
	return 0;
fault:
	return -EFAULT;
}

/* The CPU may have left VMX operation already (emergency reboot): tolerated. */
static inline void vmx_insn_vmxoff(void)
{
	asm goto("1: vmxoff\n\t"
		 _ASM_EXTABLE(1b, %l[fault])
		 : : : "memory", "cc" : fault);
fault:
	return;
}

/*
 * A fault of the instructions below means that the CPU is not in VMX operation
 * any more: a reboot (vmx_shut_down) turned it off under a running vCPU. Then they do nothing
 * and the next entry fails; in any other case it is a bug.
 */

static inline void vmx_insn_fault(const char *insn)
{
	WARN_ONCE(!READ_ONCE(vmx_shut_down), "dune: %s faulted\n", insn);
}

/* insn with one memory operand; CF or ZF set: failed. */
#define VMX_INSN_MEM(name, insn)					\
static inline void name(u64 pa)						\
{									\
	asm goto("1: " insn " %[pa]\n\t"				\
		 "jna %l[failed]\n\t"					\
		 _ASM_EXTABLE(1b, %l[fault])				\
		 : : [pa] "m" (pa) : "memory", "cc" : failed, fault);	\
	return;								\
failed:									\
	WARN_ONCE(1, "dune: " insn " failed\n");			\
	return;								\
fault:									\
	vmx_insn_fault(insn);						\
}

VMX_INSN_MEM(vmx_insn_vmclear, "vmclear")
VMX_INSN_MEM(vmx_insn_vmptrld_only, "vmptrld")

static inline void vmx_insn_vmptrld(u64 pa)
{
	vmx_insn_vmptrld_only(pa);
	vmcs_stats_load();
}

static __always_inline u64 vmx_insn_vmread(unsigned long field)
{
	u64 value;

	asm_goto_output("1: vmread %[field], %[value]\n\t"
			"jna %l[failed]\n\t"
			_ASM_EXTABLE(1b, %l[fault])
			: [value] "=r" (value) : [field] "r" (field)
			: "cc" : failed, fault);
	return value;
failed:
	WARN_ONCE(1, "dune: VMREAD of field %#lx failed\n", field);
	return 0;
fault:
	vmx_insn_fault("vmread");
	return 0;
}

static __always_inline u64 vmcs_read(unsigned long field)
{
	vmcs_stats_read();
	return vmx_insn_vmread(field);
}

/* What follows is this exit's, to those who count. */
static __always_inline u32 vmcs_read_exit_reason(void)
{
	u32 reason = vmx_insn_vmread(VM_EXIT_REASON);

	vmcs_stats_exit(reason);
	return reason;
}

static __always_inline void vmcs_write(unsigned long field, u64 value)
{
	vmcs_stats_write();
	asm goto("1: vmwrite %[value], %[field]\n\t"
		 "jna %l[failed]\n\t"
		 _ASM_EXTABLE(1b, %l[fault])
		 : : [field] "r" (field), [value] "rm" (value)
		 : "cc" : failed, fault);
	return;
failed:
	WARN_ONCE(1, "dune: VMWRITE of %#llx to field %#lx failed\n",
		  value, field);
	return;
fault:
	vmx_insn_fault("vmwrite");
}

struct vmx_inv_desc {
	u64 tag, address;
};

/* insn with a type and a descriptor. */
#define VMX_INSN_INV(name, insn)					\
static inline void name(unsigned long type, u64 tag)			\
{									\
	struct vmx_inv_desc desc = { tag, 0 };				\
									\
	asm goto("1: " insn " %[desc], %[type]\n\t"			\
		 "jna %l[failed]\n\t"					\
		 _ASM_EXTABLE(1b, %l[fault])				\
		 : : [desc] "m" (desc), [type] "r" (type)		\
		 : "memory", "cc" : failed, fault);			\
	return;								\
failed:									\
	WARN_ONCE(1, "dune: " insn " type %lu failed\n", type);		\
	return;								\
fault:									\
	vmx_insn_fault(insn);						\
}

VMX_INSN_INV(vmx_insn_invept, "invept")
VMX_INSN_INV(vmx_insn_invvpid, "invvpid")

#endif /* KMOD_VMX_INSN_H */
