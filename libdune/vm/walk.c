// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Remembering tables; see walk.h. */
#include "walk.h"

bool walk_fill(struct vm_local *local, u64 addr)
{
	struct pt_table *pd, *table = NULL;
	struct dune_region *region;
	struct vm_walk *walk;
	u64 *entry;

	if (local->walk_base == WALK_NOWHERE || addr >= USER_END)
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
