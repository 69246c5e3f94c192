// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The page-table engine: directed cases, then random operations against a flat
 * model (pt_model.c). After each operation: result, figures, what was gathered
 * and entries around the place; from time to time, every page of the window.
 */
#include "check.h"
#include "gather.h"
#include "pt.h"
#include "pt_model.h"

#define KIB		(1ull << 10)
#define MIB		(1ull << 20)
#define GIB		(1ull << 30)
#define TIB		(1ull << 40)
#define RANDOM_OPS	120000u
#define FULL_EVERY	8000u
#define TABLES_EVERY	1000u

static struct pt_cache cache;

static void finish(struct gather *gather)
{
	gather_flushed(gather);
	gather_release(gather);
	plat_test_grace_period();
}

static enum pt_map_result map_with(struct pt *pt, u64 addr, struct pt_leaf leaf,
				   struct gather *gather)
{
	CHECK_EQ(pt_cache_fill(&cache), 0);
	return pt_map(pt, addr, &leaf, &cache, gather);
}

static enum pt_map_result map(struct pt *pt, u64 addr, struct pt_leaf leaf)
{
	enum pt_map_result result;
	struct gather gather;

	gather_init(&gather);
	result = map_with(pt, addr, leaf, &gather);
	CHECK_EQ(gather_needs_flush(&gather), result == PT_MAP_REPLACED);
	finish(&gather);
	return result;
}

static struct pt_leaf ram(u64 pa, unsigned int level, unsigned int rights)
{
	return (struct pt_leaf){ pa, level, rights, PT_MEM_WB };
}

/* Tables reachable from this one, itself included. */
static u64 count_tables(const u64 *table, unsigned int level)
{
	u64 nr = 1;

	for (unsigned int i = 0; level > 1 && i < 512; i++)
		if ((table[i] & 7) && !(table[i] & 0x80))
			nr += count_tables(plat_va(table[i] &
						   0x000ffffffffff000ull),
					   level - 1);
	return nr;
}

/* Every table that was allocated and not freed is in one place. */
static void check_tables(const struct pt *pt, const struct gather *gather)
{
	u64 reachable = count_tables(pt->root, PT_LEVELS);

	CHECK_EQ(pt->counts.tables, reachable);
	CHECK_EQ(plat_test_live(), reachable + gather->nr_tables + cache.nr);
}

/* One zap with its flush: leaves and tables removed as told. */
static void zap(struct pt *pt, u64 start, u64 end, u64 leaves, u64 tables)
{
	struct gather gather;

	gather_init(&gather);
	CHECK_EQ(pt_zap(pt, start, end, &gather), leaves);
	CHECK_EQ(gather.leaves, leaves);
	CHECK_EQ(gather.nr_tables, tables);
	CHECK_EQ(gather_needs_flush(&gather), leaves || tables);
	check_tables(pt, &gather);
	finish(&gather);
	gather_init(&gather);
	check_tables(pt, &gather);
}

static void destroy(struct pt *pt)
{
	pt_destroy(pt);
	pt_cache_drain(&cache);
	plat_test_grace_period();
	CHECK_EQ(pt->counts.tables, 0);
	CHECK_EQ(pt->counts.installed, pt->counts.removed);
	CHECK_EQ(plat_test_live(), 0);
	CHECK_EQ(plat_test_warnings(), 0);
}

static void entries_have_the_bits_of_the_manual(void)
{
	struct pt_leaf uc = { 0xfee00000, 1, PT_R | PT_W, PT_MEM_UC };
	unsigned int level;
	struct pt pt;

	CHECK_EQ(pt_init(&pt, &pt_ept_ad), 0);
	map(&pt, 0, ram(0x5000, 1, PT_RWX));
	map(&pt, 4096, ram(0x6000, 1, PT_R | PT_X));
	map(&pt, 2 * MIB, ram(4 * MIB, 2, PT_R));
	map(&pt, GIB, ram(8 * GIB, 3, PT_RWX));
	map(&pt, 5 * GIB, uc);
	CHECK_EQ(pt_lookup(&pt, 0xfff, &level), 0x5377);
	CHECK_EQ(level, 1);
	CHECK_EQ(pt_lookup(&pt, 4096, &level), 0x6175);
	CHECK_EQ(pt_lookup(&pt, 4 * MIB - 1, &level), 0x4001f1);
	CHECK_EQ(level, 2);
	CHECK_EQ(pt_lookup(&pt, GIB + 12345, &level), 0x2000003f7);
	CHECK_EQ(level, 3);
	CHECK_EQ(pt_lookup(&pt, 5 * GIB, &level), 0xfee00303);
	CHECK_EQ(pt_lookup(&pt, 8192, &level), 0);
	CHECK_EQ(level, 1);
	CHECK_EQ(pt_lookup(&pt, TIB, &level), 0);
	CHECK_EQ(level, 4);
	CHECK_EQ(pt_lookup(&pt, 1ull << 48, &level), 0);
	CHECK_EQ(pt.root[0] & 0xfff, 7);
	CHECK_EQ(pt_root_pa(&pt), plat_pa(pt.root));
	destroy(&pt);

	CHECK_EQ(pt_init(&pt, &pt_ept_plain), 0);
	map(&pt, 0, ram(0x5000, 1, PT_RWX));
	CHECK_EQ(pt_lookup(&pt, 0, &level), 0x5077);
	destroy(&pt);
}

/* Every present level against every new one; the same memory or other. */
static void every_pair_of_levels(void)
{
	for (unsigned int i = 0; i < 3 * 3 * 2 * 2; i++) {
		unsigned int old = i % 3 + 1, new = i / 3 % 3 + 1;
		bool other = i / 9 % 2, more = i / 18;
		u64 addr = 7 * GIB + 14 * MIB + 28 * KIB;
		u64 size = pt_level_size(new), old_size = pt_level_size(old);
		enum pt_map_result want = PT_MAP_REPLACED;
		struct pt pt;

		if (!other && !more && old >= new)
			want = PT_MAP_SPURIOUS;
		else if (!other && old == new)
			want = PT_MAP_UPGRADED;
		CHECK_EQ(pt_init(&pt, &pt_ept_ad), 0);
		CHECK_EQ(map(&pt, addr, ram(addr & ~(old_size - 1), old, PT_R)),
			 PT_MAP_INSTALLED);
		CHECK_EQ(map(&pt, addr, ram((addr & ~(size - 1)) + other * 64 * GIB,
					    new, more ? PT_RWX : PT_R)), want);
		CHECK_EQ(pt.counts.leaves[1] + pt.counts.leaves[2] +
			 pt.counts.leaves[3], 1);
		CHECK_EQ(pt.counts.removed, want == PT_MAP_REPLACED);
		CHECK_EQ(pt.counts.upgraded, want == PT_MAP_UPGRADED);
		destroy(&pt);
	}
}

static void a_table_without_leaves_is_gathered_and_flushed(void)
{
	struct gather gather;
	struct pt pt;

	CHECK_EQ(pt_init(&pt, &pt_ept_ad), 0);
	map(&pt, 4096, ram(4096, 1, PT_R));
	zap(&pt, 4096, GIB, 1, 0);
	CHECK_EQ(pt.counts.tables, 4);

	gather_init(&gather);
	CHECK_EQ(map_with(&pt, 0, ram(0, 3, PT_R), &gather), PT_MAP_REPLACED);
	CHECK_EQ(gather.leaves, 0);
	CHECK_EQ(gather.nr_tables, 2);
	CHECK(gather_needs_flush(&gather));
	finish(&gather);
	CHECK_EQ(pt.counts.tables, 2);
	CHECK_EQ(plat_test_live(), 2 + cache.nr);

	map(&pt, GIB, ram(0, 1, PT_R));
	zap(&pt, GIB, GIB + 4096, 1, 0);
	zap(&pt, GIB, 2 * GIB, 0, 2);
	zap(&pt, GIB, 2 * GIB, 0, 0);
	destroy(&pt);
}

static void zap_frees_the_tables_that_it_covers_and_no_other(void)
{
	const u64 at = 6 * GIB + 8 * MIB;
	struct pt pt;

	for (unsigned int i = 0; i < 512; i++) {
		CHECK_EQ(pt_init(&pt, &pt_ept_ad), 0);
		map(&pt, at + i * 4096, ram(0, 1, PT_R));
		map(&pt, at - 4096, ram(0, 1, PT_R));
		map(&pt, at + 2 * MIB, ram(0, 1, PT_R));
		CHECK_EQ(pt.counts.tables, 6);
		zap(&pt, at + 1, at + 2 * MIB, 1, 0);
		map(&pt, at + i * 4096, ram(0, 1, PT_R));
		zap(&pt, at + 4096, at + 2 * MIB, i > 0, 0);
		map(&pt, at + i * 4096, ram(0, 1, PT_R));
		zap(&pt, at, at + 2 * MIB - 4096, i < 511, 0);
		map(&pt, at + i * 4096, ram(0, 1, PT_R));
		zap(&pt, at, at + 2 * MIB - 1, 1, 0);
		map(&pt, at + i * 4096, ram(0, 1, PT_R));
		zap(&pt, at, at + 2 * MIB, 1, 1);
		CHECK_EQ(pt.counts.leaves[1], 2);
		destroy(&pt);
	}
}

/* Each 2 MiB of a slot touched once, then the slot unmapped, over and over. */
static void zap_of_a_slot_leaves_nothing_of_it(void)
{
	struct pt pt;

	CHECK_EQ(pt_init(&pt, &pt_ept_ad), 0);
	for (u64 slot = 510 * GIB; slot < 514 * GIB; slot += GIB) {
		for (u64 addr = slot; addr < slot + GIB; addr += 2 * MIB)
			map(&pt, addr + 4096, ram(0, 1, PT_R));
		map(&pt, slot + 8 * MIB, ram(0, 2, PT_R));
		CHECK_EQ(pt.counts.leaves[1] + pt.counts.leaves[2], 512);
		zap(&pt, slot + 2 * MIB, slot + GIB - 4096, 511, 509);
		zap(&pt, slot, slot + GIB, 1, 3);
		CHECK_EQ(pt.counts.tables, slot < 512 * GIB ? 2 : 3);
	}
	map(&pt, 511 * GIB, ram(0, 3, PT_R));
	zap(&pt, 0, 512 * GIB, 1, 1);
	map(&pt, 256 * TIB - 4096, ram(0, 1, PT_R));
	zap(&pt, 256 * TIB - GIB, ~0ull, 1, 2);
	zap(&pt, 4096, ~0ull, 0, 2);
	CHECK_EQ(pt.counts.tables, 1);
	map(&pt, 0, ram(0, 1, PT_R));
	map(&pt, 256 * TIB - 4096, ram(0, 1, PT_R));
	zap(&pt, 0, ~0ull, 2, 6);
	CHECK_EQ(pt.counts.tables, 1);
	destroy(&pt);
}

/* Faults install in the range again while its old tables wait. */
static void faults_between_zap_and_release_get_new_tables(void)
{
	struct gather first, second;
	unsigned int level;
	struct pt pt;
	u64 old;

	CHECK_EQ(pt_init(&pt, &pt_ept_ad), 0);
	map(&pt, 4096, ram(4096, 1, PT_RWX));
	CHECK_EQ(pt_cache_fill(&cache), 0);
	gather_init(&first);
	CHECK_EQ(pt_zap(&pt, 0, 2 * MIB, &first), 1);
	old = plat_load(&((u64 *)first.tables)[1]);
	CHECK_EQ(old & ~0xfffull, 4096);	/* a walker still sees it */
	gather_init(&second);
	CHECK_EQ(map_with(&pt, 4096, ram(8192, 1, PT_R), &second),
		 PT_MAP_INSTALLED);
	CHECK(!gather_needs_flush(&second));
	check_tables(&pt, &first);
	CHECK_EQ(plat_load(&((u64 *)first.tables)[1]), old);

	CHECK_EQ(pt_zap(&pt, 0, GIB, &second), 1);
	CHECK_EQ(second.nr_tables, 2);
	CHECK_EQ(map_with(&pt, 0, ram(8192, 1, PT_R), &first), PT_MAP_INSTALLED);
	gather_flushed(&first);
	gather_release(&first);
	CHECK_EQ(plat_test_deferred(), 1);
	CHECK_EQ(plat_test_live(),
		 pt.counts.tables + second.nr_tables + cache.nr + 1);
	plat_test_grace_period();
	check_tables(&pt, &second);
	CHECK(gather_needs_flush(&second));
	finish(&second);
	CHECK_EQ(pt_lookup(&pt, 4096, &level), 0);
	CHECK_EQ(pt_lookup(&pt, 0, &level) & ~0xfffull, 8192);
	destroy(&pt);
}

static void zap_takes_large_leaves_whole_and_misses_no_neighbour(void)
{
	struct gather gather;
	unsigned int level;
	struct pt pt;

	CHECK_EQ(pt_init(&pt, &pt_ept_ad), 0);
	map(&pt, 2 * MIB, ram(2 * MIB, 2, PT_R));
	map(&pt, 4 * MIB, ram(4 * MIB, 1, PT_R));
	map(&pt, 4 * MIB + 8192, ram(8192, 1, PT_R));
	gather_init(&gather);
	CHECK_EQ(pt_zap(&pt, 3 * MIB + 1, 4 * MIB + 1, &gather), 2);
	CHECK_EQ(gather.leaves, 2);
	CHECK_EQ(pt_lookup(&pt, 2 * MIB, &level), 0);
	CHECK_EQ(pt_lookup(&pt, 4 * MIB, &level), 0);
	CHECK(pt_lookup(&pt, 4 * MIB + 8192, &level) != 0);
	CHECK_EQ(pt_zap(&pt, 4 * MIB + 8192, 4 * MIB + 8192, &gather), 0);
	CHECK_EQ(pt_zap(&pt, 5 * MIB, 4 * MIB, &gather), 0);
	CHECK_EQ(pt_zap(&pt, 0, ~0ull, &gather), 1);
	finish(&gather);
	destroy(&pt);
}

/* In steps of pages this would take minutes; the runner's timeout judges. */
static void empty_ranges_are_skipped_at_upper_levels(void)
{
	struct gather gather;
	struct pt pt;

	CHECK_EQ(pt_init(&pt, &pt_ept_ad), 0);
	gather_init(&gather);
	for (unsigned int i = 0; i < 10000; i++)
		CHECK_EQ(pt_zap(&pt, 4096, TIB, &gather), 0);
	CHECK(!gather_needs_flush(&gather));
	map(&pt, TIB + 4096, ram(0, 1, PT_R));
	for (unsigned int i = 0; i < 1000; i++)
		CHECK_EQ(pt_age(&pt, 0, 2 * TIB, PT_AGE_TEST), 1);
	CHECK_EQ(pt_zap(&pt, 0, 1ull << 48, &gather), 1);
	finish(&gather);
	destroy(&pt);
}

static void age_is_decided_by_any_leaf(void)
{
	struct pt pt;

	CHECK_EQ(pt_init(&pt, &pt_ept_ad), 0);
	map(&pt, 0, ram(0, 1, PT_R));
	map(&pt, 4096, ram(4096, 1, PT_R));
	CHECK_EQ(pt_age(&pt, 4096, 8192, PT_AGE_CLEAR), 1);
	CHECK_EQ(pt_age(&pt, 0, 8192, PT_AGE_TEST), 1);
	CHECK_EQ(pt_age(&pt, 0, 8192, PT_AGE_CLEAR), 1);
	CHECK_EQ(pt_age(&pt, 0, 8192, PT_AGE_CLEAR), 0);
	CHECK_EQ(pt.counts.leaves[1], 2);
	destroy(&pt);
}

static void without_accessed_bits_every_leaf_is_young(void)
{
	struct pt pt;

	CHECK_EQ(pt_init(&pt, &pt_ept_plain), 0);
	CHECK_EQ(pt_age(&pt, 0, ~0ull, PT_AGE_CLEAR), 0);
	map(&pt, 4096, ram(0, 1, PT_R));
	map(&pt, 2 * MIB, ram(0, 2, PT_R));
	for (unsigned int i = 0; i < 2; i++) {
		enum pt_age_mode mode = i ? PT_AGE_TEST : PT_AGE_CLEAR;

		CHECK_EQ(pt_age(&pt, 0, GIB, mode), 1);
		CHECK_EQ(pt_age(&pt, 4096, 8192, mode), 1);
		CHECK_EQ(pt_age(&pt, 3 * MIB, 3 * MIB + 4096, mode), 1);
		CHECK_EQ(pt_age(&pt, 0, 4096, mode), 0);
		CHECK_EQ(pt_age(&pt, 8192, 2 * MIB, mode), 0);
		CHECK_EQ(pt_age(&pt, 4096, 4096, mode), 0);
	}
	zap(&pt, 4096, 8192, 1, 0);
	CHECK_EQ(pt_age(&pt, 0, 2 * MIB, PT_AGE_TEST), 0);
	destroy(&pt);
}

static void failed_allocations_leave_nothing_behind(void)
{
	struct pt pt;

	plat_test_fail_nth(1);
	CHECK_EQ(pt_init(&pt, &pt_ept_ad), -ENOMEM);
	pt_destroy(&pt);
	for (unsigned int nth = 1; nth <= PT_CACHE_MAX; nth++) {
		plat_test_fail_nth(nth);
		CHECK_EQ(pt_cache_fill(&cache), -ENOMEM);
		CHECK_EQ(cache.nr, nth - 1);
		CHECK_EQ(pt_cache_fill(&cache), 0);
		CHECK_EQ(cache.nr, PT_CACHE_MAX);
		pt_cache_drain(&cache);
		CHECK_EQ(plat_test_live(), 0);
	}
	plat_test_fail_nth(0);
}

static void map_refuses_what_breaks_its_contract(void)
{
	struct pt_leaf bad[] = {
		ram(0, 0, PT_R), ram(0, 4, PT_R), ram(0, 1, 0),
		ram(4096, 2, PT_R), ram(2 * MIB, 3, PT_R), ram(1, 1, PT_R),
	};
	struct pt_leaf good = ram(0, 1, PT_R);
	struct gather gather;
	struct pt pt;

	CHECK_EQ(pt_init(&pt, &pt_ept_ad), 0);
	gather_init(&gather);
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		map_with(&pt, 0, bad[i], &gather);
		CHECK_EQ(plat_test_warnings(), 1);
	}
	map_with(&pt, 1ull << 48, good, &gather);
	CHECK_EQ(plat_test_warnings(), 1);
	pt_cache_drain(&cache);
	pt_map(&pt, 0, &good, &cache, &gather);
	CHECK_EQ(plat_test_warnings(), 1);
	CHECK_EQ(pt.counts.installed, 0);
	CHECK_EQ(pt.counts.tables, 1);
	destroy(&pt);
}

/* --- against the model --- */

static u64 random_state = 0x2545f4914f6cdd1dull;

static u64 rnd(u64 limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 11) % limit;
}

/* Mostly in a few hot 2 MiB, so that operations meet; one on each seam. */
static u64 random_addr(void)
{
	static const u64 hot[] = {
		MODEL_BASE, MODEL_BASE + GIB - 2 * MIB, MODEL_BASE + GIB,
		MODEL_BASE + 2 * GIB - 2 * MIB, MODEL_BASE + 2 * GIB + 6 * MIB,
	};

	if (rnd(4) == 0)
		return MODEL_BASE + rnd(MODEL_END - MODEL_BASE);
	return hot[rnd(5)] + (rnd(2) ? rnd(16 * 4096) : rnd(2 * MIB));
}

static u64 random_length(void)
{
	unsigned int kind = rnd(400);

	if (kind == 0)
		return rnd(2 * GIB);
	return kind < 40 ? rnd(8 * MIB) : rnd(64 * KIB);
}

static struct pt_leaf random_leaf(u64 addr)
{
	static const unsigned int rights[] = { PT_R, PT_R | PT_W, PT_R | PT_X, PT_RWX };
	unsigned int kind = rnd(500);
	unsigned int level = kind == 0 ? 3 : kind < 60 ? 2 : 1;
	u64 memory = rnd(8) ? 0 : 4 * GIB;	/* mostly the same memory */

	return (struct pt_leaf){
		.pa = (addr & ~(pt_level_size(level) - 1)) + memory,
		.level = level, .rights = rights[rnd(4)],
		.memtype = rnd(32) ? PT_MEM_WB : PT_MEM_UC,
	};
}

static void check_page(const struct pt *pt, const struct model *m, u64 addr)
{
	unsigned int level;
	u64 entry;

	if (addr < MODEL_BASE || addr >= MODEL_END)
		return;
	entry = pt_lookup(pt, addr, &level);
	CHECK_EQ(entry, m->entry[model_page(addr)]);
	if (entry)
		CHECK_EQ(level, m->level[model_page(addr)]);
}

static void check_figures(const struct pt *pt, const struct model *m)
{
	for (unsigned int level = 1; level < PT_LEVELS; level++)
		CHECK_EQ(pt->counts.leaves[level], m->leaves[level]);
	CHECK_EQ(pt->counts.tables, m->tables);
	CHECK_EQ(pt->counts.installed, m->installed);
	CHECK_EQ(pt->counts.removed, m->removed);
	CHECK_EQ(pt->counts.upgraded, m->upgraded);
}

/* The guest reads addr: hardware sets the accessed bit. */
static void touch(struct pt *pt, struct model *m, u64 addr)
{
	u64 *table = pt->root;

	for (unsigned int level = PT_LEVELS; ; level--) {
		u64 *entry = &table[(addr >> (12 + 9 * (level - 1))) & 511];

		if (!(*entry & 7))
			return;
		if (level == 1 || *entry & 0x80) {
			*entry |= pt->geom->accessed_bit;
			break;
		}
		table = plat_va(*entry & 0x000ffffffffff000ull);
	}
	model_touch(m, addr);
}

/* A range that covers whole tables, more often than chance would. */
static void widen_to_tables(u64 *start, u64 *end)
{
	u64 size = rnd(64) ? 2 * MIB : GIB;

	*start &= ~(size - 1);
	*end = (*end + size - 1) & ~(size - 1);
}

static void random_op(struct pt *pt, struct model *m, u64 addr, u64 end,
		      struct gather *gather)
{
	struct model_gather want = { 0, 0 };
	unsigned int kind = rnd(16);

	if (kind < 10) {
		struct pt_leaf leaf = random_leaf(addr);

		CHECK_EQ(map_with(pt, addr, leaf, gather),
			 model_map(m, addr, &leaf, &want));
	} else if (kind < 12) {
		if (rnd(8) == 0)
			widen_to_tables(&addr, &end);
		CHECK_EQ(pt_zap(pt, addr, end, gather),
			 model_zap(m, addr, end, &want));
	} else if (kind < 14) {
		enum pt_age_mode mode = rnd(2) ? PT_AGE_TEST : PT_AGE_CLEAR;

		CHECK_EQ(pt_age(pt, addr, end, mode),
			 model_age(m, addr, end, mode));
	} else {
		touch(pt, m, addr);
	}
	CHECK_EQ(gather->leaves, want.leaves);
	CHECK_EQ(gather->nr_tables, want.tables);
	CHECK_EQ(gather_needs_flush(gather), want.leaves || want.tables);
}

static void random_run(const struct pt_geometry *geom, unsigned int ops)
{
	static struct model m;
	struct pt pt;

	model_init(&m, geom->accessed_bit != 0);
	CHECK_EQ(pt_init(&pt, geom), 0);
	for (unsigned int i = 1; i <= ops && !check_failed(); i++) {
		u64 addr = random_addr(), end = addr + random_length();
		struct gather gather;

		if (end > MODEL_END)
			end = MODEL_END;
		gather_init(&gather);
		random_op(&pt, &m, addr, end, &gather);
		check_figures(&pt, &m);
		check_page(&pt, &m, addr);
		check_page(&pt, &m, addr - 4096);
		check_page(&pt, &m, end);
		check_page(&pt, &m, random_addr());
		CHECK_EQ(plat_test_live(),
			 pt.counts.tables + gather.nr_tables + cache.nr);
		if (i % TABLES_EVERY == 0)
			check_tables(&pt, &gather);
		finish(&gather);
		if (i % FULL_EVERY == 0)
			for (u64 a = MODEL_BASE; a < MODEL_END; a += 4096)
				check_page(&pt, &m, a);
	}
	fprintf(stderr, "# %u operations: %llu leaves installed, %llu upgraded\n",
		ops, m.installed, m.upgraded);
	destroy(&pt);
	model_fini(&m);
}

static void random_operations_agree_with_the_model(void)
{
	random_run(&pt_ept_ad, RANDOM_OPS);
}

static void random_operations_without_accessed_bits(void)
{
	random_run(&pt_ept_plain, RANDOM_OPS / 4);
}

int main(void)
{
	CASE(entries_have_the_bits_of_the_manual);
	CASE(every_pair_of_levels);
	CASE(a_table_without_leaves_is_gathered_and_flushed);
	CASE(zap_frees_the_tables_that_it_covers_and_no_other);
	CASE(zap_of_a_slot_leaves_nothing_of_it);
	CASE(faults_between_zap_and_release_get_new_tables);
	CASE(zap_takes_large_leaves_whole_and_misses_no_neighbour);
	CASE(empty_ranges_are_skipped_at_upper_levels);
	CASE(age_is_decided_by_any_leaf);
	CASE(without_accessed_bits_every_leaf_is_young);
	CASE(failed_allocations_leave_nothing_behind);
	CASE(map_refuses_what_breaks_its_contract);
	CASE(random_operations_agree_with_the_model);
	CASE(random_operations_without_accessed_bits);
	return CHECK_EXIT();
}
