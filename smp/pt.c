// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Page-table operations: install, upgrade, split, remove, age.
 *
 * Invariants, under the caller's writer lock:
 * - a present upper entry is a table or, at levels 3 and 2, a leaf;
 * - installed == removed + leaves now present;
 * - a table is reachable, or in one gather, or freed;
 * - a table goes when a larger leaf takes its place, when one pt_zap() covers
 *   all that it maps, present or not, or with pt_destroy(). Emptied piecemeal,
 *   it stays linked until one of these;
 * - an unlinked table changes no more, except for accessed and dirty bits, until
 *   its grace period is over: what it held was counted when it was unlinked.
 * Hardware sets accessed and dirty in live entries at any time, so these are
 * changed by atomic read-modify-write only.
 */
#include "gather.h"
#include "pt_walk.h"

/* Figures are read without the lock: keep each store whole. */
static void count_add(u64 *count, u64 n)
{
	plat_store(count, *count + n);
}

static void count_installed(struct pt *pt, unsigned int level)
{
	count_add(&pt->counts.leaves[level], 1);
	count_add(&pt->counts.installed, 1);
}

static void count_removed(struct pt *pt, unsigned int level)
{
	count_add(&pt->counts.leaves[level], -1ull);
	count_add(&pt->counts.removed, 1);
}

int pt_cache_fill(struct pt_cache *cache)
{
	while (cache->nr < PT_CACHE_MAX) {
		void *page = plat_table_alloc();

		if (!page)
			return -ENOMEM;
		cache->page[cache->nr++] = page;
	}
	return 0;
}

void pt_cache_drain(struct pt_cache *cache)
{
	while (cache->nr)
		plat_table_free(cache->page[--cache->nr]);
}

int pt_init(struct pt *pt, const struct pt_geometry *geom)
{
	*pt = (struct pt){ .geom = geom };
	pt->root = plat_table_alloc();
	if (!pt->root)
		return -ENOMEM;
	pt->counts.tables = 1;
	return 0;
}

u64 pt_root_pa(const struct pt *pt)
{
	return plat_pa(pt->root);
}

/*
 * Account for a table that is no longer reachable and for all below it. Leaves
 * the content alone: a walker may be in there. Nests at most PT_LEVELS deep.
 */
static void remove_table(struct pt *pt, u64 *table, unsigned int level,
			 struct gather *gather)
{
	for (unsigned int i = 0; i < PT_ENTRIES; i++) {
		u64 value = plat_load(&table[i]);

		if (pt_is_table(pt->geom, value, level)) {
			remove_table(pt, pt_child(pt->geom, value), level - 1,
				     gather);
		} else if (pt_is_present(pt->geom, value)) {
			count_removed(pt, level);
			gather_leaf(gather);
		}
	}
	gather_table(gather, table);
	count_add(&pt->counts.tables, -1ull);
}

void pt_destroy(struct pt *pt)
{
	struct gather gather;

	if (!pt->root)
		return;
	gather_init(&gather);
	remove_table(pt, pt->root, PT_LEVELS, &gather);
	pt->root = NULL;
	/* No CPU and no walker is left: neither flush nor grace period. */
	while (gather.tables) {
		void *table = gather.tables;

		gather.tables = plat_table_next(table);
		plat_table_free(table);
	}
}

/* Account for what a live entry held; it was replaced in one exchange. */
static void remove_entry(struct pt *pt, u64 old, unsigned int level,
			 struct gather *gather)
{
	if (pt_is_table(pt->geom, old, level)) {
		remove_table(pt, pt_child(pt->geom, old), level - 1, gather);
		return;
	}
	count_removed(pt, level);
	gather_leaf(gather);
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
	struct pt_leaf same;

	if (!leaf_at_level(leaf, addr, level, geom->rights(value), &same))
		return false;
	return ((geom->make_leaf(&same) ^ value) &
		~(geom->accessed_bit | geom->dirty_bit)) == 0;
}

static bool has_rights(const struct pt_geometry *geom, u64 value,
		       unsigned int rights)
{
	return (geom->rights(value) & rights) == rights;
}

/* Links a table of the cache into an absent entry; returns it. */
static u64 *link_table(struct pt *pt, u64 *entry, struct pt_cache *cache)
{
	u64 *table = cache->page[--cache->nr];

	/*
	 * [PT-1] The table's zeroes before the entry that leads to it; pairs
	 * with [PT-2] in pt_walk.c: else a walk follows what the page held
	 * before it became a table. Shape: MP.
	 */
	plat_store_release(entry, pt->geom->make_table(plat_pa(table)));
	count_add(&pt->counts.tables, 1);
	return table;
}

static enum pt_map_result upgrade_leaf(struct pt *pt, u64 *entry, u64 value,
				       const struct pt_leaf *leaf)
{
	const struct pt_geometry *geom = pt->geom;
	struct pt_leaf merged = *leaf;
	u64 hw_bits, new;

	if (has_rights(geom, value, leaf->rights))
		return PT_MAP_SPURIOUS;
	merged.rights |= geom->rights(value);
	do {
		hw_bits = value & (geom->accessed_bit | geom->dirty_bit);
		new = geom->make_leaf(&merged) | hw_bits;
	} while (!plat_cas64(entry, &value, new));
	count_add(&pt->counts.upgraded, 1);
	return PT_MAP_UPGRADED;
}

/* Put *leaf into its entry, whatever is there. */
static enum pt_map_result set_leaf(struct pt *pt, u64 *entry, u64 addr,
				   const struct pt_leaf *leaf,
				   struct gather *gather)
{
	const struct pt_geometry *geom = pt->geom;
	unsigned int level = leaf->level;
	u64 value = plat_load(entry);

	if (pt_is_present(geom, value) && pt_is_leaf(geom, value, level) &&
	    maps_same(geom, value, level, addr, leaf))
		return upgrade_leaf(pt, entry, value, leaf);

	value = plat_xchg64(entry, geom->make_leaf(leaf));
	count_installed(pt, level);
	if (!pt_is_present(geom, value))
		return PT_MAP_INSTALLED;
	remove_entry(pt, value, level, gather);
	return PT_MAP_REPLACED;
}

static bool map_args_valid(u64 addr, const struct pt_leaf *leaf,
			   const struct pt_cache *cache)
{
	return addr < PT_ADDR_END && leaf->level >= 1 && leaf->level < PT_LEVELS &&
	       (leaf->rights & PT_RWX) && cache->nr == PT_CACHE_MAX &&
	       (leaf->pa & (pt_level_size(leaf->level) - 1)) == 0;
}

enum pt_map_result pt_map(struct pt *pt, u64 addr, const struct pt_leaf *leaf,
			  struct pt_cache *cache, struct gather *gather)
{
	const struct pt_geometry *geom = pt->geom;
	enum pt_map_result result;
	bool split = false;
	u64 *table = pt->root;
	unsigned int level;

	if (!map_args_valid(addr, leaf, cache)) {
		plat_warn_once("pt_map: bad leaf, or the cache is not full");
		return PT_MAP_SPURIOUS;
	}
	for (level = PT_LEVELS; level > leaf->level; level--) {
		u64 *entry = &table[pt_index(addr, level)];
		u64 value = plat_load(entry);

		if (pt_is_table(geom, value, level)) {
			table = pt_child(geom, value);
			continue;
		}
		if (pt_is_present(geom, value)) {
			if (maps_same(geom, value, level, addr, leaf) &&
			    has_rights(geom, value, leaf->rights))
				return PT_MAP_SPURIOUS;
			plat_xchg64(entry, 0);
			remove_entry(pt, value, level, gather);
			split = true;
		}
		table = link_table(pt, entry, cache);
	}
	result = set_leaf(pt, &table[pt_index(addr, level)], addr, leaf, gather);
	return split ? PT_MAP_REPLACED : result;
}

u64 pt_zap(struct pt *pt, u64 start, u64 end, struct gather *gather)
{
	u64 before = gather->leaves;
	struct pt_iter it;

	/*
	 * A covered table goes whole: else each 2 MiB that was ever touched
	 * would pin a page for as long as the vm lives.
	 */
	pt_for_each(&it, pt, start, end, PT_STOP_COVERED)
		remove_entry(pt, plat_xchg64(it.entry, 0), it.level, gather);
	return gather->leaves - before;
}

int pt_age(struct pt *pt, u64 start, u64 end, enum pt_age_mode mode)
{
	u64 accessed = pt->geom->accessed_bit;
	struct pt_iter it;
	u64 seen = 0;

	pt_for_each_leaf(&it, pt, start, end) {
		if (!accessed)
			return 1;	/* no one can tell: assume young */
		if (mode == PT_AGE_CLEAR)
			seen |= plat_and64(it.entry, ~accessed);
		else
			seen |= it.value;
	}
	return (seen & accessed) != 0;
}
