// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Removing exactly what a range maps.
 *
 * In contrast to pt_zap() nobody waits to install what is being removed, and
 * absence is no statement about anything else: what is absent is passed. So are
 * places that pt_map_range() has reserved, which are mapped after the removal;
 * if their table goes as a whole they go with it.
 */
#include "pt_dismantle.h"
#include "pt_split.h"
#include "pt_visit.h"

static void remove_locked(struct pt_visit *visit, struct pt_unmap *op,
			  u64 *entry)
{
	const struct pt_geometry *geom = visit->geom;
	struct pt_table *table = visit->table;
	u64 old = plat_xchg64(entry, 0);

	table->nr_leaves--;
	gather_leaf(op->range.gather, table->level, pt_was_cached(geom, old));
	if (op->removed)
		op->removed(op->arg, op->range.addr, old, table->level);
}

static enum pt_result unmap_leaves(struct pt_visit *visit, struct pt_unmap *op)
{
	struct pt_range *range = visit->range;
	u64 *entry = &visit->table->entry[pt_index(range->addr, 1)];
	u64 end = pt_entry_end(range->addr, range->end, 2);

	for (; range->addr < end; range->addr += 4096, entry++)
		if (pt_is_present(visit->geom, plat_load(entry)))
			remove_locked(visit, op, entry);
	return PT_DONE;
}

static void unlink_locked(struct pt_visit *visit, struct pt_unmap *op,
			  u64 *entry, u64 value)
{
	pt_dismantle(visit->geom, op->range.gather, entry, value);
}

static plat_noinline enum pt_result unmap_upper(struct pt_visit *visit,
						struct pt_unmap *op)
{
	const struct pt_geometry *geom = visit->geom;
	struct pt_range *range = visit->range;
	struct pt_table *table = visit->table;
	unsigned int i = pt_index(range->addr, table->level);
	unsigned int last = pt_last_index(range->addr, range->end, table->level);

	for (; i <= last; i++) {
		bool covered = pt_covers(range->addr, range->end, table->level);
		u64 *entry = &table->entry[i], value;

		/* [PT-2] See [PT-1] in pt_link.h. */
		value = plat_load_acquire(entry);
		if (pt_is_table(geom, value, table->level)) {
			if (!covered || op->removed)
				return PT_DONE;
			unlink_locked(visit, op, entry, value);
		} else if (pt_is_present(geom, value)) {
			/* Split: from here into the new table. */
			if (!covered)
				return pt_split_locked(geom, table, entry,
						       range);
			remove_locked(visit, op, entry);
		}
		range->addr = pt_entry_end(range->addr, range->end,
					   table->level);
	}
	return PT_DONE;
}

static enum pt_result unmap_visit(struct pt_visit *visit, void *op)
{
	return visit->table->level == 1 ? unmap_leaves(visit, op) :
					  unmap_upper(visit, op);
}

static u64 nr_pages(const struct gather *gather)
{
	return gather->leaves[1] + ((u64)gather->leaves[2] << PT_BITS) +
	       ((u64)gather->leaves[3] << (2 * PT_BITS));
}

enum pt_result pt_unmap(struct pt *pt, struct pt_unmap *op)
{
	const struct pt_visit_how whole = { 1, PT_VISIT_LOCKED, PT_VISIT_STOP };
	const struct pt_visit_how each = { 1, PT_VISIT_LOCKED, PT_VISIT_FOLLOW };
	struct pt_visit visit = { .range = &op->range };
	struct pt_range emptied = op->range;
	enum pt_result result;
	u64 before;

	if (!pt_range_valid(&op->range) || !op->range.gather) {
		plat_warn_once("pt_unmap: bad range");
		return PT_INVALID;
	}
	before = nr_pages(op->range.gather);
	if (!op->removed)
		result = pt_visit(pt, &visit, whole, unmap_visit, op);
	else
		result = pt_visit(pt, &visit, each, unmap_visit, op);
	op->pages += nr_pages(op->range.gather) - before;
	if (op->removed) {
		emptied.end = op->range.addr;
		pt_trim(pt, &emptied);
	}
	return result;
}
