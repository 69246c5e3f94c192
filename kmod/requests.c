// SPDX-License-Identifier: GPL-2.0-only
/* See requests.h. */
#include <linux/atomic.h>
#include <linux/preempt.h>
#include <linux/uaccess.h>

#include "kick.h"
#include "requests.h"
#include "topology.h"
#include "trace.h"
#include "vcpu_requests.h"

#define FIRST_VECTOR	32u	/* below it are exceptions */
#define LAST_VECTOR	255u

static void deliver_irq(struct dune_vcpu *vcpu)
{
	u32 vector = READ_ONCE(vcpu->page->notify_vector);

	if (vector < FIRST_VECTOR || vector > LAST_VECTOR) {
		vmx_irq_window_close(&vcpu->vmx);
		trace_dune_irq(vector, TRACE_IRQ_IGNORED);
		return;
	}
	if (vmx_inject_irq(&vcpu->vmx, vector) == VMX_IRQ_BLOCKED) {
		vmx_irq_window_open(&vcpu->vmx);
		trace_dune_irq(vector, TRACE_IRQ_WAITS);
		return;
	}
	vmx_irq_window_close(&vcpu->vmx);
	vcpu_count(vcpu, DUNE_VCPU_irqs);
	trace_dune_irq(vector, TRACE_IRQ_INJECTED);
}

void vcpu_take_requests(struct dune_vcpu *vcpu)
{
	u32 taken = vreq_run_take(vcpu->page);

	if (taken & VREQ_FLUSHES) {
		vmx_flush_guest(&vcpu->vmx);
		vcpu_count(vcpu, DUNE_VCPU_guest_flushes);
		trace_dune_guest_flush(vcpu);
	}
	if (taken & DUNE_REQ_IRQ)
		deliver_irq(vcpu);
}

int vcpu_irq_window(struct dune_vcpu *vcpu, const struct vmx_exit *exit)
{
	vcpu_count(vcpu, DUNE_VCPU_irq_windows);
	deliver_irq(vcpu);
	return VCPU_CONTINUE;
}

void vcpu_keep_irq(struct dune_vcpu *vcpu)
{
	if (vmx_irq_is_injected(&vcpu->vmx) ||
	    (vcpu->deferred && vmx_irq_was_interrupted(&vcpu->vmx)))
		atomic_or(DUNE_REQ_IRQ, (atomic_t *)&vcpu->page->requests);
}

long vcpu_kick(struct dune_vcpu *vcpu, u64 addr)
{
	struct dune_vm *vm = vcpu->vm;
	struct dune_kick kick;
	unsigned int kicks;

	vcpu_count(vcpu, DUNE_VCPU_kick_calls);
	if (copy_from_user(&kick, (void __user *)addr, sizeof(kick)))
		return -EFAULT;
	preempt_disable();
	kicks = kick_vcpus(&vm->ept.first.sd, kick.ids, DUNE_MAX_VCPUS);
	count_leaders(vm, kicks);
	preempt_enable();
	vcpu_count_n(vcpu, DUNE_VCPU_kicks_sent, kicks);
	trace_dune_kick(vm, kicks);
	return kicks;
}
