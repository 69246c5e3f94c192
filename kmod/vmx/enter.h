/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One entry, and what the most frequent exits need, inline for the one place
 * where that matters (kmod/run_inner.c). The contract is in vmx.h.
 */
#ifndef KMOD_VMX_ENTER_H
#define KMOD_VMX_ENTER_H

#include "compat.h"
#include "insn.h"
#include "mitigate.h"
#include "vmx_internal.h"

#define VMCALL_LEN	3	/* bytes: the ABI's has no prefix */

static __always_inline enum vmx_exit_kind
vmx_run(struct vmx_vcpu *v, struct vmx_exit *exit)
{
	unsigned int failed;
	u32 reason;

	guest_context_begin();
	failed = static_call(vmx_enter_chosen)(v);
	guest_context_end();
	if (unlikely(failed))
		return vmx_insn_failed(exit);

	reason = vmcs_read_exit_reason();
	if (likely(reason == EXIT_REASON_VMCALL))
		return VMX_EXIT_HYPERCALL;
	if (reason == EXIT_REASON_CPUID)
		return VMX_EXIT_CPUID;
	return vmx_decode(v, exit, reason);
}

static __always_inline void vmx_set_rip(struct vmx_vcpu *v, u64 rip)
{
	vmcs_write(GUEST_RIP, rip);
}

static __always_inline void vmx_skip_hypercall(struct vmx_vcpu *v)
{
	vmcs_write(GUEST_RIP, vmcs_read(GUEST_RIP) + VMCALL_LEN);
}

static __always_inline void vmx_skip_cpuid(struct vmx_vcpu *v)
{
	u64 rip = vmcs_read(GUEST_RIP);

	/* It may have prefixes, but the same ones as the last time it was here. */
	if (unlikely(rip != v->cpuid_rip)) {
		v->cpuid_rip = rip;
		v->cpuid_len = vmx_insn_len(v);
	}
	vmcs_write(GUEST_RIP, rip + v->cpuid_len);
}

/* If the exit interrupted an event's delivery, deliver it again; true if so. */
static __always_inline bool vmx_reinject(struct vmx_vcpu *v)
{
	u32 info = vmcs_read(IDT_VECTORING_INFO_FIELD);

	if (likely(!(info & VECTORING_INFO_VALID_MASK)))
		return false;
	vmx_reinject_event(v, info);
	return true;
}

#endif /* KMOD_VMX_ENTER_H */
