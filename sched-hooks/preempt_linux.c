// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU follows its thread: loaded while the thread is inside DUNE_RUN,
 * through every preemption and migration. The notifier is registered for that
 * time only, so other threads of the machine pay nothing.
 */
#include <linux/preempt.h>
#include <linux/sched.h>
#include <asm/desc.h>

#include "residency.h"
#include "trace.h"
#include "vcpu.h"

/* Preemption off, irqs on. */
static void load_here(struct dune_vcpu *vcpu)
{
	int from = vcpu->vmx.last_cpu;
	enum residency_change change = residency_load(&vcpu->vmx);

	store_ldt(vcpu->vmx.host_ldt);
	if (change == RESIDENCY_SAME || change == RESIDENCY_NONE)
		return;
	if (!vcpu->initialised) {
		vmx_vmcs_init(&vcpu->vmx);
		vcpu->initialised = true;
	}
	vmx_host_state_load(&vcpu->vmx);
	/*
	 * Here may be translations from an earlier stay, or from an earlier
	 * owner of the VPID.
	 */
	vmx_flush_vpid(vcpu->vmx.vpid);
	vcpu_count(vcpu, DUNE_VCPU_invvpid);
	if (change == RESIDENCY_MOVED) {
		vcpu_count(vcpu, DUNE_VCPU_migrated);
		trace_dune_migrate(from, vcpu->vmx.last_cpu);
	}
}

static void sched_in(struct preempt_notifier *notifier, int cpu)
{
	load_here(container_of(notifier, struct dune_vcpu, preempt));
}

/* Run queue lock held, irqs off. */
static void sched_out(struct preempt_notifier *notifier,
		      struct task_struct *next)
{
	struct dune_vcpu *vcpu;

	vcpu = container_of(notifier, struct dune_vcpu, preempt);
	vcpu_count(vcpu, DUNE_VCPU_preempted);
	vmx_host_state_restore(&vcpu->vmx);
}

static struct preempt_ops preempt_ops = {
	.sched_in = sched_in,
	.sched_out = sched_out,
};

void vcpu_preempt_init(struct dune_vcpu *vcpu)
{
	preempt_notifier_init(&vcpu->preempt, &preempt_ops);
}

void vcpu_load(struct dune_vcpu *vcpu)
{
	preempt_disable();
	preempt_notifier_register(&vcpu->preempt);
	load_here(vcpu);
	preempt_enable();
}

void vcpu_put(struct dune_vcpu *vcpu)
{
	preempt_disable();
	preempt_notifier_unregister(&vcpu->preempt);
	vmx_host_state_restore(&vcpu->vmx);
	preempt_enable();
}
