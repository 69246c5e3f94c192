// SPDX-License-Identifier: GPL-2.0-only
/*
 * From the mm to the EPT: before Linux changes or removes a mapping, the
 * leaves that mirror it go, and before it frees a page or reports success no
 * CPU can use them any more. Pages are never pinned; this is what keeps the
 * EPT honest. The protocols: smp/inval.h, smp/shootdown.h; docs/shootdown.md
 * has the races.
 *
 * Callbacks run in process context with irqs on, some under page-table locks;
 * none sleeps. No lock of the module is held across a shootdown but vcpu_pages.lock,
 * for which nobody waits who is in the guest or has irqs off.
 */
#include "compat.h"
#include "flush.h"
#include "ride.h"
#include "trace.h"
#include "vm.h"

static struct dune_vm *to_vm(struct mmu_notifier *mn)
{
	return container_of(mn, struct dune_vm, notifier);
}

/* One call per slot in use that [start, end) of host virtual space touches. */
typedef void (*slot_fn)(struct dune_vm *vm, u32 slot, u64 start, u64 end,
			void *arg);

static void on_slot(struct dune_vm *vm, u32 slot, u64 start, u64 end, slot_fn fn,
		    void *arg)
{
	u64 base = slots_region_base(&vm->slots, slot);
	u64 from = max(start, base), to = min(end, base + DUNE_SLOT_BYTES);

	if (from < to)
		fn(vm, slot, from, to, arg);
}

/* Over the regions or over the slots, whichever are fewer. */
static void for_each_slot(struct dune_vm *vm, u64 start, u64 end, slot_fn fn,
			  void *arg)
{
	u64 region = start >> DUNE_SLOT_SHIFT;
	u64 last = (end - 1) >> DUNE_SLOT_SHIFT;
	u32 nr = slots_nr(&vm->slots), slot;

	if (last - region < nr) {
		for (; region <= last; region++)
			if (!slots_find(&vm->slots, region, &slot))
				on_slot(vm, slot, start, end, fn, arg);
		return;
	}
	for (slot = 0; slot < nr; slot++)
		on_slot(vm, slot, start, end, fn, arg);
}

static void zap_slot(struct dune_vm *vm, u32 slot, u64 start, u64 end,
		     void *gather)
{
	ept_zap_slot(vm, slot, start, end, gather);
}

/*
 * Something was removed, or somebody else is removing or flushing here: see
 * to it that what is absent now cannot be used any more.
 */
static noinline void flush_now(struct dune_vm *vm,
			       const struct mmu_notifier_range *range,
			       struct gather *gather,
			       enum inval_pending pending, u64 gen)
{
	if (pending == INVAL_UNKNOWN || gather_needs_flush(gather)) {
		ept_flush(vm, range->start, range->end, gather);
		return;
	}
	ept_count_removed(vm, gather);
	/*
	 * Whoever clears Linux' entry of a page flushes before that is freed,
	 * this thread or the one that deferred.
	 */
	if (pending == INVAL_DEFERRED && !ride_is_sure(range))
		ept_flush_settle(vm, range->start, range->end, gen,
				 DUNE_VM_settled);
}

/* Is a flush due, and will Linux see to it when it is done? */
static inline bool may_defer(const struct mmu_notifier_range *range,
			     const struct gather *gather,
			     enum inval_pending pending)
{
	return (pending == INVAL_UNKNOWN || gather_needs_flush(gather)) &&
	       !gather->tables && ride_is_sure(range);
}

/* True: nothing was removed, and what is absent is not in use. */
static inline bool nothing_to_flush(struct dune_vm *vm,
				    struct gather *gather,
				    enum inval_pending pending)
{
	if (pending == INVAL_UNKNOWN)
		gather_of_others(gather);
	if (!gather_is_empty(gather))
		vm_count(vm, DUNE_VM_notifier_hits, 1);
	else if (pending == INVAL_UNKNOWN)
		vm_count(vm, DUNE_VM_raced, 1);
	else
		return pending == INVAL_NOTHING;
	return false;
}

static noinline void start_wide(struct dune_vm *vm,
				const struct mmu_notifier_range *range)
{
	enum inval_pending pending;
	struct gather gather = GATHER_INIT;
	u64 gen = 0;

	inval_begin_wide(&vm->inval, range->start, range->end);
	for_each_slot(vm, range->start, range->end, zap_slot, &gather);
	pending = inval_pending_wide(&vm->inval, range->start, range->end, &gen);
	if (nothing_to_flush(vm, &gather, pending))
		return;
	if (!may_defer(range, &gather, pending)) {
		flush_now(vm, range, &gather, pending, gen);
		return;
	}
	trace_dune_shootdown(vm, range->start, range->end, 0,
			     TRACE_SHOOTDOWN_DEFERRED);
	replicas_defer(&vm->ept, &vm->inval, range->start, range->end, &gather);
	vm_count(vm, DUNE_VM_deferred, 1);
	ept_count_removed(vm, &gather);
}

/* The frequent case: a range in one region, one table. */
static inline void start_small(struct dune_vm *vm,
			       const struct mmu_notifier_range *range)
{
	u64 start = range->start, end = range->end, gen = 0;
	struct inval_bucket *bucket = inval_bucket(&vm->inval, start);
	enum inval_pending pending;
	struct gather gather = GATHER_INIT;
	u32 slot;

	inval_mark(bucket);
	/* Never used: nothing was ever there for anyone to remove. */
	if (slots_find(&vm->slots, start >> DUNE_SLOT_SHIFT, &slot))
		return;
	ept_zap_slot_small(vm, slot, start, end, &gather);
	pending = inval_pending_one(&vm->inval, bucket, &gen);
	if (nothing_to_flush(vm, &gather, pending))
		return;
	if (!may_defer(range, &gather, pending)) {
		flush_now(vm, range, &gather, pending, gen);
		return;
	}
	trace_dune_shootdown(vm, range->start, range->end, 0,
			     TRACE_SHOOTDOWN_DEFERRED);
	shootdown_defer_one(&vm->ept.first.sd, bucket, &gather);
	vm_count(vm, DUNE_VM_deferred, 1);
	ept_count_removed(vm, &gather);
}

/* A range in one region, and one table: nothing but zeroes, in as few instructions. */
static inline bool is_small(const struct dune_vm *vm, u64 start, u64 end)
{
	return !((start ^ (end - 1)) >> INVAL_REGION_SHIFT | vm->ept.nr_more);
}

static int range_start(struct mmu_notifier *mn,
		       const struct mmu_notifier_range *range)
{
	struct dune_vm *vm = to_vm(mn);

	vm_count(vm, DUNE_VM_notifier_calls, 1);
	if (likely(is_small(vm, range->start, range->end)))
		start_small(vm, range);
	else
		start_wide(vm, range);
	return 0;
}

static void range_end(struct mmu_notifier *mn,
		      const struct mmu_notifier_range *range)
{
	inval_end(&to_vm(mn)->inval, range->start, range->end);
}

/* Apart, so that after_flush() saves no registers when there is nothing. */
static noinline void check_flushed(struct dune_vm *vm, u64 start, u64 end,
				   u64 gen)
{
	if (likely(replicas_progress(&vm->ept, gen) == SD_OVER))
		inval_deferred_done(&vm->inval, start, end, gen);
	else
		ept_flush_settle(vm, start, end, gen, DUNE_VM_stragglers);
}

/*
 * Linux has flushed its TLBs, or is about to free what it has not: who is
 * still in a guest run that began before? Expected: nobody.
 */
static void after_flush(struct mmu_notifier *mn, struct mm_struct *mm,
			unsigned long start, unsigned long end)
{
	struct dune_vm *vm = NOTIFIER_IS_APART ?
		container_of(mn, struct dune_vm, secondary) : to_vm(mn);
	u64 gen;

	if (start >= end)
		return;
	gen = inval_deferred(&vm->inval, start, end);
	if (gen)
		check_flushed(vm, start, end, gen);
}

/* The address space ends: nothing of it may stay reachable. */
static void mm_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct dune_vm *vm = to_vm(mn);
	struct gather gather = GATHER_INIT;
	u32 slot;

	inval_begin(&vm->inval, 0, ~0ull);
	/* A process can make very many tables: one slot's at a time. */
	for (slot = 0; slot < slots_nr(&vm->slots); slot++) {
		ept_zap_slot(vm, slot, 0, DUNE_SLOT_BYTES, &gather);
		cond_resched();
	}
	ept_flush(vm, 0, ~0ull, &gather);
	inval_end(&vm->inval, 0, ~0ull);
}

struct age {
	enum pt_age_mode mode;
	int young;
};

static void age_slot(struct dune_vm *vm, u32 slot, u64 start, u64 end, void *arg)
{
	u64 gpa = (u64)slot << DUNE_SLOT_SHIFT, mask = DUNE_SLOT_BYTES - 1;
	struct age *age = arg;

	age->young |= replicas_age(&vm->ept, gpa + (start & mask),
				   gpa + ((end - 1) & mask) + 1, age->mode);
}

static int age(struct mmu_notifier *mn, u64 start, u64 end,
	       enum pt_age_mode mode)
{
	struct age age = { .mode = mode };

	for_each_slot(to_vm(mn), start, end, age_slot, &age);
	return age.young;
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
	NOTIFIER_ALSO(after_flush)
};

static const struct mmu_notifier_ops secondary_ops = {
	NOTIFIER_APART(after_flush)
};

int ept_notifier_register(struct dune_vm *vm)
{
	int err;

	vm->notifier.ops = &ops;
	vm->secondary.ops = &secondary_ops;
	err = mmu_notifier_register(&vm->notifier, vm->mm);
	if (err || !NOTIFIER_IS_APART)
		return err;
	err = mmu_notifier_register(&vm->secondary, vm->mm);
	if (err)
		mmu_notifier_unregister(&vm->notifier, vm->mm);
	return err;
}

void ept_notifier_unregister(struct dune_vm *vm)
{
	if (NOTIFIER_IS_APART)
		mmu_notifier_unregister(&vm->secondary, vm->mm);
	mmu_notifier_unregister(&vm->notifier, vm->mm);
}
