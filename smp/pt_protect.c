// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Changing rights in any range, and what a change is. See pt_rights.h. */
#include "pt_rights.h"
#include "pt_split.h"
#include "pt_visit.h"

/* The bits of one right in a leaf that has, or has not, PT_COW. */
static u64 bits_of(const struct pt_geometry *geom, unsigned int right,
		   unsigned int cow)
{
	return geom->set_rights(0, cow) ^ geom->set_rights(0, cow | right);
}

static struct pt_masks make_masks(const struct pt_geometry *geom,
				  unsigned int keep, unsigned int set,
				  unsigned int cow)
{
	struct pt_masks masks;
	u64 kept = 0;

	for (unsigned int right = 1; right < PT_RIGHTS; right <<= 1)
		if ((keep & ~set & right) && right != PT_COW)
			kept |= bits_of(geom, right, cow);
	masks.keep = ~geom->rights_mask | kept;
	masks.set = geom->set_rights(0, set | cow) & ~kept;
	masks.takes = geom->perm_mask & ~masks.keep &
		      ~(masks.set ^ geom->perm_inverted);
	return masks;
}

void pt_change_init(struct pt_change *change, const struct pt_geometry *geom,
		    unsigned int keep, unsigned int set)
{
	unsigned int cow = geom->cow_bit ? (keep | set) & PT_COW : 0;

	if (geom->cow_bit && (keep & ~set & PT_W) && !cow)
		plat_warn_once("pt_change: PT_W of a PT_COW leaf is not known");
	if (!geom->cow_bit && !(set & PT_R)) {
		plat_warn_once("pt_change: the format has no such leaves");
		keep = PT_RIGHTS;
	}
	change->plain = make_masks(geom, keep, set, cow & set);
	change->cow = make_masks(geom, keep, set, cow);
	change->forbids = geom->perm_inverted;
	change->geom = geom;
}

static void count_run(struct pt_protect *op, u64 pages, enum pt_run what)
{
	if (what != PT_RUN_SAME)
		op->changed += pages;
	if (what == PT_RUN_REDUCED)
		op->reduced += pages;
}

/* The leaves of one level-1 table from *entry on. */
static void protect_leaves(struct pt_protect *op, u64 *entry, const u64 *end)
{
	const struct pt_geometry *geom = op->change->geom;

	while (entry < end) {
		u64 value = plat_load(entry), *first = entry;
		enum pt_run what;

		if (!pt_is_present(geom, value)) {
			op->holes++;
			entry++;
			continue;
		}
		entry = pt_change_run(op->change, entry, end, value,
				      op->range.gather, &what);
		count_run(op, entry - first, what);
	}
}

/* One leaf of level 2 or 3 that overlaps the range. */
static enum pt_result protect_large(struct pt_visit *visit,
				    struct pt_protect *op, u64 *entry)
{
	const struct pt_geometry *geom = visit->geom;
	struct pt_range *range = visit->range;
	unsigned int level = visit->table->level;
	u64 value = plat_load(entry);
	enum pt_run what;

	if (pt_apply(pt_masks_for(op->change, geom, value), value) != value &&
	    !pt_covers(range->addr, range->end, level))
		return pt_split_locked(geom, visit->table, entry, range);
	pt_change_run(op->change, entry, entry + 1, value, range->gather, &what);
	count_run(op, pt_level_size(level) >> 12, what);
	range->addr = pt_entry_end(range->addr, range->end, level);
	return PT_DONE;
}

static enum pt_result protect_upper(struct pt_visit *visit,
				    struct pt_protect *op)
{
	const struct pt_geometry *geom = visit->geom;
	struct pt_range *range = visit->range;
	unsigned int level = visit->table->level;
	unsigned int i = pt_index(range->addr, level);
	unsigned int last = pt_last_index(range->addr, range->end, level);
	enum pt_result result;
	u64 addr;

	for (; i <= last; i++) {
		u64 *entry = &visit->table->entry[i], value = plat_load(entry);

		addr = range->addr;
		if (!pt_is_present(geom, value)) {
			range->addr = pt_entry_end(addr, range->end, level);
			visit->holes += range->addr - addr;
			continue;
		}
		if (!pt_is_leaf(geom, value, level))
			return PT_DONE;
		result = protect_large(visit, op, entry);
		/* Split: go there. */
		if (result != PT_DONE || range->addr == addr)
			return result;
	}
	return PT_DONE;
}

static enum pt_result protect_visit(struct pt_visit *visit, void *arg)
{
	struct pt_range *range = visit->range;
	struct pt_table *table = visit->table;
	struct pt_protect *op = arg;
	u64 next;

	if (table->level > 1)
		return protect_upper(visit, op);
	next = pt_entry_end(range->addr, range->end, 2);
	protect_leaves(op, &table->entry[pt_index(range->addr, 1)],
		       &table->entry[pt_index(next - 1, 1)] + 1);
	range->addr = next;
	return PT_DONE;
}

enum pt_result pt_protect(struct pt *pt, struct pt_protect *op)
{
	struct pt_visit visit = { .range = &op->range };
	const struct pt_visit_how how = { .lowest = 1 };
	enum pt_result result;

	if (!pt_range_valid(&op->range) || !op->range.gather ||
	    op->change->geom != pt->geom) {
		plat_warn_once("pt_protect: bad range or change");
		return PT_INVALID;
	}
	result = pt_visit(pt, &visit, how, protect_visit, op);
	op->holes += visit.holes >> 12;
	return result;
}
