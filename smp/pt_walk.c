// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Page-table walks: find leaves, look one up, and their accessed bits. Run
 * beside writers, under RCU: they see each entry before or after a change,
 * never a table that is not initialised.
 */
#include "pt_walk.h"

/* Down: to the leaf or the hole at it->addr. */
static void iter_descend(struct pt_iter *it)
{
	for (;;) {
		it->entry = &it->table[it->level][pt_index(it->addr, it->level)];
		/* [PT-2] See [PT-1] in pt_link.h. */
		it->value = plat_load_acquire(it->entry);
		if (!pt_is_table(it->geom, it->value, it->level))
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

void pt_iter_begin_at(struct pt_iter *it, const struct pt_geometry *geom,
		      const struct pt_table *top, u64 start, u64 end)
{
	it->geom = geom;
	it->entry = NULL;
	it->addr = start;
	it->end = end < PT_ADDR_END ? end : PT_ADDR_END;
	it->level = top->level;
	it->table[top->level] = top->entry;
	if (start >= it->end)
		return;
	iter_descend(it);
	if (!pt_is_present(it->geom, it->value))
		pt_iter_next(it);
}

void pt_iter_begin(struct pt_iter *it, const struct pt *pt, u64 start, u64 end)
{
	pt_iter_begin_at(it, pt->geom, pt->root, start, end);
}

u64 pt_lookup(const struct pt *pt, u64 addr, unsigned int *level)
{
	struct pt_iter it;

	*level = PT_LEVELS;
	if (addr >= PT_ADDR_END)
		return 0;
	it.geom = pt->geom;
	it.addr = addr;
	it.level = PT_LEVELS;
	it.table[PT_LEVELS] = pt->root->entry;
	plat_rcu_lock();
	iter_descend(&it);
	plat_rcu_unlock();
	*level = it.level;
	return pt_is_present(it.geom, it.value) ? it.value : 0;
}

/*
 * Clears accessed in a leaf that may be changed or dismantled meanwhile; what
 * is no leaf any more is left alone. Returns what it was.
 */
static u64 clear_accessed(const struct pt_iter *it)
{
	const struct pt_geometry *geom = it->geom;
	u64 value = it->value;

	while (pt_is_present(geom, value) && (value & geom->accessed_bit))
		if (plat_cas64(it->entry, &value,
			       (value & ~geom->accessed_bit) | geom->aged_bit))
			return value;
	return 0;
}

int pt_age(struct pt *pt, u64 start, u64 end, enum pt_age_mode mode)
{
	u64 accessed = pt->geom->accessed_bit;
	struct pt_iter it;
	u64 seen = 0;

	plat_rcu_lock();
	pt_for_each_leaf(&it, pt, start, end) {
		if (!accessed) {
			seen = 1;	/* no one can tell: assume young */
			break;
		}
		seen |= mode == PT_AGE_CLEAR ? clear_accessed(&it) : it.value;
	}
	plat_rcu_unlock();
	return accessed ? (seen & accessed) != 0 : seen != 0;
}
