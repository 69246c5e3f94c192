// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Splitting large leaves.
 *
 * The table of small leaves is made aside, with what the large one says, and
 * takes its place in one step: no address is unmapped meanwhile, or a thread
 * could fault on its own stack in the middle of the work. Hardware may have set
 * accessed or dirty since the leaf was read; then the cas fails and the table
 * is made anew.
 *
 * CPUs that have the large leaf cached may use it on: same memory, same rights.
 * Each small leaf is accessed, aged and dirty as the large one was. So one that
 * may be cached counts as cached, and a CPU that has the large one cached as
 * dirty has left that in all of the small ones; a CPU that has not sets dirty
 * where it finds the page now.
 */
#include "pt_link.h"
#include "pt_split.h"
#include "pt_visit.h"

static void fill_leaves(const struct pt_geometry *geom, struct pt_table *child,
			u64 large)
{
	u64 size = pt_level_size(child->level), value = large;

	/* At level 1 the bit means something else. */
	if (child->level == 1)
		value &= ~geom->leaf_bit;
	for (unsigned int i = 0; i < PT_ENTRIES; i++, value += size)
		child->entry[i] = value;
	child->nr_leaves = PT_ENTRIES;
}

enum pt_result pt_split_locked(const struct pt_geometry *geom,
			       struct pt_table *table, u64 *entry,
			       struct pt_range *range)
{
	u64 value = plat_load(entry), link;
	struct pt_table *child;

	if (!range->cache || !range->cache->nr)
		return PT_NEED_TABLES;
	child = pt_cache_pop(range->cache);
	child->level = table->level - 1;
	link = geom->make_table(pt_table_pa(child));
	do {
		fill_leaves(geom, child, value);
		/*
		 * [PT-1] The leaves before the entry that leads to them (the
		 * cas is a release); pairs with [PT-2]. Shape: MP.
		 */
	} while (!plat_cas64(entry, &value, link));
	table->nr_leaves--;
	range->tables++;
	return PT_DONE;
}

static enum pt_result split_visit(struct pt_visit *visit, void *arg)
{
	const struct pt_geometry *geom = visit->geom;
	struct pt_range *range = visit->range;
	unsigned int level = visit->table->level, lowest = *(unsigned int *)arg;
	unsigned int i = pt_index(range->addr, level);
	unsigned int last = pt_last_index(range->addr, range->end, level);

	for (; i <= last; i++) {
		u64 *entry = &visit->table->entry[i];
		u64 value = plat_load(entry);

		if (pt_is_table(geom, value, level) && level > lowest + 1)
			return PT_DONE;
		if (level > lowest && pt_is_present(geom, value) &&
		    pt_is_leaf(geom, value, level))
			return pt_split_locked(geom, visit->table, entry, range);
		range->addr = pt_entry_end(range->addr, range->end, level);
	}
	return PT_DONE;
}

enum pt_result pt_split(struct pt *pt, struct pt_range *range,
			unsigned int level)
{
	struct pt_visit visit = { .range = range };
	const struct pt_visit_how how = { .lowest = level + 1 };

	if (!pt_range_valid(range) || level < 1 || level > 2) {
		plat_warn_once("pt_split: bad range or level");
		return PT_INVALID;
	}
	return pt_visit(pt, &visit, how, split_visit, &level);
}
