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

static inline void vmx_insn_vmclear(u64 pa)
{
	bool failed;

	asm volatile("vmclear %[pa]" : "=@ccna" (failed)
		     : [pa] "m" (pa) : "memory");
	WARN_ONCE(failed, "dune: VMCLEAR failed\n");
}

static inline void vmx_insn_vmptrld(u64 pa)
{
	bool failed;

	asm volatile("vmptrld %[pa]" : "=@ccna" (failed)
		     : [pa] "m" (pa) : "memory");
	WARN_ONCE(failed, "dune: VMPTRLD failed\n");
}

static __always_inline u64 vmcs_read(unsigned long field)
{
	u64 value = 0;
	bool failed;

	asm volatile("vmread %[field], %[value]"
		     : "=@ccna" (failed), [value] "+r" (value)
		     : [field] "r" (field));
	WARN_ONCE(failed, "dune: VMREAD of field %#lx failed\n", field);
	return value;
}

static __always_inline void vmcs_write(unsigned long field, u64 value)
{
	bool failed;

	asm volatile("vmwrite %[value], %[field]"
		     : "=@ccna" (failed)
		     : [field] "r" (field), [value] "rm" (value));
	WARN_ONCE(failed, "dune: VMWRITE of %#llx to field %#lx failed\n",
		  value, field);
}

static inline void vmx_insn_invept(unsigned long type, u64 eptp)
{
	struct {
		u64 eptp, reserved;
	} desc = { eptp, 0 };
	bool failed;

	asm volatile("invept %[desc], %[type]" : "=@ccna" (failed)
		     : [desc] "m" (desc), [type] "r" (type) : "memory");
	WARN_ONCE(failed, "dune: INVEPT type %lu failed\n", type);
}

static inline void vmx_insn_invvpid(unsigned long type, u16 vpid)
{
	struct {
		u64 vpid, gva;
	} desc = { vpid, 0 };
	bool failed;

	asm volatile("invvpid %[desc], %[type]" : "=@ccna" (failed)
		     : [desc] "m" (desc), [type] "r" (type) : "memory");
	WARN_ONCE(failed, "dune: INVVPID type %lu failed\n", type);
}

#endif /* KMOD_VMX_INSN_H */
