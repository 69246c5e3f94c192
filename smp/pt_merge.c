// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Merging 512 leaves into one.
 *
 * The large leaf takes the place of the table in one step, as in pt_split.c.
 * But CPUs may walk the old table on until the flush, and write to it:
 *
 *   accessed: they cache a small leaf from it while the large one may look as
 *     if never used; so that one is aged from the start, which counts as cached
 *   dirty: set in the old table after it was read it would be lost; so the large
 *     leaf of writable ones is dirty from the start
 *
 * Both locks are held, parent and table: nobody changes a leaf of the table
 * after its dead mark. pt_age() may clear an accessed bit there; the copy stays.
 */
#include "pt_visit.h"

static bool is_writable(const struct pt_geometry *geom, u64 value)
{
	return (geom->rights(value) & (PT_W | PT_COW)) == PT_W;
}

/*
 * The large leaf that says what the leaves of this table say; 0: there is none.
 * The table's lock is held.
 */
static u64 merged_leaf(const struct pt_geometry *geom,
		       const struct pt_table *table)
{
	u64 history = geom->accessed_bit | geom->dirty_bit | geom->aged_bit;
	u64 size = pt_level_size(table->level), seen = 0, value;
	u64 first = plat_load(&table->entry[0]) & ~history;

	if (table->nr_leaves != PT_ENTRIES || !pt_is_present(geom, first) ||
	    (first & geom->addr_mask & (pt_level_size(table->level + 1) - 1) &
	     ~(size - 1)))
		return 0;
	for (unsigned int i = 0; i < PT_ENTRIES; i++) {
		value = plat_load(&table->entry[i]);
		if ((value & ~history) != first + i * size)
			return 0;
		seen |= value & history;
	}
	if (is_writable(geom, first))
		seen |= geom->dirty_bit;
	return first | seen | geom->aged_bit | geom->leaf_bit;
}

/* The lock of table is held; child is in *entry. */
static void merge_locked(struct pt_visit *visit, struct pt_merge *op,
			 u64 *entry, struct pt_table *child)
{
	u64 large;

	plat_lock(&child->lock, child->level);
	large = merged_leaf(visit->geom, child);
	if (large) {
		/* Hardware may set accessed in an upper entry as well. */
		plat_xchg64(entry, large);
		pt_table_kill(child);
		visit->table->nr_leaves++;
		op->merged++;
	}
	plat_unlock(&child->lock);
	if (large)
		gather_merged_table(op->range.gather, child);
}

static enum pt_result merge_visit(struct pt_visit *visit, void *arg)
{
	const struct pt_geometry *geom = visit->geom;
	struct pt_merge *op = arg;
	struct pt_range *range = visit->range;
	unsigned int level = visit->table->level;
	unsigned int i = pt_index(range->addr, level);
	unsigned int last = pt_last_index(range->addr, range->end, level);

	for (; i <= last; i++) {
		u64 *entry = &visit->table->entry[i], value;

		/* [PT-2] See [PT-1] in pt_link.h. */
		value = plat_load_acquire(entry);
		if (level == op->level && pt_is_table(geom, value, level) &&
		    pt_covers(range->addr, range->end, level))
			merge_locked(visit, op, entry,
				     pt_child_table(geom, value));
		range->addr = pt_entry_end(range->addr, range->end, level);
	}
	return PT_DONE;
}

enum pt_result pt_merge(struct pt *pt, struct pt_merge *op)
{
	struct pt_visit visit = { .range = &op->range };
	const struct pt_visit_how how = { .lowest = op->level };

	if (!pt_range_valid(&op->range) || !op->range.gather || op->level < 2 ||
	    op->level > 3) {
		plat_warn_once("pt_merge: bad range or level");
		return PT_INVALID;
	}
	return pt_visit(pt, &visit, how, merge_visit, op);
}
