// SPDX-License-Identifier: GPL-2.0-only
/* See residency.h. */
#include <linux/irqflags.h>
#include <linux/list.h>
#include <linux/percpu.h>
#include <linux/smp.h>

#include "power.h"
#include "residency.h"

/* Owned by its CPU, touched with irqs off. */
static DEFINE_PER_CPU(struct list_head, loaded_vmcss);

/* irqs off, on the CPU where v is loaded. */
static void clear_here(struct vmx_vcpu *v, enum residency_event event)
{
	if (residency_step(&v->state, event) == RESIDENCY_REFUSED)
		return;
	vmx_vmcs_clear(v);
	list_del_init(&v->loaded);
	/*
	 * [RES-1] Off the list before another CPU may put it on its own;
	 * pairs with [RES-2] in residency_load(), else two CPUs edit one list
	 * entry. Shape: MP.
	 */
	smp_wmb();
	WRITE_ONCE(v->cpu, VMX_NO_CPU);
}

static void clear_ipi(void *arg)
{
	struct vmx_vcpu *v = arg;

	/* The CPU may have cleared all it had since the sender looked. */
	if (READ_ONCE(v->cpu) == raw_smp_processor_id())
		clear_here(v, RESIDENCY_EV_CLEAR);
}

/* Its CPU clears it; nothing to do when that has done so by itself. */
static void clear_anywhere(struct vmx_vcpu *v)
{
	int cpu = READ_ONCE(v->cpu);

	if (cpu == VMX_NO_CPU)
		return;
	if (residency_step(&v->state, RESIDENCY_EV_MIGRATE) == RESIDENCY_REFUSED)
		return;
	/* Fails only for a CPU that went offline, which cleared it. */
	smp_call_function_single(cpu, clear_ipi, v, 1);
}

enum residency_verdict residency_retire(struct vmx_vcpu *v)
{
	clear_anywhere(v);
	return residency_step(&v->state, RESIDENCY_EV_RETIRE);
}

enum residency_verdict residency_unload(struct vmx_vcpu *v)
{
	clear_anywhere(v);
	return READ_ONCE(v->cpu) == VMX_NO_CPU ? RESIDENCY_DONE : RESIDENCY_REFUSED;
}

enum residency_change residency_load(struct vmx_vcpu *v)
{
	int cpu = smp_processor_id();
	enum residency_change change;
	unsigned long flags;

	if (!power_on_here())
		return RESIDENCY_NONE;
	if (READ_ONCE(v->cpu) == cpu) {
		vmx_vmcs_load(v);
		return RESIDENCY_SAME;
	}
	change = v->last_cpu == VMX_NO_CPU ? RESIDENCY_FIRST : RESIDENCY_MOVED;
	clear_anywhere(v);

	local_irq_save(flags);
	/* [RES-2] See [RES-1]. */
	smp_rmb();
	if (residency_step(&v->state, RESIDENCY_EV_LOAD) == RESIDENCY_REFUSED) {
		local_irq_restore(flags);
		return RESIDENCY_NONE;
	}
	if (change == RESIDENCY_FIRST)
		vmx_vmcs_clear(v);	/* a VMCS begins with VMCLEAR */
	list_add(&v->loaded, this_cpu_ptr(&loaded_vmcss));
	v->last_cpu = cpu;
	WRITE_ONCE(v->cpu, cpu);
	vmx_vmcs_load(v);
	local_irq_restore(flags);
	return change;
}

void residency_clear_cpu(void)
{
	struct vmx_vcpu *v, *next;

	list_for_each_entry_safe(v, next, this_cpu_ptr(&loaded_vmcss), loaded)
		clear_here(v, RESIDENCY_EV_CPU_OFFLINE);
}

/*
 * Forward links only: they are right at every instruction of list_add() and
 * list_del(), which this may have interrupted.
 */
void residency_emergency_clear_cpu(void)
{
	struct vmx_vcpu *v;

	list_for_each_entry(v, this_cpu_ptr(&loaded_vmcss), loaded)
		vmx_vmcs_clear(v);
}

void residency_setup(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		INIT_LIST_HEAD(&per_cpu(loaded_vmcss, cpu));
}
