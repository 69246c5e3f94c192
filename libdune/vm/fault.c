// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Page faults that are not the program's: a view that lacks a region's entry, and
 * translations that are older than the tables. For the #PF handler.
 */
#include "pt_entry.h"
#include "region.h"

#define ENTRY_PRESENT	(1ull << 0)
#define ENTRY_WRITE	(1ull << 1)
#define ENTRY_USER	(1ull << 2)
#define ENTRY_NX	(1ull << 63)

/* Others mean something that tables do not show. */
#define FAULT_KNOWN \
	(DUNE_PF_PRESENT | DUNE_PF_WRITE | DUNE_PF_USER | DUNE_PF_FETCH)

static u64 child_of(u64 value, u64 addr, unsigned int level)
{
	u64 *table = plat_va(value & pt_x86.addr_mask);

	return plat_load_acquire(&table[pt_index(addr, level)]);
}

/*
 * Under the region's lock its PD cannot go. A PT may have been freed since its
 * entry was read, but its page is the pool's for ever: at worst the access is
 * tried once more.
 */
static u64 entry_locked(const struct dune_region *region, u64 addr)
{
	u64 value = region->l3;

	if (!region_in_use(value))
		return 0;
	for (unsigned int level = 2; level && !(value & pt_x86.leaf_bit); level--) {
		value = child_of(value, addr, level);
		if (!(value & ENTRY_PRESENT) || level == 1)
			break;
	}
	return value;
}

static bool allows(u64 entry, uint64_t error)
{
	if (!(entry & ENTRY_PRESENT))
		return false;
	if ((error & DUNE_PF_WRITE) && !(entry & ENTRY_WRITE))
		return false;
	if ((error & DUNE_PF_USER) && !(entry & ENTRY_USER))
		return false;
	return !(error & DUNE_PF_FETCH) || !(entry & ENTRY_NX);
}

bool dune_vm_spurious(struct dune_thread *t, uint64_t addr, uint64_t error)
{
	struct dune_region *region;
	u64 entry;

	if (addr >= USER_END || (error & ~FAULT_KNOWN))
		return false;
	region = &t->vm.view->root->region[region_index(addr)];
	if (region_lock(region, &t->vm) == REGION_MINE)
		return false;
	entry = entry_locked(region, addr);
	region_unlock(region);
	return allows(entry, error);
}

/*
 * May another vCPU have filled a common entry between this one's fault by it and now?
 * Only by a fill that was not over when this vCPU looked last: one that was, it would
 * have found in its walk.
 */
static bool filled_by_others(struct dune_view *view)
{
	u32 done = plat_load_acquire(&view->root->fills_done);
	u32 begun = plat_load_acquire(&view->root->fills_begun);

	if (begun == view->fills_seen)
		return false;
	if (begun == done)
		view->fills_seen = begun;
	return true;
}

bool dune_vm_fill(struct dune_thread *t, uint64_t addr, uint64_t error)
{
	struct dune_view *view = t->vm.view;
	u64 index = region_index(addr);
	int filled;

	if (addr >= USER_END)
		return false;
	vm_will_write(view_entry(view, index));
	/* Then it is a lower level that is missing. */
	if (plat_load_acquire(view_entry(view, index)))
		return region_is_common(index) && filled_by_others(view) &&
		       dune_vm_spurious(t, addr, error);
	filled = view_fill(view, &t->vm, index);
	if (filled < 0)
		t->slot_error = -filled;
	return filled > 0;
}
