// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Remembering tables; see walk.h. */
#include "pool.h"
#include "walk.h"

_Static_assert(VM_WALKS * sizeof(struct vm_walk) == PAGE_SIZE, "a page");

/* No place is 0. Never written. */
static struct vm_walk walk_none[VM_WALKS];

void walk_begin(struct vm_local *local)
{
	local->walk = walk_none;
}

void walk_end(struct vm_local *local)
{
	if (local->walk && local->walk != walk_none)
		pool_page_put(local, local->walk);
	local->walk = walk_none;
}

static bool has_memory(struct vm_local *local)
{
	void *page;

	if (local->walk != walk_none)
		return true;
	page = pool_page(local);
	if (page)
		local->walk = page;
	return page;
}

bool walk_fill(struct vm_local *local, u64 addr)
{
	struct pt_table *pd, *table = NULL;
	struct dune_region *region;
	struct vm_walk *walk;
	u64 *entry;

	if (local->walk_base == WALK_NOWHERE || addr >= USER_END || !has_memory(local))
		return false;
	region = &local->quick->region[region_index(addr)];
	dune_rcu_lock_by(local->reader);
	pd = plat_load_acquire(&region->pd);
	if (pd)
		table = pt_page_table(pd, addr, &pt_x86_masks, &entry);
	if (table) {
		walk = walk_at(local, addr);
		walk->place = walk_place(local, addr);
		walk->table = table;
		walk->members = region_members(local->quick, region);
		walk->bucket = inval_bucket(&local->quick->inval, addr);
		plat_store(&table->place, walk->place);
		plat_unlock(&table->lock);
	}
	dune_rcu_unlock_by(local->reader);
	return table;
}
