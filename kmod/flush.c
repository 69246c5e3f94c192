// SPDX-License-Identifier: GPL-2.0-only
/*
 * The acting half of EPT shootdown: finds the vm's vCPUs and interrupts their
 * CPUs. What must happen in which order is decided in smp/shootdown.c.
 */
#include <linux/cpumask.h>
#include <linux/smp.h>

#include "flush.h"
#include "vcpu.h"

struct flush {
	struct sd_targets targets;
	struct dune_vm *vm;
	struct cpumask *cpus;
};

/* Used with preemption off, so one per CPU is enough. */
static DEFINE_PER_CPU(struct cpumask, flush_cpus);

static struct sd_vcpu *next_vcpu(struct sd_targets *t, struct sd_vcpu *prev)
{
	struct dune_vm *vm = container_of(t, struct flush, targets)->vm;
	struct list_head *pos = &vm->vcpus;

	if (prev)
		pos = &container_of(prev, struct dune_vcpu, sd)->in_vm;
	pos = rcu_dereference(list_next_rcu(pos));
	return pos == &vm->vcpus ? NULL :
	       &list_entry(pos, struct dune_vcpu, in_vm)->sd;
}

static void add_cpu(struct sd_targets *t, s32 cpu)
{
	cpumask_set_cpu(cpu, container_of(t, struct flush, targets)->cpus);
}

/* Being interrupted is the whole point: it ended the guest run. */
static void left_guest(void *unused)
{
}

static void kick(struct sd_targets *t)
{
	struct flush *f = container_of(t, struct flush, targets);

	smp_call_function_many(f->cpus, left_guest, NULL, true);
}

void ept_publish_counts_locked(struct dune_vm *vm)
{
	const struct pt_counts *c = &vm->ept.counts;
	u64 *counters = vm->page->counters;

	lockdep_assert_held(&vm->ept_lock);
	WRITE_ONCE(counters[DUNE_VM_ept_tables], c->tables);
	WRITE_ONCE(counters[DUNE_VM_ept_4k], c->leaves[1]);
	WRITE_ONCE(counters[DUNE_VM_ept_2m], c->leaves[2]);
	WRITE_ONCE(counters[DUNE_VM_ept_1g], c->leaves[3]);
	WRITE_ONCE(counters[DUNE_VM_ept_installed], c->installed);
	WRITE_ONCE(counters[DUNE_VM_ept_removed], c->removed);
	WRITE_ONCE(counters[DUNE_VM_ept_upgraded], c->upgraded);
	WRITE_ONCE(counters[DUNE_VM_flushes], vm->sd.flushes);
	WRITE_ONCE(counters[DUNE_VM_kicks], vm->sd.kicks);
}

void ept_flush_locked(struct dune_vm *vm, struct gather *gather)
{
	struct flush flush = {
		.targets = { next_vcpu, add_cpu, kick },
		.vm = vm,
	};

	lockdep_assert_held(&vm->ept_lock);
	if (gather_needs_flush(gather)) {
		flush.cpus = this_cpu_ptr(&flush_cpus);
		cpumask_clear(flush.cpus);
		rcu_read_lock();
		shootdown_run(&vm->sd, &flush.targets, gather);
		rcu_read_unlock();
	}
	ept_publish_counts_locked(vm);
	gather_release(gather);
}
