// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Mapping a range, all of it or nothing.
 *
 * What lies in one level-1 table is looked at and filled under its lock. More
 * than that takes three passes, each in the order of addresses:
 *
 *   link      missing tables; this is where the cache may run out
 *   reserve   every entry, from absent to a mark of this operation: not present,
 *             so neither hardware nor a walk sees a leaf, and not absent, so
 *             nobody installs anything
 *   install   the leaves, wherever the mark is still there
 *
 * A present entry ends the second pass: the marks are taken back. Another
 * operation's mark is waited for. That one waits only for marks at higher
 * addresses than its own, so nobody waits in a circle, and of two that overlap
 * one gets everything. A mark counts as a leaf of its table, which so is not
 * unlinked as empty. If somebody removes the whole table meanwhile, that was
 * after the range was mapped. A mark belongs to a call: it never stays behind.
 */
#include "pt_link.h"
#include "pt_trim.h"
#include "pt_visit.h"

#define BEGUN		1ull

enum pass { PASS_RESERVE, PASS_INSTALL, PASS_UNDO };

struct walker {
	struct pt_map_range *op;
	enum pass pass;
	u64 mark;
};

/* Unique among the operations under way: where the struct is. */
static u64 mark_of(const struct pt_map_range *op)
{
	return PT_FROZEN | ((u64)(uintptr_t)op >> 3) << 12;
}

/* The level of the leaf that goes to addr. */
static unsigned int leaf_level(const struct pt_map_range *op, u64 addr)
{
	unsigned int level = op->level;

	while (level > 1 && (!pt_covers(addr, op->range.end, level) ||
			     (op->delta & (pt_level_size(level) - 1))))
		level--;
	return level;
}

static u64 leaf_entry(const struct pt_geometry *geom,
		      const struct pt_map_range *op, u64 addr,
		      unsigned int level)
{
	const struct pt_leaf leaf = {
		addr + op->delta, level, op->rights, op->memtype, op->age,
	};

	return geom->make_leaf(&leaf);
}

/* Where the leaves of this level in one table end. */
static u64 segment_end(const struct pt_map_range *op, u64 addr,
		       unsigned int level)
{
	u64 end = pt_entry_end(addr, op->range.end, level + 1);

	return end & ~(pt_level_size(level) - 1);
}

/* --- link --- */

static enum pt_result link_tables(struct pt *pt, struct pt_map_range *op)
{
	struct pt_range *range = &op->range;
	struct pt_table *top = range->top ? range->top : pt->root, *table;
	enum pt_result result = PT_DONE;

	while (range->addr < range->end) {
		unsigned int level = leaf_level(op, range->addr);

		result = pt_make_table_below(pt, top, range->addr, level,
					     range->cache, &range->tables,
					     &table);
		if (result != PT_DONE)
			return result;
		range->addr = segment_end(op, range->addr, level);
	}
	return result;
}

/* --- what lies in one level-1 table --- */

static enum pt_result what_is_there(const struct pt_geometry *geom, u64 value)
{
	return pt_is_present(geom, value) ? PT_EXISTS : PT_STALE;
}

/* EXISTS, or STALE: another one has marked a place. */
static enum pt_result fill_visit(struct pt_visit *visit, void *op)
{
	const struct pt_geometry *geom = visit->geom;
	struct pt_range *range = visit->range;
	struct pt_table *table = visit->table;
	unsigned int first = pt_index(range->addr, table->level);
	unsigned int last = pt_index(range->end - 1, table->level);
	u64 value;

	for (unsigned int i = first; i <= last; i++) {
		value = plat_load(&table->entry[i]);
		/* A table: linked since it was looked for. */
		if (pt_is_table(geom, value, table->level))
			return PT_DONE;
		if (value) {
			range->addr += (u64)(i - first) << 12;
			return what_is_there(geom, value);
		}
	}
	/* Of another level: what was there is gone. */
	if (table->level > 1)
		return PT_DONE;
	value = leaf_entry(geom, op, range->addr, 1);
	for (unsigned int i = first; i <= last; i++, value += 4096)
		plat_store_release(&table->entry[i], value);
	table->nr_leaves += last - first + 1;
	range->addr = range->end;
	return PT_DONE;
}

/* --- passes --- */

/* Absent, or an empty table that goes: *value is what is there in the end. */
static void make_absent_locked(struct pt_visit *visit, u64 *entry, u64 *value)
{
	unsigned int level = visit->table->level;

	/* Larger tables are the owner's to trim. */
	if (level == 2 && pt_is_table(visit->geom, *value, level) &&
	    visit->range->gather &&
	    pt_trim_locked(entry, pt_child_table(visit->geom, *value),
			   visit->range->gather) == PT_TRIMMED)
		*value = 0;
}

static enum pt_result reserve_locked(struct pt_visit *visit,
				     struct walker *w, u64 *entry)
{
	/* [PT-2] See [PT-1] in pt_link.h. */
	u64 value = plat_load_acquire(entry);

	make_absent_locked(visit, entry, &value);
	/* In an upper table someone may link a table here without the lock. */
	if (!value && plat_cas64(entry, &value, w->mark)) {
		visit->table->nr_leaves++;
		return PT_DONE;
	}
	return what_is_there(visit->geom, value);
}

static enum pt_result pass_entry(struct pt_visit *visit,
				 struct walker *w, u64 *entry)
{
	struct pt_map_range *op = w->op;
	u64 mark = w->mark;

	switch (w->pass) {
	case PASS_RESERVE:
		return reserve_locked(visit, w, entry);
	case PASS_INSTALL:
		plat_cas64(entry, &mark,
			   leaf_entry(visit->geom, op, visit->range->addr,
				      visit->table->level));
		return PT_DONE;
	default:
		if (plat_cas64(entry, &mark, 0))
			visit->table->nr_leaves--;
		return PT_DONE;
	}
}

/* visit->range is what lies in one table, with leaves of this level. */
static enum pt_result pass_visit(struct pt_visit *visit, void *arg)
{
	struct walker *w = arg;
	struct pt_range *segment = visit->range;
	unsigned int level = leaf_level(w->op, segment->addr);
	u64 *entry = &visit->table->entry[pt_index(segment->addr,
						   visit->table->level)];
	enum pt_result result;

	if (visit->table->level != level) {
		/* Something that is larger came in the place of the table. */
		if (w->pass == PASS_RESERVE)
			return what_is_there(visit->geom, plat_load(entry));
		segment->addr = segment->end;
		return PT_DONE;
	}
	for (; segment->addr < segment->end; entry++) {
		result = pass_entry(visit, w, entry);
		if (result != PT_DONE)
			return result;
		segment->addr += pt_level_size(level);
	}
	return PT_DONE;
}

/*
 * From op->range.addr to end, which lies at the end of a leaf. RESERVE: EXISTS,
 * STALE when another one has marked the place, NEED_TABLES when a table is
 * missing; each with range.addr where.
 */
static enum pt_result run_pass(struct pt *pt, struct pt_map_range *op,
			       enum pass pass, u64 end)
{
	struct walker w = { op, pass, mark_of(op) };
	struct pt_range segment = op->range;
	struct pt_visit visit = { .range = &segment };
	enum pt_result result = PT_DONE;

	while (result == PT_DONE && segment.addr < end) {
		unsigned int level = leaf_level(op, segment.addr);
		u64 from = segment.addr;

		segment.end = segment_end(op, from, level);
		if (segment.end > end)
			segment.end = end;
		result = pt_visit(pt, &visit,
				  (struct pt_visit_how){ .lowest = level },
				  pass_visit, &w);
		if (visit.holes && pass == PASS_RESERVE) {
			segment.addr = from;
			result = PT_NEED_TABLES;
		}
	}
	op->range.addr = segment.addr;
	return result;
}

static void undo(struct pt *pt, struct pt_map_range *op, u64 start)
{
	u64 end = op->range.addr;

	op->range.addr = start;
	run_pass(pt, op, PASS_UNDO, end);
	op->range.addr = end;
}

/* All of it reserved, or nothing: EXISTS, or NEED_TABLES to link again. */
static enum pt_result reserve(struct pt *pt, struct pt_map_range *op, u64 start)
{
	enum pt_result result;

	op->range.addr = start;
	do {
		result = run_pass(pt, op, PASS_RESERVE, op->range.end);
		if (result == PT_STALE)
			plat_cpu_relax();
	} while (result == PT_STALE);
	if (result != PT_DONE)
		undo(pt, op, start);
	return result;
}

static enum pt_result map_passes(struct pt *pt, struct pt_map_range *op)
{
	u64 start = op->private & ~BEGUN;
	enum pt_result result;

	do {
		result = link_tables(pt, op);
		if (result != PT_DONE)
			return result;
		result = reserve(pt, op, start);
	} while (result == PT_NEED_TABLES);
	if (result != PT_DONE)
		return result;
	op->range.addr = start;
	return run_pass(pt, op, PASS_INSTALL, op->range.end);
}

/* All in one level-1 table, with 4 KiB leaves. */
static enum pt_result map_small(struct pt *pt, struct pt_map_range *op)
{
	const struct pt_visit_how how = { .lowest = 1 };
	struct pt_visit visit = { .range = &op->range };
	u64 start = op->range.addr;
	enum pt_result result;

	do {
		op->range.addr = start;
		result = pt_visit(pt, &visit, how, fill_visit, op);
		if (result == PT_DONE && !visit.holes)
			return PT_DONE;
		if (result == PT_EXISTS)
			return result;
		if (result == PT_STALE)
			plat_cpu_relax();
		op->range.addr = start;
		result = link_tables(pt, op);
	} while (result == PT_DONE);
	op->range.addr = start;
	return result;
}

static bool args_valid(const struct pt *pt, const struct pt_map_range *op)
{
	return pt_range_valid(&op->range) && (op->delta & 4095) == 0 &&
	       op->level >= 1 && op->level < PT_LEVELS &&
	       pt_is_present(pt->geom, leaf_entry(pt->geom, op, op->range.addr,
						  op->level));
}

enum pt_result pt_map_range(struct pt *pt, struct pt_map_range *op)
{
	struct pt_range *range = &op->range, all = *range;
	enum pt_result result;

	if (!args_valid(pt, op)) {
		plat_warn_once("pt_map_range: bad range or level");
		return PT_INVALID;
	}
	if (range->addr == range->end && !op->private)
		return PT_DONE;
	if (!op->private && leaf_level(op, range->addr) == 1 &&
	    ((range->addr ^ (range->end - 1)) >> (12 + PT_BITS)) == 0)
		return map_small(pt, op);
	if (!op->private) {
		op->private = range->addr | BEGUN;
		/* No table is linked for what cannot be. */
		result = pt_check_absent(pt, &all);
		if (result == PT_EXISTS) {
			range->addr = all.addr;
			op->private = 0;
			return result;
		}
	}
	result = map_passes(pt, op);
	if (result != PT_NEED_TABLES)
		op->private = 0;
	return result;
}
