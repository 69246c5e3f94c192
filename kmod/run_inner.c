// SPDX-License-Identifier: GPL-2.0-only
/*
 * The inner loop: enter, and enter again after each exit that needs nothing of
 * the host. Here an instruction counts, so all of the way of a hypercall is in
 * this file.
 *
 * No lock, no allocation, no MSR, no line that another CPU writes. For flushers
 * all of it is one run (smp/shootdown.h): with irqs off their kick waits and
 * ends the next entry before its first instruction.
 */
#include "compat.h"
#include "fastcall.h"
#include "trace.h"
#include "vcpu.h"
#include "vmx/enter.h"

static __always_inline enum vcpu_inner hypercall(struct dune_vcpu *vcpu)
{
	struct dune_regs *regs = &vcpu->page->regs;
	u64 nr = READ_ONCE(regs->rax);

	if (unlikely(!vcpu_at_cpl0(vcpu)))
		return VCPU_INNER_LEAVE;
	if (nr == DUNE_HC_NOP) {
		vcpu_count(vcpu, DUNE_VCPU_hypercalls);
		regs->rax = 0;
		vmx_skip_hypercall(&vcpu->vmx);
		return VCPU_INNER_DONE;
	}
	if (dune_hc_is_own(nr) || !fastcall_is_pure(vcpu, nr))
		return VCPU_INNER_LEAVE;
	regs->rax = fastcall_make(vcpu, nr);
	dune_call_end(vcpu, nr);
	return VCPU_INNER_DONE;
}

void vcpu_run_inner(struct dune_vcpu *vcpu, struct vmx_exit *exit)
{
	enum vcpu_inner inner;

	vmx_run_begin(&vcpu->vmx);
	do {
		vcpu_count(vcpu, DUNE_VCPU_entries);
		trace_dune_entry(vcpu);
		exit->kind = vmx_run(&vcpu->vmx, exit);
		if (likely(exit->kind == VMX_EXIT_HYPERCALL)) {
			trace_dune_exit(vcpu, VMX_EXIT_HYPERCALL);
			inner = hypercall(vcpu);
		} else if (exit->kind == VMX_EXIT_CPUID) {
			trace_dune_exit(vcpu, VMX_EXIT_CPUID);
			vcpu_cpuid(vcpu);
			continue;
		} else if (exit->kind == VMX_EXIT_EPT_VIOLATION) {
			trace_dune_exit(vcpu, VMX_EXIT_EPT_VIOLATION);
			goto out;
		} else {
			inner = vcpu_handle_inner(vcpu, exit);
		}
		if (inner == VCPU_INNER_LEAVE)
			goto out;
	} while (likely(!vcpu_work_pending(VCPU_RUN_WORK)));
	exit->kind = VMX_EXIT_DONE;
out:
	vmx_run_end(&vcpu->vmx);
}
