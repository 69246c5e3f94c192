// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Page-table walks. Role: find entries. Writes none.
 *
 * pt_lookup() may run beside a writer, under RCU: it sees each entry before or
 * after the writer's change, never a table that is not initialised.
 */
#include "pt_walk.h"

/*
 * Does the range hold all that the entry at it->addr maps? The address is the
 * start of the range, at any offset in the entry, or the entry's first one. It
 * is below the end, so the difference cannot wrap.
 */
static bool iter_covers_entry(const struct pt_iter *it)
{
	u64 size = pt_level_size(it->level);

	return (it->addr & (size - 1)) == 0 && it->end - it->addr >= size;
}

/* Down: to the leaf, the hole or the covered table at it->addr. */
static void iter_descend(struct pt_iter *it)
{
	for (;;) {
		it->entry = &it->table[it->level][pt_index(it->addr, it->level)];
		/*
		 * [PT-2] Read the entry before the table it points to; pairs
		 * with [PT-1] in pt.c: else the walk follows what the page
		 * held before it became a table. Shape: MP.
		 */
		it->value = plat_load_acquire(it->entry);
		if (!pt_is_table(it->geom, it->value, it->level))
			return;
		if (it->stop == PT_STOP_COVERED && iter_covers_entry(it))
			return;
		it->level--;
		it->table[it->level] = pt_child(it->geom, it->value);
	}
}

/*
 * Side, then up. The step starts from the aligned address: the first address
 * of a range may lie inside of a large entry, and a step of its size from
 * there would jump over the start of the next one. False: past the end.
 */
static bool iter_advance(struct pt_iter *it)
{
	u64 size = pt_level_size(it->level);

	it->addr = (it->addr & ~(size - 1)) + size;
	if (it->addr >= it->end)
		return false;
	while (it->level < PT_LEVELS && pt_index(it->addr, it->level) == 0)
		it->level++;
	return true;
}

void pt_iter_next(struct pt_iter *it)
{
	do {
		if (!iter_advance(it)) {
			it->entry = NULL;
			return;
		}
		iter_descend(it);
	} while (!pt_is_present(it->geom, it->value));
}

void pt_iter_begin(struct pt_iter *it, const struct pt *pt, u64 start, u64 end,
		   enum pt_stop stop)
{
	it->geom = pt->geom;
	it->stop = stop;
	it->entry = NULL;
	it->addr = start;
	it->end = end < PT_ADDR_END ? end : PT_ADDR_END;
	it->level = PT_LEVELS;
	it->table[PT_LEVELS] = pt->root;
	if (start >= it->end)
		return;
	iter_descend(it);
	if (!pt_is_present(it->geom, it->value))
		pt_iter_next(it);
}

u64 pt_lookup(const struct pt *pt, u64 addr, unsigned int *level)
{
	struct pt_iter it;

	*level = PT_LEVELS;
	if (addr >= PT_ADDR_END)
		return 0;
	it.geom = pt->geom;
	it.stop = PT_STOP_LEAF;
	it.addr = addr;
	it.level = PT_LEVELS;
	it.table[PT_LEVELS] = pt->root;
	iter_descend(&it);
	*level = it.level;
	return pt_is_present(it.geom, it.value) ? it.value : 0;
}
