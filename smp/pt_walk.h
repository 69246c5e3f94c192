/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Walking a table: shared by pt_walk.c and pt.c, private to smp/.
 *
 * An iterator visits, in order of address, the leaves that overlap a range:
 *   1. down: descend from the current level to a leaf or a hole, or, with
 *      PT_STOP_COVERED, to a table that maps nothing outside of the range;
 *   2. side: step to the end of that entry, aligned to the entry's own size;
 *   3. up: climb while the step crossed the end of a table.
 * Holes are stepped over at the level where they are found. The current entry
 * may be removed between two steps, with all below it; the tables above it may
 * not be freed.
 */
#ifndef SMP_PT_WALK_H
#define SMP_PT_WALK_H

#include "pt.h"

#define PT_ADDR_END	(1ull << (12 + PT_BITS * PT_LEVELS))

enum pt_stop {
	PT_STOP_LEAF,		/* leaves only */
	PT_STOP_COVERED,	/* leaves, and tables inside of the range */
};

struct pt_iter {
	const struct pt_geometry *geom;
	enum pt_stop stop;
	u64 *entry;		/* the leaf or table; NULL: the end */
	u64 value;		/* what it held when it was reached */
	u64 addr;		/* an address that it maps */
	u64 end;		/* first address past the range */
	unsigned int level;	/* its level */
	u64 *table[PT_LEVELS + 1];	/* by level, valid from level up */
};

void pt_iter_begin(struct pt_iter *it, const struct pt *pt, u64 start, u64 end,
		   enum pt_stop stop);
void pt_iter_next(struct pt_iter *it);

#define pt_for_each(it, pt, start, end, stop) \
	for (pt_iter_begin((it), (pt), (start), (end), (stop)); (it)->entry; \
	     pt_iter_next(it))
#define pt_for_each_leaf(it, pt, start, end) \
	pt_for_each(it, pt, start, end, PT_STOP_LEAF)

static inline unsigned int pt_index(u64 addr, unsigned int level)
{
	return (addr >> (12 + PT_BITS * (level - 1))) & (PT_ENTRIES - 1);
}

static inline bool pt_is_present(const struct pt_geometry *geom, u64 value)
{
	return value & geom->present_mask;
}

/* Of a present entry. Level 1 has leaves only, level 4 tables only. */
static inline bool pt_is_leaf(const struct pt_geometry *geom, u64 value,
			      unsigned int level)
{
	return level == 1 || (level < PT_LEVELS && (value & geom->leaf_bit));
}

static inline bool pt_is_table(const struct pt_geometry *geom, u64 value,
			       unsigned int level)
{
	return pt_is_present(geom, value) && !pt_is_leaf(geom, value, level);
}

static inline u64 *pt_child(const struct pt_geometry *geom, u64 value)
{
	return plat_va(value & geom->addr_mask);
}

#endif /* SMP_PT_WALK_H */
