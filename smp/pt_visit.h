/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Through a range table by table; private to smp/.
 *
 * From the address that is reached, down to the table whose entry decides it;
 * there a visitor works on all of the table that lies in the range, or up to
 * an entry that leads to another table, and moves the address on. Absent upper
 * entries are passed without a lock. A table that was unlinked on the way down
 * is looked for again from the top: its parent does not lead there any more.
 *
 * pt_visit() is a template: always inlined, with constants for how and fn.
 */
#ifndef SMP_PT_VISIT_H
#define SMP_PT_VISIT_H

#include "pt_entry.h"
#include "pt_range.h"

struct pt_visit {
	const struct pt_geometry *geom;
	struct pt_range *range;
	struct pt_table *table;	/* the one visited */
	u64 holes;		/* bytes: absent upper entries */
};

enum pt_visit_lock { PT_VISIT_LOCKED, PT_VISIT_UNLOCKED };
/* Entries that lead to tables which the range covers: follow them? */
enum pt_visit_covered { PT_VISIT_FOLLOW, PT_VISIT_STOP };

struct pt_visit_how {
	unsigned int lowest;	/* level of the tables to end at, at least */
	enum pt_visit_lock lock;
	enum pt_visit_covered covered;
};

/*
 * Works on visit->table from range->addr on and moves that. PT_DONE: go on. A
 * table of a lower level is not entered but left as the address reached.
 */
typedef enum pt_result (*pt_visit_fn)(struct pt_visit *visit, void *op);

/* Does the range, from addr on, hold all that an entry of this level maps? */
static inline bool pt_covers(u64 addr, u64 end, unsigned int level)
{
	u64 size = pt_level_size(level);

	return (addr & (size - 1)) == 0 && end - addr >= size;
}

/* Where the entry of this level that maps addr ends, or the range does. */
static inline u64 pt_entry_end(u64 addr, u64 end, unsigned int level)
{
	u64 size = pt_level_size(level), next = (addr & ~(size - 1)) + size;

	return next < end ? next : end;
}

/* The last entry of a table that the range touches from addr on. */
static inline unsigned int pt_last_index(u64 addr, u64 end, unsigned int level)
{
	if ((addr ^ (end - 1)) >> (12 + PT_BITS * level))
		return PT_ENTRIES - 1;
	return pt_index(end - 1, level);
}

static inline bool pt_range_valid(const struct pt_range *range)
{
	return ((range->addr | range->end) & 4095) == 0 &&
	       range->addr <= range->end && range->end <= PT_ADDR_END;
}

/*
 * Down to the table to work on; false: nothing there, and the address is past
 * it.
 */
static inline __attribute__((always_inline)) bool
pt_visit_down(struct pt_visit *visit, struct pt_table *top,
	      const struct pt_visit_how how)
{
	const struct pt_geometry *geom = visit->geom;
	struct pt_range *range = visit->range;
	u64 addr = range->addr, *entry = top->entry;
	unsigned int level = top->level;

	while (level > how.lowest) {
		/* [PT-2] See [PT-1] in pt_link.h. */
		u64 value = plat_load_acquire(&entry[pt_index(addr, level)]);

		if (!value) {
			range->addr = pt_entry_end(addr, range->end, level);
			visit->holes += range->addr - addr;
			return false;
		}
		if (!pt_is_table(geom, value, level))
			break;
		if (how.covered == PT_VISIT_STOP &&
		    pt_covers(addr, range->end, level))
			break;
		entry = pt_child(geom, value);
		level--;
	}
	visit->table = pt_table_at(entry);
	return true;
}

static inline __attribute__((always_inline)) enum pt_result
pt_visit(struct pt *pt, struct pt_visit *visit, const struct pt_visit_how how,
	 const pt_visit_fn fn, void *op)
{
	struct pt_range *range = visit->range;
	struct pt_table *top = range->top ? range->top : pt->root;
	enum pt_result result = PT_DONE;

	visit->geom = pt->geom;
	visit->holes = 0;
	plat_rcu_lock();
	while (range->addr < range->end && result == PT_DONE) {
		if (!pt_visit_down(visit, top, how))
			continue;
		if (how.lock == PT_VISIT_UNLOCKED) {
			result = fn(visit, op);
			continue;
		}
		plat_lock(&visit->table->lock, visit->table->level);
		if (visit->table->dead) {
			plat_unlock(&visit->table->lock);
			plat_rcu_unlock();
			plat_cpu_relax();
			plat_rcu_lock();
			continue;
		}
		result = fn(visit, op);
		plat_unlock(&visit->table->lock);
	}
	plat_rcu_unlock();
	return result;
}

#endif /* SMP_PT_VISIT_H */
