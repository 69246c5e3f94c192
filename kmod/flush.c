// SPDX-License-Identifier: GPL-2.0-only
/* See flush.h; and the acting half of shootdown: interrupting CPUs. */
#include <linux/cpumask.h>
#include <linux/preempt.h>
#include <linux/smp.h>
#include <trace/events/ipi.h>	/* smp_send_reschedule() may be a macro that traces */

#include "flush.h"
#include "topology.h"
#include "trace.h"

/* Used with preemption off, so one per CPU is enough. */
static DEFINE_PER_CPU(struct cpumask, kick_mask);

plat_cpumask_t *plat_kick_mask(void)
{
	return this_cpu_ptr(&kick_mask);
}

/* Being interrupted is the whole point: it ended the guest run. */
static void left_guest(void *unused)
{
}

void plat_kick(const plat_cpumask_t *mask, unsigned int nr)
{
	if (likely(nr < READ_ONCE(fanout_from)) || !topology_kick(mask))
		smp_call_function_many(mask, left_guest, NULL, true);
}

/*
 * One CPU: Linux' cheapest interrupt, about which nobody need hear anything back.
 * As KVM does to make a vCPU exit.
 */
void plat_interrupt(const plat_cpumask_t *mask, unsigned int nr)
{
	if (nr > 1)
		plat_kick(mask, nr);
	else
		smp_send_reschedule(cpumask_first(mask));
}

void ept_flush(struct dune_vm *vm, u64 start, u64 end, struct gather *gather)
{
	unsigned int kicks;

	preempt_disable();
	kicks = replicas_run(&vm->ept, gather);
	count_leaders(vm, kicks);
	preempt_enable();
	vm_count(vm, DUNE_VM_flushes, 1);
	if (kicks)
		vm_count(vm, DUNE_VM_kicks, kicks);
	trace_dune_shootdown(vm, start, end, kicks, TRACE_SHOOTDOWN_NOW);
	ept_count_removed(vm, gather);
	gather_release(gather);
}

void ept_flush_settle(struct dune_vm *vm, u64 start, u64 end, u64 gen,
		      enum dune_vm_counter c)
{
	unsigned int kicks;

	preempt_disable();
	kicks = replicas_settle(&vm->ept, gen);
	count_leaders(vm, kicks);
	preempt_enable();
	inval_deferred_done(&vm->inval, start, end, gen);
	if (!kicks)
		return;
	vm_count(vm, DUNE_VM_kicks, kicks);
	vm_count(vm, c, kicks);
	trace_dune_shootdown(vm, start, end, kicks, TRACE_SHOOTDOWN_SETTLED);
}

void ept_make_room(struct dune_vm *vm, u64 start, u64 end)
{
	struct gather gather = GATHER_INIT;
	u32 slot;

	if (slots_find(&vm->slots, start >> DUNE_SLOT_SHIFT, &slot))
		return;
	inval_begin(&vm->inval, start, end);
	ept_zap_slot(vm, slot, start, end, &gather);
	ept_flush(vm, start, end, &gather);
	inval_end(&vm->inval, start, end);
}

/* Marks all of the address space: the leaf may be in any bucket. */
void ept_zap_whole_slot(struct dune_vm *vm, u64 gpa)
{
	struct gather gather = GATHER_INIT;

	inval_begin(&vm->inval, 0, ~0ull);
	replicas_zap(&vm->ept, gpa, gpa + DUNE_SLOT_BYTES, &gather);
	ept_flush(vm, 0, ~0ull, &gather);
	inval_end(&vm->inval, 0, ~0ull);
}
