/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What the tests of the page-table engine have in common: one thread's. */
#ifndef UNIT_PT_UTIL_H
#define UNIT_PT_UTIL_H

#include "check.h"
#include "gather.h"
#include "pt.h"

#define KIB		(1ull << 10)
#define MIB		(1ull << 20)
#define GIB		(1ull << 30)
#define TIB		(1ull << 40)
#define FROZEN		0xc00ull

static struct pt_cache cache;

/* The flush and the grace period of a gather, as if both were over. */
static inline void finish(struct gather *gather)
{
	bool tables = gather->tables != NULL;

	gather_flushed(gather);
	gather_release(gather);
	if (tables)		/* it takes some milliseconds */
		plat_test_grace_period();
}

static inline struct pt_leaf ram(u64 pa, unsigned int level, unsigned int rights)
{
	return (struct pt_leaf){ pa, level, rights, PT_MEM_WB, PT_YOUNG };
}

static inline struct pt_leaf old_ram(u64 pa, unsigned int level,
				     unsigned int rights)
{
	return (struct pt_leaf){ pa, level, rights, PT_MEM_WB, PT_OLD };
}

static inline enum pt_map_result map_op(struct pt *pt, struct pt_map_op *op)
{
	CHECK_EQ(pt_cache_fill(&cache), 0);
	op->cache = &cache;
	return pt_map(pt, op);
}

static inline enum pt_map_result map(struct pt *pt, u64 addr,
				     struct pt_leaf leaf)
{
	struct pt_map_op op = { .addr = addr, .leaf = leaf };
	enum pt_map_result result = map_op(pt, &op);

	CHECK_EQ(op.contended, 0);
	CHECK_EQ(op.restarts, 0);
	if (result != PT_MAP_INSTALLED)
		CHECK_EQ(op.tables, 0);
	return result;
}

/*
 * Tables reachable from this one, itself included; each is alive, of its
 * level, and counts its own leaves right.
 */
static inline u64 count_tables(const struct pt_geometry *geom,
			       const u64 *entry, unsigned int level)
{
	const struct pt_table *table = plat_page_owner(plat_pa(entry));
	u64 nr = 1, leaves = 0;

	for (unsigned int i = 0; i < PT_ENTRIES; i++) {
		if (!(entry[i] & geom->present_mask))
			CHECK_EQ(entry[i], 0);
		else if (level == 1 || (entry[i] & geom->leaf_bit))
			leaves++;
		else
			nr += count_tables(geom, plat_va(entry[i] &
							 geom->addr_mask),
					   level - 1);
	}
	CHECK_EQ(table->level, level);
	CHECK_EQ(table->nr_leaves, leaves);
	CHECK(!table->dead);
	CHECK(table->entry == entry);
	return nr;
}

static inline u64 tables_of(const struct pt *pt)
{
	return count_tables(pt->geom, pt->root->entry, PT_LEVELS);
}

/* Every table that was allocated and not freed is in one place. */
static inline void check_tables(const struct pt *pt, const struct gather *gather)
{
	CHECK_EQ(plat_test_live(),
		 tables_of(pt) + gather->nr_tables + cache.nr);
	CHECK_EQ(plat_test_live(), plat_test_live_objects());
}

/* One zap with its flush: leaves and tables removed as told. */
static inline void zap(struct pt *pt, u64 start, u64 end, u64 leaves,
		       u64 tables)
{
	struct gather gather;

	gather_init(&gather);
	CHECK_EQ(pt_zap(pt, start, end, &gather), PT_ZAP_DONE);
	CHECK_EQ(gather_nr_leaves(&gather), leaves);
	CHECK_EQ(gather.nr_tables, tables);
	check_tables(pt, &gather);
	finish(&gather);
	check_tables(pt, &gather);
}

static inline void begin(struct pt *pt, const struct pt_geometry *geom)
{
	CHECK_EQ(pt_init(pt, geom), 0);
}

static inline void destroy(struct pt *pt)
{
	pt_destroy(pt);
	pt_cache_drain(&cache);
	plat_test_grace_period();
	CHECK_EQ(plat_test_live(), 0);
	CHECK_EQ(plat_test_live_objects(), 0);
	CHECK_EQ(plat_test_warnings(), 0);
}

#endif /* UNIT_PT_UTIL_H */
