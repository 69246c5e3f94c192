// SPDX-License-Identifier: GPL-2.0-only
/*
 * From the mm to the EPT: before Linux changes or removes a mapping, the
 * leaves that mirror it go, and every CPU has forgotten them when start()
 * returns. Pages are never pinned; this is what keeps the EPT honest.
 *
 * Sequence protocol with ept_fault.c, all under ept_lock:
 *   start: active++, zap, flush        fault: read seq     [SEQ-1]
 *   (Linux changes the page table)            read the host page table
 *   end:   seq++, active--                    lock; seq moved, or the leaf
 *                                             overlaps an active range: retry
 */
#include "flush.h"
#include "vm.h"

static struct dune_vm *to_vm(struct mmu_notifier *mn)
{
	return container_of(mn, struct dune_vm, notifier);
}

#define SLOT_SIZE	(1ull << DUNE_SLOT_SHIFT)

/* One call per slot that [start, end) of host virtual space touches. */
typedef u64 (*slot_fn)(struct dune_vm *vm, u64 gpa, u64 gpa_end, void *arg);

static u64 on_slot(struct dune_vm *vm, u32 slot, u64 start, u64 end, slot_fn fn,
		   void *arg)
{
	u64 base = slots_region_base(&vm->slots, slot);
	u64 from = max(start, base), to = min(end, base + SLOT_SIZE);
	u64 gpa = (u64)slot << DUNE_SLOT_SHIFT;

	if (from >= to)
		return 0;
	return fn(vm, gpa + (from - base), gpa + (to - base), arg);
}

/* Over the regions or over the slots, whichever are fewer. */
static u64 for_each_slot(struct dune_vm *vm, u64 start, u64 end, slot_fn fn,
			 void *arg)
{
	u64 region = start >> DUNE_SLOT_SHIFT;
	u64 last = (end - 1) >> DUNE_SLOT_SHIFT;
	u32 nr = slots_nr(&vm->slots), slot;
	u64 sum = 0;

	if (last - region < nr) {
		for (; region <= last; region++)
			if (!slots_find(&vm->slots, region, &slot))
				sum += on_slot(vm, slot, start, end, fn, arg);
		return sum;
	}
	for (slot = 0; slot < nr; slot++)
		sum += on_slot(vm, slot, start, end, fn, arg);
	return sum;
}

static u64 zap_slot(struct dune_vm *vm, u64 gpa, u64 gpa_end, void *gather)
{
	return pt_zap(&vm->ept, gpa, gpa_end, gather);
}

/* Returns whether something was mapped. */
static bool zap_and_flush_locked(struct dune_vm *vm, u64 start, u64 end)
{
	struct gather gather;
	u64 removed;

	gather_init(&gather);
	removed = for_each_slot(vm, start, end, zap_slot, &gather);
	ept_flush_locked(vm, &gather);
	return removed;
}

/*
 * The whole range, a slot at a time where it is long: each step is flushed
 * before the lock is dropped, so the rule of the lock holds, and others get
 * their turn. Faults stay out: the range is marked active.
 */
static void zap_range_locked(struct dune_vm *vm, u64 start, u64 end)
{
	bool hit = false;
	u32 slot;

	vm_count(vm, DUNE_VM_notifier_calls, 1);
	if (end - start <= SLOT_SIZE) {
		hit = zap_and_flush_locked(vm, start, end);
	} else {
		for (slot = 0; slot < slots_nr(&vm->slots); slot++) {
			u64 base = slots_region_base(&vm->slots, slot);

			if (base >= end || base + SLOT_SIZE <= start)
				continue;
			hit |= zap_and_flush_locked(vm, max(start, base),
						    min(end, base + SLOT_SIZE));
			spin_unlock(&vm->ept_lock);
			cpu_relax();
			spin_lock(&vm->ept_lock);
		}
	}
	if (hit)
		vm_count(vm, DUNE_VM_notifier_hits, 1);
}

/* One interval that covers all active ranges; exact while there is one. */
static void cover_locked(struct dune_vm *vm, u64 start, u64 end)
{
	if (vm->inv_active++) {
		start = min(start, vm->inv_start);
		end = max(end, vm->inv_end);
	}
	vm->inv_start = start;
	vm->inv_end = end;
}

static int range_start(struct mmu_notifier *mn,
		       const struct mmu_notifier_range *range)
{
	struct dune_vm *vm = to_vm(mn);

	spin_lock(&vm->ept_lock);
	cover_locked(vm, range->start, range->end);
	zap_range_locked(vm, range->start, range->end);
	spin_unlock(&vm->ept_lock);
	return 0;
}

static void range_end(struct mmu_notifier *mn,
		      const struct mmu_notifier_range *range)
{
	struct dune_vm *vm = to_vm(mn);

	spin_lock(&vm->ept_lock);
	/* [SEQ-2] Release: pairs with the acquire of [SEQ-1]. */
	smp_store_release(&vm->inv_seq, vm->inv_seq + 1);
	WARN_ON_ONCE(!vm->inv_active);
	vm->inv_active--;
	spin_unlock(&vm->ept_lock);
}

/* The address space ends: nothing of it may stay reachable. */
static void mm_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct dune_vm *vm = to_vm(mn);

	spin_lock(&vm->ept_lock);
	zap_range_locked(vm, 0, ~0ull);
	spin_unlock(&vm->ept_lock);
}

static u64 age_slot(struct dune_vm *vm, u64 gpa, u64 gpa_end, void *mode)
{
	return pt_age(&vm->ept, gpa, gpa_end, *(enum pt_age_mode *)mode);
}

static int age(struct mmu_notifier *mn, u64 start, u64 end,
	       enum pt_age_mode mode)
{
	struct dune_vm *vm = to_vm(mn);
	u64 young;

	spin_lock(&vm->ept_lock);
	young = for_each_slot(vm, start, end, age_slot, &mode);
	spin_unlock(&vm->ept_lock);
	return young != 0;
}

/*
 * No flush: a CPU that still caches the entry may leave the bit clear for a
 * while, which only makes the page look idle. Linux does the same for its own
 * page tables on x86.
 */
static int clear_young(struct mmu_notifier *mn, struct mm_struct *mm,
		       unsigned long start, unsigned long end)
{
	return age(mn, start, end, PT_AGE_CLEAR);
}

static int test_young(struct mmu_notifier *mn, struct mm_struct *mm,
		      unsigned long address)
{
	return age(mn, address, address + PAGE_SIZE, PT_AGE_TEST);
}

static const struct mmu_notifier_ops ops = {
	.release = mm_release,
	.invalidate_range_start = range_start,
	.invalidate_range_end = range_end,
	.clear_flush_young = clear_young,
	.clear_young = clear_young,
	.test_young = test_young,
};

int ept_notifier_register(struct dune_vm *vm)
{
	vm->notifier.ops = &ops;
	return mmu_notifier_register(&vm->notifier, vm->mm);
}

void ept_notifier_unregister(struct dune_vm *vm)
{
	mmu_notifier_unregister(&vm->notifier, vm->mm);
}
