// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Finding tables, linking missing ones, and what a single entry says. */
#include "pt_link.h"
#include "pt_range.h"

struct pt_table *pt_find_table(const struct pt *pt, u64 addr, unsigned int level)
{
	struct pt_table *table = pt->root;

	while (table && table->level > level) {
		/* [PT-2] See [PT-1] in pt_link.h. */
		u64 value = plat_load_acquire(
				&table->entry[pt_index(addr, table->level)]);

		table = pt_is_table(pt->geom, value, table->level) ?
			pt_child_table(pt->geom, value) : NULL;
	}
	return table;
}

/* Outcome of one step; those below zero are not pt_make_table_below()'s own. */
enum { STEP_AGAIN = -1 };

static int step_down(const struct pt_geometry *geom, struct pt_table **table,
		     u64 addr, struct pt_cache *cache, u32 *linked)
{
	unsigned int level = (*table)->level;
	u64 *entry = &(*table)->entry[pt_index(addr, level)];
	/* [PT-2] See [PT-1] in pt_link.h. */
	u64 value = plat_load_acquire(entry);

	while (!pt_is_present(geom, value)) {
		if (value)
			return STEP_AGAIN;
		if (!cache || !cache->nr)
			return PT_NEED_TABLES;
		*linked += pt_link_table(geom, entry, &value, level, cache) ==
			   PT_LINKED;
	}
	if (pt_is_leaf(geom, value, level))
		return PT_EXISTS;
	*table = pt_child_table(geom, value);
	return PT_DONE;
}

enum pt_result pt_make_table_below(struct pt *pt, struct pt_table *top, u64 addr,
				   unsigned int level, struct pt_cache *cache,
				   u32 *linked, struct pt_table **found)
{
	struct pt_table *table = top;
	int step = PT_DONE;

	plat_rcu_lock();
	while (table->level > level && step == PT_DONE) {
		step = step_down(pt->geom, &table, addr, cache, linked);
		if (step != STEP_AGAIN)
			continue;
		/* A table is being dismantled, or a place is reserved. */
		plat_rcu_unlock();
		plat_cpu_relax();
		plat_rcu_lock();
		table = top;
		step = PT_DONE;
	}
	plat_rcu_unlock();
	*found = table;
	return (enum pt_result)step;
}

enum pt_result pt_make_table(struct pt *pt, u64 addr, unsigned int level,
			     struct pt_cache *cache, struct pt_table **table)
{
	u32 linked = 0;

	return pt_make_table_below(pt, pt->root, addr, level, cache, &linked,
				   table);
}

void pt_decode(const struct pt_geometry *geom, u64 entry, unsigned int level,
	       struct pt_leaf *leaf)
{
	u64 history = geom->accessed_bit | geom->dirty_bit | geom->aged_bit;

	*leaf = (struct pt_leaf){
		.pa = entry & geom->addr_mask & ~(pt_level_size(level) - 1),
		.level = level,
		.rights = geom->rights(entry),
		.memtype = PT_MEM_WB,
		.age = entry & geom->dirty_bit ? PT_DIRTY :
		       entry & geom->accessed_bit ? PT_YOUNG : PT_OLD,
	};
	if ((geom->make_leaf(leaf) ^ entry) & ~history)
		leaf->memtype = PT_MEM_UC;
}
