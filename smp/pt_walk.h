/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Reading a table, leaf by leaf; private to smp/.
 *
 * An iterator visits, in order of address, the leaves that overlap a range:
 *   1. down: descend from the current level to a leaf or a hole;
 *   2. side: step to the end of that entry, aligned to the entry's own size;
 *   3. up: climb while the step crossed the end of a table.
 * Holes are stepped over at the level where they are found. Under RCU.
 */
#ifndef SMP_PT_WALK_H
#define SMP_PT_WALK_H

#include "pt_entry.h"

struct pt_iter {
	const struct pt_geometry *geom;
	u64 *entry;		/* the leaf; NULL: the end */
	u64 value;		/* what it held when it was reached */
	u64 addr;		/* an address that it maps */
	u64 end;		/* first address past the range */
	unsigned int level;	/* its level */
	u64 *table[PT_LEVELS + 1];	/* by level, valid from level up */
};

void pt_iter_begin(struct pt_iter *it, const struct pt *pt, u64 start, u64 end);
/* The same from this table down, which holds the range. */
void pt_iter_begin_at(struct pt_iter *it, const struct pt_geometry *geom,
		      const struct pt_table *top, u64 start, u64 end);
void pt_iter_next(struct pt_iter *it);

#define pt_for_each_leaf(it, pt, start, end) \
	for (pt_iter_begin((it), (pt), (start), (end)); (it)->entry; \
	     pt_iter_next(it))

#endif /* SMP_PT_WALK_H */
