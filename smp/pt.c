// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Page-table engine: life of a table, and installing leaves.
 *
 * Invariants:
 * - a present upper entry is a table or, at levels 3 and 2, a leaf;
 * - a table is in a cache, or reachable, or in one gather, or freed;
 * - a table page is linked into an absent entry by cmpxchg, without a lock; a
 *   leaf is installed, upgraded or removed under its table's lock;
 * - nothing is ever put into a dead table: its lock's holder sees dead, and
 *   whoever links without the lock finds FROZEN.
 *
 * Install against invalidation (inval.h), both without a common lock:
 *
 *   fault (table lock held)              invalidation
 *     entry = FROZEN                       bucket: active++
 *     full fence            [IV-1]         full fence              [IV-2]
 *     bucket changed? entry = 0            entry == 0: pass it
 *     else entry = leaf                    else: lock, remove
 *
 * Either the fault sees the invalidation and gives up, or that finds the entry
 * not absent, waits for the lock and removes the leaf. The same fence orders
 * the tables that the fault linked on its way down.
 */
#include "gather.h"
#include "pt_link.h"
#include "pt_range.h"

int pt_cache_fill_to(struct pt_cache *cache, unsigned int nr)
{
	while (cache->nr < nr) {
		struct pt_table *table = pt_table_alloc_at(cache->place);

		if (!table)
			return -ENOMEM;
		pt_cache_push(cache, table);
	}
	return 0;
}

int pt_cache_fill(struct pt_cache *cache)
{
	return pt_cache_fill_to(cache, PT_CACHE_MAX);
}

void pt_cache_drain(struct pt_cache *cache)
{
	while (cache->nr)
		pt_table_free(pt_cache_pop(cache));
}

int pt_init_at(struct pt *pt, const struct pt_geometry *geom, u32 place)
{
	*pt = (struct pt){ .geom = geom, .root = pt_table_alloc_at(place) };
	if (!pt->root)
		return -ENOMEM;
	pt->root->level = PT_LEVELS;
	pt->root_pa = pt_table_pa(pt->root);
	return 0;
}

static void destroy_table(const struct pt_geometry *geom, struct pt_table *table)
{
	for (unsigned int i = 0; table->level > 1 && i < PT_ENTRIES; i++) {
		u64 value = table->entry[i];

		if (pt_is_table(geom, value, table->level))
			destroy_table(geom, pt_child_table(geom, value));
	}
	pt_table_free(table);
}

void pt_destroy(struct pt *pt)
{
	if (pt->root)
		destroy_table(pt->geom, pt->root);
	pt->root = NULL;
}

/*
 * The leaf of this level that would map, with rights, what *leaf maps at addr;
 * false when no such leaf is aligned.
 */
static bool leaf_at_level(const struct pt_leaf *leaf, u64 addr,
			  unsigned int level, unsigned int rights,
			  struct pt_leaf *out)
{
	u64 inside = (addr & ~(pt_level_size(leaf->level) - 1)) &
		     (pt_level_size(level) - 1);

	*out = *leaf;
	out->level = level;
	out->rights = rights;
	out->pa = leaf->pa - inside;
	return (leaf->pa & (pt_level_size(level) - 1)) == inside;
}

/* Does a present leaf of this level map the memory that *leaf asks for? */
static bool maps_same(const struct pt_geometry *geom, u64 value,
		      unsigned int level, u64 addr, const struct pt_leaf *leaf)
{
	u64 history = geom->accessed_bit | geom->dirty_bit | geom->aged_bit;
	struct pt_leaf same;

	if (!leaf_at_level(leaf, addr, level, geom->rights(value), &same))
		return false;
	return ((geom->make_leaf(&same) ^ value) & ~history) == 0;
}

static bool has_rights(const struct pt_geometry *geom, u64 value,
		       unsigned int rights)
{
	return (geom->rights(value) & rights) == rights;
}

static bool stale(const struct pt_map_op *op)
{
	return op->inval && inval_stale(op->inval, &op->snap);
}

/* Outcome of one walk; those below zero are pt_map()'s own. */
enum step {
	STEP_INSTALLED = PT_MAP_INSTALLED,
	STEP_UPGRADED = PT_MAP_UPGRADED,
	STEP_SPURIOUS = PT_MAP_SPURIOUS,
	STEP_STALE = PT_MAP_STALE,
	STEP_CONFLICT = PT_MAP_CONFLICT,
	STEP_FOUND = -1,	/* the table to put the leaf into */
	STEP_AGAIN = -2,	/* it is being dismantled: from the root */
};

/*
 * One level down from an entry that was read as *value: a table is there, or
 * is put there; *value is its entry then.
 */
static enum step step_down(const struct pt_geometry *geom, u64 *entry,
			   u64 *value, unsigned int level, struct pt_map_op *op)
{
	while (!pt_is_present(geom, *value)) {
		if (*value)
			return STEP_AGAIN;
		/* Restarts have used up what was enough for one walk. */
		if (!op->cache->nr)
			return STEP_STALE;
		if (pt_link_table(geom, entry, value, level, op->cache) ==
		    PT_LINKED) {
			op->tables++;
			return STEP_FOUND;
		}
	}
	if (!pt_is_leaf(geom, *value, level))
		return STEP_FOUND;
	if (maps_same(geom, *value, level, op->addr, &op->leaf) &&
	    has_rights(geom, *value, op->leaf.rights))
		return STEP_SPURIOUS;
	return STEP_CONFLICT;
}

/* To the table whose entry is the leaf's; RCU read side. */
static enum step descend(struct pt *pt, struct pt_map_op *op,
			 struct pt_table **found)
{
	const struct pt_geometry *geom = pt->geom;
	u64 *table = pt->root->entry, value = 0;
	enum step step;

#pragma GCC unroll 3
	for (unsigned int level = PT_LEVELS; level > op->leaf.level; level--) {
		u64 *entry = &table[pt_index(op->addr, level)];

		/* [PT-2] See [PT-1] in pt_link.h; also pt_walk.c. */
		value = plat_load_acquire(entry);
		step = step_down(geom, entry, &value, level, op);
		if (step != STEP_FOUND)
			return step;
		table = pt_child(geom, value);
	}
	*found = pt_child_table(geom, value);
	return STEP_FOUND;
}

static enum step upgrade_locked(const struct pt_geometry *geom, u64 *entry,
				u64 value, const struct pt_map_op *op)
{
	u64 history = geom->accessed_bit | geom->dirty_bit | geom->aged_bit;
	struct pt_leaf merged = op->leaf;
	u64 new;

	if (has_rights(geom, value, op->leaf.rights))
		return STEP_SPURIOUS;
	if (stale(op))
		return STEP_STALE;
	merged.rights |= geom->rights(value);
	do {
		new = geom->make_leaf(&merged) | (value & history);
	} while (!plat_cas64(entry, &value, new));
	return STEP_UPGRADED;
}

static enum step install_locked(const struct pt_geometry *geom, u64 *entry,
				struct pt_table *table, struct pt_map_op *op)
{
	u64 absent = 0;

	/* In an upper table someone may link a table here without the lock. */
	if (!plat_cas64(entry, &absent, PT_FROZEN))
		return STEP_AGAIN;
	/*
	 * [IV-1] The entry and the tables above it before the bucket; pairs
	 * with [IV-2] in inval_begin(): else a walk that saw no entry and a
	 * fault that saw no invalidation leave a stale leaf behind. Shape: SB.
	 */
	plat_full_mb();
	if (stale(op)) {
		plat_store_release(entry, 0);
		return STEP_STALE;
	}
	table->nr_leaves++;
	plat_store_release(entry, geom->make_leaf(&op->leaf));
	return STEP_INSTALLED;
}

static enum step set_leaf_locked(const struct pt_geometry *geom,
				 struct pt_table *table, struct pt_map_op *op)
{
	u64 *entry = &table->entry[pt_index(op->addr, op->leaf.level)];
	u64 value = plat_load(entry);

	if (table->dead)
		return STEP_AGAIN;
	if (!pt_is_present(geom, value))
		return install_locked(geom, entry, table, op);
	if (pt_is_leaf(geom, value, op->leaf.level) &&
	    maps_same(geom, value, op->leaf.level, op->addr, &op->leaf))
		return upgrade_locked(geom, entry, value, op);
	return STEP_CONFLICT;
}

static enum step map_once(struct pt *pt, struct pt_map_op *op)
{
	struct pt_table *table;
	enum step step = descend(pt, op, &table);

	if (step != STEP_FOUND)
		return step;
	op->contended += plat_lock(&table->lock, op->leaf.level);
	step = set_leaf_locked(pt->geom, table, op);
	plat_unlock(&table->lock);
	return step;
}

static bool map_args_valid(const struct pt_map_op *op)
{
	const struct pt_leaf *leaf = &op->leaf;

	return op->addr < PT_ADDR_END && leaf->level >= 1 &&
	       leaf->level < PT_LEVELS && (leaf->rights & PT_RWX) &&
	       op->cache->nr >= PT_CACHE_MAX &&
	       (leaf->pa & (pt_level_size(leaf->level) - 1)) == 0;
}

enum pt_map_result pt_map(struct pt *pt, struct pt_map_op *op)
{
	enum step step;

	if (!map_args_valid(op)) {
		plat_warn_once("pt_map: bad leaf, or the cache is not full");
		return PT_MAP_SPURIOUS;
	}
	plat_rcu_lock();
	while ((step = map_once(pt, op)) == STEP_AGAIN) {
		op->restarts++;
		/* What it linked before the restart stays linked. */
		plat_rcu_unlock();
		plat_cpu_relax();
		plat_rcu_lock();
	}
	plat_rcu_unlock();
	return (enum pt_map_result)step;
}
