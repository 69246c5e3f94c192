// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Unlinking tables that map nothing.
 *
 * Leaves, and places reserved for leaves, are counted under the table's lock.
 * Tables are linked into a table without it: first every entry becomes FROZEN,
 * by cas from absent; who meets that starts again. If a table was there already
 * the entries become absent again.
 */
#include "pt_trim.h"
#include "pt_visit.h"

static void thaw_locked(struct pt_table *table, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		plat_store_release(&table->entry[i], 0);
}

static enum pt_trimmed freeze_locked(struct pt_table *table)
{
	for (unsigned int i = 0; i < PT_ENTRIES; i++) {
		u64 absent = 0;

		if (!plat_cas64(&table->entry[i], &absent, PT_FROZEN)) {
			thaw_locked(table, i);
			return PT_IN_USE;
		}
	}
	return PT_TRIMMED;
}

enum pt_trimmed pt_trim_locked(u64 *entry, struct pt_table *child,
			       struct gather *gather)
{
	enum pt_trimmed result = PT_IN_USE;

	plat_lock(&child->lock, child->level);
	if (!child->nr_leaves)
		result = child->level > 1 ? freeze_locked(child) : PT_TRIMMED;
	if (result == PT_TRIMMED) {
		/* The parent's entry first, as in pt_zap.c. */
		plat_xchg64(entry, 0);
		pt_table_kill(child);
	}
	plat_unlock(&child->lock);
	if (result == PT_TRIMMED)
		gather_table(gather, child);
	return result;
}

/* arg: the level of the tables whose children are looked at. */
static enum pt_result trim_visit(struct pt_visit *visit, void *arg)
{
	const struct pt_geometry *geom = visit->geom;
	struct pt_range *range = visit->range;
	unsigned int level = visit->table->level, wanted = *(unsigned int *)arg;
	unsigned int i = pt_index(range->addr, level);
	unsigned int last = pt_last_index(range->addr, range->end, level);

	for (; i <= last; i++) {
		u64 *entry = &visit->table->entry[i], value;

		/* [PT-2] See [PT-1] in pt_link.h. */
		value = plat_load_acquire(entry);
		if (level == wanted && pt_is_table(geom, value, level) &&
		    pt_covers(range->addr, range->end, level))
			pt_trim_locked(entry, pt_child_table(geom, value),
				       range->gather);
		range->addr = pt_entry_end(range->addr, range->end, level);
	}
	return PT_DONE;
}

/* Does the range hold all that an entry of this level maps, anywhere? */
static bool holds_an_entry(u64 start, u64 end, unsigned int level)
{
	u64 size = pt_level_size(level), first = (start + size - 1) & ~(size - 1);

	return first < end && end - first >= size;
}

enum pt_result pt_trim(struct pt *pt, struct pt_range *range)
{
	unsigned int top = range->top ? range->top->level : PT_LEVELS, level;
	struct pt_visit visit = { .range = range };
	u64 start = range->addr;

	if (!pt_range_valid(range) || !range->gather) {
		plat_warn_once("pt_trim: bad range");
		return PT_INVALID;
	}
	/* From below: a table is empty when those below it are gone. */
	for (level = 2; level <= top; level++) {
		if (!holds_an_entry(start, range->end, level))
			break;
		range->addr = start;
		pt_visit(pt, &visit, (struct pt_visit_how){ .lowest = level },
			 trim_visit, &level);
	}
	range->addr = range->end;
	return PT_DONE;
}
