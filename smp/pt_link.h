/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Putting new tables into a page table; private to smp/. */
#ifndef SMP_PT_LINK_H
#define SMP_PT_LINK_H

#include "pt_entry.h"
#include "pt_range.h"

static inline void pt_cache_push(struct pt_cache *cache, struct pt_table *table)
{
	table->next = cache->tables;
	cache->tables = table;
	cache->nr++;
}

static inline struct pt_table *pt_cache_pop(struct pt_cache *cache)
{
	struct pt_table *table = cache->tables;

	cache->tables = table->next;
	cache->nr--;
	return table;
}

enum pt_link { PT_LINKED, PT_LINK_LOST };

/*
 * Link a table from the cache, which has one, into an entry of this level that
 * was found absent. LOST: *value is what is there now.
 */
static inline enum pt_link pt_link_table(const struct pt_geometry *geom,
					 u64 *entry, u64 *value,
					 unsigned int level,
					 struct pt_cache *cache)
{
	/*
	 * Out of the cache first: once linked it may be unlinked and chained
	 * into somebody's gather.
	 */
	struct pt_table *table = pt_cache_pop(cache);
	u64 link;

	table->level = level - 1;
	table->user = cache->user;
	link = geom->make_table(pt_table_pa(table));
	/*
	 * [PT-1] The table's zeroes and level before the entry that leads to it
	 * (the cas is a release); pairs with [PT-2]: else a walk follows what
	 * the page held before. Shape: MP.
	 */
	if (plat_cas64(entry, value, link)) {
		*value = link;
		return PT_LINKED;
	}
	pt_cache_push(cache, table);
	return PT_LINK_LOST;
}

/*
 * pt_make_table() from this table down; linked: added to. Takes RCU; *found is
 * known to be linked only under RCU that the caller holds.
 */
enum pt_result pt_make_table_below(struct pt *pt, struct pt_table *top, u64 addr,
				   unsigned int level, struct pt_cache *cache,
				   u32 *linked, struct pt_table **found);

#endif /* SMP_PT_LINK_H */
