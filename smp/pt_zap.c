// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Removing leaves and tables.
 *
 * Absent entries are passed without a lock: [IV-1], [IV-2] see to a fault that
 * is about to fill one. An entry that is not absent is looked at again under
 * its table's lock. A table that the range covers is unlinked as a whole:
 *
 *   parent and table locked: parent's entry = 0, so that who finds the table dead
 *     knows that nothing leads to it any more and that a flush from now on is
 *     enough; then dead = true. Under both locks, because from then on another
 *     table may be linked there: who has this one's lock and does not find it dead
 *     may rely on its being the linked one (pt_table.place)
 *   level 1: its leaves stay as they are (nr_leaves says how many): whoever
 *     installs or removes there takes the lock and sees dead
 *   above: every entry becomes FROZEN, because tables are linked there without
 *     the lock; 0 would let a new table in that nobody would find again
 *
 * Hardware may walk a dead table until the shootdown, software until the end
 * of its grace period; the gather keeps it that long.
 */
#include "pt_dismantle.h"

struct zap {
	const struct pt_geometry *geom;
	u64 start, end;		/* the range asked for */
	struct gather *gather;
};

/* Does the range hold all that the entry that maps addr covers? */
static bool covers(const struct zap *zap, u64 addr, unsigned int level)
{
	u64 first = addr & ~(pt_level_size(level) - 1);

	return first >= zap->start && zap->end - first >= pt_level_size(level);
}

static void remove_leaf_locked(const struct pt_geometry *geom,
			       struct gather *gather, struct pt_table *table,
			       u64 *entry)
{
	u64 value = plat_xchg64(entry, 0);

	table->nr_leaves--;
	gather_leaf(gather, table->level, pt_was_cached(geom, value));
}

static void dismantle_locked(const struct zap *zap, struct pt_table *table);

static void dismantle(const struct zap *zap, struct pt_table *table)
{
	plat_lock(&table->lock, table->level);
	dismantle_locked(zap, table);
	plat_unlock(&table->lock);
	gather_table(zap->gather, table);
}

/* No table gets linked here any more; the ones that are here follow. */
static void freeze_locked(const struct zap *zap, struct pt_table *table)
{
	u64 value;

#pragma GCC unroll 8
	for (unsigned int i = 0; i < PT_ENTRIES; i++) {
		value = plat_xchg64(&table->entry[i], PT_FROZEN);
		if (value && pt_is_table(zap->geom, value, table->level))
			dismantle(zap, pt_child_table(zap->geom, value));
	}
}

/* The parent's lock is held, its entry leads here no more. Nests 2 deep. */
static void dismantle_locked(const struct zap *zap, struct pt_table *table)
{
	pt_table_kill(table);
	if (table->level > 1)
		freeze_locked(zap, table);
}

static void unlink_and_dismantle(const struct zap *zap, u64 *entry, u64 value)
{
	struct pt_table *table = pt_child_table(zap->geom, value);

	plat_lock(&table->lock, table->level);
	/* Hardware may set accessed in an upper entry as well. */
	plat_xchg64(entry, 0);
	dismantle_locked(zap, table);
	plat_unlock(&table->lock);
	gather_table(zap->gather, table);
}

void pt_dismantle(const struct pt_geometry *geom, struct gather *gather,
		  u64 *entry, u64 value)
{
	const struct zap zap = { .geom = geom, .gather = gather };

	unlink_and_dismantle(&zap, entry, value);
}

/*
 * From entry i to entry last of a level-1 table. Returns without the lock when
 * nothing is there.
 */
static inline void zap_leaves(const struct pt_geometry *geom, struct gather *gather,
		       u64 table_pa, unsigned int i, unsigned int last)
{
	u64 *entry = plat_va(table_pa);
	struct pt_table *table;

	/* [IV-2] orders these reads after the mark. */
	while (!plat_load_acquire(&entry[i]))
		if (i++ == last)
			return;
	table = pt_table_of(table_pa);
	plat_lock(&table->lock, 1);
	if (!table->dead)
		for (; i <= last; i++)
			if (plat_load(&entry[i]))
				remove_leaf_locked(geom, gather, table,
						   &entry[i]);
	plat_unlock(&table->lock);
}

/* What to do about an upper entry, after its table's lock was held. */
enum upper { UPPER_DONE, UPPER_DESCEND, UPPER_WIDEN };

static enum upper zap_upper_locked(const struct zap *zap, struct pt_table *table,
				   u64 addr, u64 *value)
{
	u64 *entry = &table->entry[pt_index(addr, table->level)];
	bool covered = covers(zap, addr, table->level);

	/* [PT-2] again: this may be another table than the one passed by. */
	*value = plat_load_acquire(entry);
	if (table->dead || !pt_is_present(zap->geom, *value))
		return UPPER_DONE;
	if (pt_is_leaf(zap->geom, *value, table->level)) {
		if (!covered && table->level > 2)
			return UPPER_WIDEN;
		remove_leaf_locked(zap->geom, zap->gather, table, entry);
		return UPPER_DONE;
	}
	if (!covered)
		return UPPER_DESCEND;
	unlink_and_dismantle(zap, entry, *value);
	return UPPER_DONE;
}

static enum upper zap_upper(const struct zap *zap, u64 table_pa, u64 addr,
			    u64 *value)
{
	struct pt_table *table = pt_table_of(table_pa);
	enum upper upper;

	plat_lock(&table->lock, table->level);
	upper = zap_upper_locked(zap, table, addr, value);
	plat_unlock(&table->lock);
	return upper;
}

/* [addr, end) lies in one table of this level. Nests PT_LEVELS deep. */
static enum pt_zap_result zap_level(const struct zap *zap, u64 table_pa,
				    unsigned int level, u64 addr, u64 end)
{
	const struct pt_geometry *geom = zap->geom;
	u64 *entry = plat_va(table_pa), size = pt_level_size(level), next;

	if (level == 1) {
		zap_leaves(geom, zap->gather, table_pa, pt_index(addr, 1),
			   pt_index(end - 1, 1));
		return PT_ZAP_DONE;
	}
	for (; addr < end; addr = next) {
		/* [PT-2] See [PT-1] in pt_link.h; [IV-2] as in zap_leaves(). */
		u64 value = plat_load_acquire(&entry[pt_index(addr, level)]);
		enum upper upper = UPPER_DESCEND;

		next = (addr & ~(size - 1)) + size;
		if (!value)
			continue;
		if (!pt_is_table(geom, value, level) || covers(zap, addr, level))
			upper = zap_upper(zap, table_pa, addr, &value);
		if (upper == UPPER_WIDEN)
			return PT_ZAP_WIDEN;
		if (upper == UPPER_DESCEND &&
		    zap_level(zap, value & geom->addr_mask, level - 1, addr,
			      next < end ? next : end) == PT_ZAP_WIDEN)
			return PT_ZAP_WIDEN;
	}
	return PT_ZAP_DONE;
}

/* Apart from pt_zap(), whose frame stays small. */
static plat_noinline enum pt_zap_result
zap_any(struct pt *pt, u64 start, u64 end, struct gather *gather)
{
	struct zap zap = {
		.geom = pt->geom,
		.start = start,
		.end = end,
		.gather = gather,
	};

	return zap_level(&zap, pt_root_pa(pt), PT_LEVELS, start, end);
}

/*
 * The common case, a range inside of one level-1 table: straight down, and no
 * further when an upper level is absent. False: something else is in the way.
 */
static inline bool zap_in_table(const struct pt *pt, u64 start, u64 end,
				struct gather *gather)
{
	const struct pt_geometry *geom = pt->geom;
	u64 table_pa = pt_root_pa(pt);

#pragma GCC unroll 3
	for (unsigned int level = PT_LEVELS; level > 1; level--) {
		u64 *entry = plat_va(table_pa);
		/* As in zap_level(). */
		u64 value = plat_load_acquire(&entry[pt_index(start, level)]);

		if (!value)
			return true;
		if (!pt_is_table(geom, value, level))
			return false;
		table_pa = value & geom->addr_mask;
	}
	zap_leaves(geom, gather, table_pa, pt_index(start, 1),
		   pt_index(end - 1, 1));
	return true;
}

enum pt_zap_result pt_zap_small(struct pt *pt, u64 start, u64 end,
				struct gather *gather)
{
	enum pt_zap_result result = PT_ZAP_DONE;

	plat_rcu_lock();
	/* All of the table: it goes as well. */
	if (end - start == pt_level_size(2) ||
	    !zap_in_table(pt, start, end, gather))
		result = zap_any(pt, start, end, gather);
	plat_rcu_unlock();
	return result;
}

enum pt_zap_result pt_zap(struct pt *pt, u64 start, u64 end,
			  struct gather *gather)
{
	enum pt_zap_result result;

	if (end > PT_ADDR_END)
		end = PT_ADDR_END;
	if (start >= end)
		return PT_ZAP_DONE;
	if (((start ^ (end - 1)) >> (12 + PT_BITS)) == 0)
		return pt_zap_small(pt, start, end, gather);
	plat_rcu_lock();
	result = zap_any(pt, start, end, gather);
	plat_rcu_unlock();
	return result;
}
