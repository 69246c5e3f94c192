/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * EPT invalidations of the module: what was removed is counted, flushed and
 * released. What must happen in which order is decided in smp/.
 */
#ifndef KMOD_FLUSH_H
#define KMOD_FLUSH_H

#include "vm.h"

#define DUNE_SLOT_BYTES	(1ull << DUNE_SLOT_SHIFT)

/*
 * Finish a gather now: shootdown, counters, release. [start, end) of host
 * virtual space is for the trace only. Process context, irqs on,
 * also under page-table locks; spins for other CPUs' exits, does not sleep.
 */
void ept_flush(struct dune_vm *vm, u64 start, u64 end, struct gather *gather);

/*
 * Make sure that what was deferred in the range up to gen is over. Counts
 * under c the kicks that this took. As ept_flush() otherwise.
 */
void ept_flush_settle(struct dune_vm *vm, u64 start, u64 end, u64 gen,
		      enum dune_vm_counter c);

/* The removal of what a gather holds, in the vm's counters. Any context. */
static __always_inline void ept_count_removed(struct dune_vm *vm,
					      const struct gather *gather)
{
	vm_count(vm, DUNE_VM_ept_removed, gather_nr_leaves(gather));
	vm_count(vm, DUNE_VM_ept_4k, -(s64)gather->leaves[1]);
	if (!(gather->leaves[2] | gather->leaves[3] | gather->nr_tables))
		return;
	vm_count(vm, DUNE_VM_ept_2m, -(s64)gather->leaves[2]);
	vm_count(vm, DUNE_VM_ept_1g, -(s64)gather->leaves[3]);
	vm_count(vm, DUNE_VM_ept_tables, -(s64)gather->nr_tables);
}

/*
 * Remove whatever the EPT has in [start, end) of host virtual space, as an
 * invalidation of its own: to make room for another leaf. The range lies in
 * one slot. As ept_flush() otherwise.
 */
void ept_make_room(struct dune_vm *vm, u64 start, u64 end);

/* Everything in a slot, as an invalidation of its own. As ept_flush(). */
void ept_zap_whole_slot(struct dune_vm *vm, u64 gpa);

/*
 * replicas_zap() on host virtual addresses of one slot; a 1 GiB leaf that sticks out
 * of the range is removed by an invalidation of its own. Any process context.
 */
static inline void ept_zap_slot(struct dune_vm *vm, u32 slot, u64 start,
				u64 end, struct gather *gather)
{
	u64 gpa = (u64)slot << DUNE_SLOT_SHIFT;
	u64 from = gpa + (start & (DUNE_SLOT_BYTES - 1));

	if (replicas_zap(&vm->ept, from, from + (end - start), gather) ==
	    PT_ZAP_WIDEN)
		ept_zap_whole_slot(vm, gpa);
}

/* The same for a range in one region of 2 MiB, of a vm with one table. */
static inline void ept_zap_slot_small(struct dune_vm *vm, u32 slot, u64 start,
				      u64 end, struct gather *gather)
{
	u64 gpa = (u64)slot << DUNE_SLOT_SHIFT;
	u64 from = gpa + (start & (DUNE_SLOT_BYTES - 1));

	if (pt_zap_small(&vm->ept.first.pt, from, from + (end - start), gather) ==
	    PT_ZAP_WIDEN)
		ept_zap_whole_slot(vm, gpa);
}

#endif /* KMOD_FLUSH_H */
