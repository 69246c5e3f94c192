// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU follows its thread: loaded while the thread is inside DUNE_RUN,
 * through every preemption and migration. The notifier is registered for that
 * time only, so other threads of the machine pay nothing.
 */
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/topology.h>
#include <asm/segment.h>

#include "residency.h"
#include "trace.h"
#include "vcpu.h"

/*
 * GDT entry 15 of Linux: a data segment (read-only, accessed, expand-down, DPL 3)
 * whose limit is the CPU and its node. See setup_getcpu() in
 * arch/x86/kernel/cpu/common.c.
 */
static u64 cpu_desc(int cpu)
{
	u64 limit = vdso_encode_cpunode(cpu, cpu_to_node(cpu));

	return 0x0040f50000000000ull | (limit & 0xffff) | (limit >> 16 & 0xf) << 48;
}

/* On another CPU than before: its node's EPT, in its node's shootdowns. */
static void follow_node(struct dune_vcpu *vcpu)
{
	if (placement_moved(vcpu, cpu_to_node(vcpu->vmx.last_cpu)))
		vmx_set_ept(&vcpu->vmx, pt_root_pa(&vcpu->replica->pt));
}

/* Preemption off, irqs on. */
static noinline void load_slow(struct dune_vcpu *vcpu)
{
	int from = vcpu->vmx.last_cpu;
	enum residency_change change = residency_load(&vcpu->vmx);
	enum vpid_use use;

	if (change == RESIDENCY_NONE)
		return;
	if (change != RESIDENCY_SAME) {
		if (!vcpu->initialised) {
			vmx_vmcs_init(&vcpu->vmx);
			vcpu->initialised = true;
		}
		vmx_host_state_load(&vcpu->vmx);
		follow_node(vcpu);
		WRITE_ONCE(vcpu->page->cpu_desc, cpu_desc(vcpu->vmx.last_cpu));
		if (change == RESIDENCY_MOVED) {
			vcpu_count(vcpu, DUNE_VCPU_migrated);
			trace_dune_migrate(from, vcpu->vmx.last_cpu);
		}
	}
	replica_use(this_cpu_ptr(vcpu->vm->sd_cpu), vcpu->replica);
	use = vmx_vpid_load(&vcpu->vmx);
	if (use != VPID_KEPT)
		vcpu_count(vcpu, DUNE_VCPU_vpids);
	if (use == VPID_TAKEN_FLUSH)
		vcpu_count(vcpu, DUNE_VCPU_invvpid);
}

/* The same. Where it was it still is, mostly. */
static inline void load_here(struct dune_vcpu *vcpu)
{
	if (unlikely(!vmx_vmcs_is_ready(&vcpu->vmx)))
		load_slow(vcpu);
	vmx_host_switched(&vcpu->vmx);
}

/*
 * What this CPU's user mode may not see. An exit made it so: nothing to do
 * when there was none since, as when the thread blocks twice in one call.
 */
void vcpu_restore_host(struct dune_vcpu *vcpu)
{
	if (vcpu->vmx.host_stale)
		vmx_host_state_restore(&vcpu->vmx);
}

static void sched_in(struct preempt_notifier *notifier, int cpu)
{
	struct dune_vcpu *vcpu;

	vcpu = container_of(notifier, struct dune_vcpu, preempt);
	residency_check(&vcpu->vmx, RESIDENCY_EV_SCHED_IN);
	load_here(vcpu);
}

/* Run queue lock held, irqs off. */
static void sched_out(struct preempt_notifier *notifier,
		      struct task_struct *next)
{
	struct dune_vcpu *vcpu;

	vcpu = container_of(notifier, struct dune_vcpu, preempt);
	residency_check(&vcpu->vmx, RESIDENCY_EV_SCHED_OUT);
	vcpu_count(vcpu, DUNE_VCPU_preempted);
	vcpu_restore_host(vcpu);
}

static struct preempt_ops preempt_ops = {
	.sched_in = sched_in,
	.sched_out = sched_out,
};

void vcpu_preempt_init(struct dune_vcpu *vcpu)
{
	preempt_notifier_init(&vcpu->preempt, &preempt_ops);
}

/* Nobody else changes this thread's list. KVM has its own in it. */
struct dune_vcpu *vcpu_of_current(void)
{
	struct preempt_notifier *notifier;

	hlist_for_each_entry(notifier, &current->preempt_notifiers, link)
		if (notifier->ops == &preempt_ops)
			return container_of(notifier, struct dune_vcpu, preempt);
	return NULL;
}

void vcpu_load(struct dune_vcpu *vcpu)
{
	preempt_disable();
	preempt_notifier_register(&vcpu->preempt);
	load_here(vcpu);
	preempt_enable();
}

void vcpu_move_vmcs(struct dune_vcpu *vcpu, void **page)
{
	preempt_disable();
	if (residency_unload(&vcpu->vmx) == RESIDENCY_DONE)
		vmx_vmcs_move(&vcpu->vmx, page);
	load_here(vcpu);
	preempt_enable();
}

void vcpu_put(struct dune_vcpu *vcpu)
{
	preempt_disable();
	preempt_notifier_unregister(&vcpu->preempt);
	vcpu_restore_host(vcpu);
	preempt_enable();
}
