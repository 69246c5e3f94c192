// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The page-table engine: removing leaves and tables, accessed bits. */
#include "pt_util.h"

/* The entry itself, as hardware would reach it. */
static u64 *entry_at(const struct pt *pt, u64 addr, unsigned int level)
{
	u64 *table = pt->root->entry;

	for (unsigned int l = PT_LEVELS; l > level; l--)
		table = plat_va(table[(addr >> (12 + 9 * (l - 1))) & 511] &
				pt->geom->addr_mask);
	return &table[(addr >> (12 + 9 * (level - 1))) & 511];
}

static void a_table_without_leaves_is_gathered_and_flushed(void)
{
	struct gather gather;
	struct pt pt;

	begin(&pt, &pt_ept_ad);
	map(&pt, 4096, ram(4096, 1, PT_R));
	zap(&pt, 4096, GIB, 1, 0);
	CHECK_EQ(tables_of(&pt), 4);
	CHECK_EQ(map(&pt, 0, ram(0, 3, PT_R)), PT_MAP_CONFLICT);

	gather_init(&gather);
	CHECK_EQ(pt_zap(&pt, 0, GIB, &gather), PT_ZAP_DONE);
	CHECK_EQ(gather_nr_leaves(&gather), 0);
	CHECK_EQ(gather.nr_tables, 2);
	CHECK(gather_needs_flush(&gather));
	finish(&gather);
	CHECK_EQ(tables_of(&pt), 2);
	CHECK_EQ(map(&pt, 0, ram(0, 3, PT_R)), PT_MAP_INSTALLED);

	map(&pt, GIB, ram(0, 1, PT_R));
	zap(&pt, GIB, GIB + 4096, 1, 0);
	zap(&pt, GIB, 2 * GIB, 0, 2);
	zap(&pt, GIB, 2 * GIB, 0, 0);
	destroy(&pt);
}

static void zap_frees_the_tables_that_it_covers_and_no_other(void)
{
	const u64 at = 6 * GIB + 8 * MIB;
	struct gather none;
	struct pt pt;

	gather_init(&none);
	for (unsigned int i = 0; i < 512; i += i < 4 || i > 500 ? 1 : 31) {
		begin(&pt, &pt_ept_ad);
		map(&pt, at + i * 4096, ram(0, 1, PT_R));
		map(&pt, at - 4096, ram(0, 1, PT_R));
		map(&pt, at + 2 * MIB, ram(0, 1, PT_R));
		CHECK_EQ(tables_of(&pt), 6);
		zap(&pt, at + 1, at + 2 * MIB, 1, 0);
		map(&pt, at + i * 4096, ram(0, 1, PT_R));
		zap(&pt, at + 4096, at + 2 * MIB, i > 0, 0);
		map(&pt, at + i * 4096, ram(0, 1, PT_R));
		zap(&pt, at, at + 2 * MIB - 4096, i < 511, 0);
		map(&pt, at + i * 4096, ram(0, 1, PT_R));
		zap(&pt, at, at + 2 * MIB - 1, 1, 0);
		map(&pt, at + i * 4096, ram(0, 1, PT_R));
		zap(&pt, at, at + 2 * MIB, 1, 1);
		CHECK_EQ(tables_of(&pt), 5);
		check_tables(&pt, &none);
		destroy(&pt);
	}
}

/* Each 2 MiB of a slot touched once, then the slot unmapped, over and over. */
static void zap_of_a_slot_leaves_nothing_of_it(void)
{
	struct pt pt;

	begin(&pt, &pt_ept_ad);
	for (u64 slot = 510 * GIB; slot < 514 * GIB; slot += GIB) {
		for (u64 addr = slot; addr < slot + GIB; addr += 2 * MIB)
			map(&pt, addr + 4096, ram(0, 1, PT_R));
		zap(&pt, slot + 8 * MIB, slot + 10 * MIB, 1, 1);
		map(&pt, slot + 8 * MIB, ram(0, 2, PT_R));
		zap(&pt, slot + 2 * MIB, slot + GIB - 4096, 511, 509);
		zap(&pt, slot, slot + GIB, 1, 3);
		CHECK_EQ(tables_of(&pt), slot < 512 * GIB ? 2 : 3);
	}
	map(&pt, 511 * GIB, ram(0, 3, PT_R));
	zap(&pt, 0, 512 * GIB, 1, 1);
	map(&pt, 256 * TIB - 4096, ram(0, 1, PT_R));
	zap(&pt, 256 * TIB - GIB, ~0ull, 1, 2);
	zap(&pt, 4096, ~0ull, 0, 2);
	CHECK_EQ(tables_of(&pt), 1);
	map(&pt, 0, ram(0, 1, PT_R));
	map(&pt, 256 * TIB - 4096, ram(0, 1, PT_R));
	zap(&pt, 0, ~0ull, 2, 6);
	CHECK_EQ(tables_of(&pt), 1);
	destroy(&pt);
}

/* Whoever is still inside of a table that is gone finds no way to use it. */
static void a_dismantled_table_lets_nobody_in(void)
{
	u64 *pml4e, *pdpte, *pde, *pte, leaf;
	struct gather gather;
	unsigned int level;
	struct pt pt;

	begin(&pt, &pt_ept_ad);
	map(&pt, 4096, ram(4096, 1, PT_RWX));
	pml4e = entry_at(&pt, 4096, 4);
	pdpte = entry_at(&pt, 4096, 3);
	pde = entry_at(&pt, 4096, 2);
	pte = entry_at(&pt, 4096, 1);
	leaf = *pte;
	gather_init(&gather);
	CHECK_EQ(pt_zap(&pt, 0, ~0ull, &gather), PT_ZAP_DONE);
	CHECK_EQ(gather.nr_tables, 3);
	CHECK_EQ(gather_nr_leaves(&gather), 1);
	CHECK_EQ(*pml4e, 0);
	/* Above, where tables are linked without the lock: all of it. */
	CHECK_EQ(*pdpte, FROZEN);
	CHECK_EQ(pdpte[511], FROZEN);
	CHECK_EQ(*pde, FROZEN);
	CHECK_EQ(pde[511], FROZEN);
	/* Below, leaves stay; the lock's holder sees dead. */
	CHECK_EQ(*pte, leaf);
	for (struct pt_table *t = gather.tables; t; t = t->next)
		CHECK(t->dead);

	CHECK_EQ(map(&pt, 4096, ram(8192, 1, PT_R)), PT_MAP_INSTALLED);
	check_tables(&pt, &gather);
	CHECK_EQ(*pte, leaf);
	finish(&gather);
	CHECK_EQ(pt_lookup(&pt, 4096, &level) & ~0xfffull, 8192);
	destroy(&pt);
}

/* Faults install in the range again while its old tables wait. */
static void faults_between_zap_and_release_get_new_tables(void)
{
	struct gather first, second;
	unsigned int level;
	struct pt pt;

	begin(&pt, &pt_ept_ad);
	map(&pt, 4096, ram(4096, 1, PT_RWX));
	gather_init(&first);
	CHECK_EQ(pt_zap(&pt, 0, 2 * MIB, &first), PT_ZAP_DONE);
	CHECK_EQ(map(&pt, 4096, ram(8192, 1, PT_R)), PT_MAP_INSTALLED);
	check_tables(&pt, &first);

	gather_init(&second);
	CHECK_EQ(pt_zap(&pt, 0, GIB, &second), PT_ZAP_DONE);
	CHECK_EQ(second.nr_tables, 2);
	CHECK_EQ(map(&pt, 0, ram(8192, 1, PT_R)), PT_MAP_INSTALLED);
	finish(&first);
	check_tables(&pt, &second);
	CHECK(gather_needs_flush(&second));
	finish(&second);
	CHECK_EQ(pt_lookup(&pt, 4096, &level), 0);
	CHECK_EQ(pt_lookup(&pt, 0, &level) & ~0xfffull, 8192);
	destroy(&pt);
}

static void zap_takes_2m_leaves_whole_and_misses_no_neighbour(void)
{
	struct gather gather;
	unsigned int level;
	struct pt pt;

	begin(&pt, &pt_ept_ad);
	map(&pt, 2 * MIB, ram(2 * MIB, 2, PT_R));
	map(&pt, 4 * MIB, ram(4 * MIB, 1, PT_R));
	map(&pt, 4 * MIB + 8192, ram(8192, 1, PT_R));
	gather_init(&gather);
	CHECK_EQ(pt_zap(&pt, 3 * MIB + 1, 4 * MIB + 1, &gather), PT_ZAP_DONE);
	CHECK_EQ(gather.leaves[2], 1);
	CHECK_EQ(gather.leaves[1], 1);
	CHECK_EQ(pt_lookup(&pt, 2 * MIB, &level), 0);
	CHECK_EQ(pt_lookup(&pt, 4 * MIB, &level), 0);
	CHECK(pt_lookup(&pt, 4 * MIB + 8192, &level) != 0);
	finish(&gather);
	zap(&pt, 4 * MIB + 8192, 4 * MIB + 8192, 0, 0);
	zap(&pt, 5 * MIB, 4 * MIB, 0, 0);
	zap(&pt, 256 * TIB, ~0ull, 0, 0);
	zap(&pt, 0, ~0ull, 1, 3);
	destroy(&pt);
}

/* A 1 GiB leaf is removed by nobody who did not mark all that it covers. */
static void a_1g_leaf_that_sticks_out_asks_for_more(void)
{
	static const u64 range[][2] = {
		{ 0, 4096 }, { GIB - 1, GIB }, { 1, GIB }, { 0, GIB - 1 },
		{ 512 * MIB, 3 * GIB },
	};
	struct gather gather;
	unsigned int level;
	struct pt pt;

	begin(&pt, &pt_ept_ad);
	for (unsigned int i = 0; i < sizeof(range) / sizeof(range[0]); i++) {
		map(&pt, 0, ram(0, 3, PT_R));
		gather_init(&gather);
		CHECK_EQ(pt_zap(&pt, range[i][0], range[i][1], &gather),
			 PT_ZAP_WIDEN);
		CHECK(!gather_needs_flush(&gather));
		CHECK(pt_lookup(&pt, 0, &level) != 0);
	}
	/* What comes before it is done. */
	map(&pt, 3 * GIB, ram(0, 3, PT_R));
	map(&pt, 3 * GIB - 4096, ram(0, 1, PT_R));
	CHECK_EQ(pt_zap(&pt, 2 * GIB, 3 * GIB + 1, &gather), PT_ZAP_WIDEN);
	CHECK_EQ(gather.leaves[1], 1);
	CHECK_EQ(gather.nr_tables, 2);
	finish(&gather);
	zap(&pt, 0, 3 * GIB, 1, 0);
	zap(&pt, 3 * GIB, 4 * GIB, 1, 0);
	destroy(&pt);
}

/* In steps of pages this would take minutes; the runner's timeout judges. */
static void empty_ranges_are_skipped_at_upper_levels(void)
{
	struct gather gather;
	struct pt pt;

	begin(&pt, &pt_ept_ad);
	gather_init(&gather);
	for (unsigned int i = 0; i < 10000; i++)
		CHECK_EQ(pt_zap(&pt, 4096, TIB, &gather), PT_ZAP_DONE);
	CHECK(!gather_needs_flush(&gather));
	map(&pt, TIB + 4096, ram(0, 1, PT_R));
	for (unsigned int i = 0; i < 1000; i++)
		CHECK_EQ(pt_age(&pt, 0, 2 * TIB, PT_AGE_TEST), 1);
	zap(&pt, 0, 1ull << 48, 1, 3);
	destroy(&pt);
}

/* --- accessed bits --- */

static void age_is_decided_by_any_leaf(void)
{
	struct pt pt;

	begin(&pt, &pt_ept_ad);
	map(&pt, 0, ram(0, 1, PT_R));
	map(&pt, 4096, ram(4096, 1, PT_R));
	CHECK_EQ(pt_age(&pt, 4096, 8192, PT_AGE_CLEAR), 1);
	CHECK_EQ(pt_age(&pt, 0, 8192, PT_AGE_TEST), 1);
	CHECK_EQ(pt_age(&pt, 0, 8192, PT_AGE_CLEAR), 1);
	CHECK_EQ(pt_age(&pt, 0, 8192, PT_AGE_CLEAR), 0);
	map(&pt, 2 * MIB, old_ram(0, 2, PT_R));
	CHECK_EQ(pt_age(&pt, 0, GIB, PT_AGE_TEST), 0);
	*entry_at(&pt, 2 * MIB, 2) |= 0x100;
	CHECK_EQ(pt_age(&pt, 3 * MIB, 3 * MIB + 1, PT_AGE_TEST), 1);
	CHECK_EQ(*entry_at(&pt, 2 * MIB, 2), 0x1f1);
	CHECK_EQ(pt_age(&pt, 0, GIB, PT_AGE_CLEAR), 1);
	CHECK_EQ(*entry_at(&pt, 2 * MIB, 2), 0xf1 | 1ull << 52);
	zap(&pt, 0, 4 * MIB, 3, 1);
	destroy(&pt);
}

static void without_accessed_bits_every_leaf_is_young(void)
{
	struct pt pt;

	begin(&pt, &pt_ept_plain);
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

static bool zap_needs_flush(struct pt *pt, u64 start, u64 end)
{
	struct gather gather;
	bool needed;

	gather_init(&gather);
	CHECK_EQ(pt_zap(pt, start, end, &gather), PT_ZAP_DONE);
	CHECK_EQ(gather.nr_tables, 0);
	needed = gather_needs_flush(&gather);
	if (needed)
		gather_flushed(&gather);
	gather_release(&gather);
	return needed;
}

static void only_a_leaf_that_was_never_used_needs_no_flush(void)
{
	const struct pt_geometry *geom[] = { &pt_ept_ad, &pt_x86 };
	struct pt pt;

	for (unsigned int i = 0; i < 2; i++) {
		u64 accessed = geom[i]->accessed_bit;

		begin(&pt, geom[i]);
		map(&pt, 0, old_ram(0, 1, PT_R));
		CHECK(!zap_needs_flush(&pt, 0, 4096));
		map(&pt, 0, ram(0, 1, PT_R));
		CHECK(zap_needs_flush(&pt, 0, 4096));

		map(&pt, 0, old_ram(0, 1, PT_R));
		*entry_at(&pt, 0, 1) |= accessed;	/* the guest reads */
		CHECK(zap_needs_flush(&pt, 0, 4096));

		/* Used, then cleared without a flush: still cached. */
		map(&pt, 0, ram(0, 1, PT_R));
		CHECK_EQ(pt_age(&pt, 0, 4096, PT_AGE_CLEAR), 1);
		CHECK_EQ(*entry_at(&pt, 0, 1) & accessed, 0);
		CHECK(zap_needs_flush(&pt, 0, 4096));

		/* A test does not age what was never used. */
		map(&pt, 0, old_ram(0, 1, PT_R));
		CHECK_EQ(pt_age(&pt, 0, 4096, PT_AGE_CLEAR), 0);
		CHECK(!zap_needs_flush(&pt, 0, 4096));

		/* Any of them decides, first, last or large. */
		map(&pt, 0, ram(0, 1, PT_R));
		map(&pt, 4096, old_ram(0, 1, PT_R));
		CHECK(zap_needs_flush(&pt, 0, 8192));
		map(&pt, 0, old_ram(0, 1, PT_R));
		map(&pt, 4096, ram(0, 1, PT_R));
		CHECK(zap_needs_flush(&pt, 0, 8192));
		map(&pt, 2 * MIB, old_ram(0, 2, PT_R));
		CHECK(!zap_needs_flush(&pt, 2 * MIB, 4 * MIB));
		map(&pt, 2 * MIB, ram(0, 2, PT_R));
		CHECK(zap_needs_flush(&pt, 3 * MIB, 4 * MIB));
		destroy(&pt);
	}
	begin(&pt, &pt_ept_plain);
	map(&pt, 0, old_ram(0, 1, PT_R));
	CHECK(zap_needs_flush(&pt, 0, 4096));
	destroy(&pt);
}

int main(void)
{
	plat_rcu_register();
	CASE(a_table_without_leaves_is_gathered_and_flushed);
	CASE(zap_frees_the_tables_that_it_covers_and_no_other);
	CASE(zap_of_a_slot_leaves_nothing_of_it);
	CASE(a_dismantled_table_lets_nobody_in);
	CASE(faults_between_zap_and_release_get_new_tables);
	CASE(zap_takes_2m_leaves_whole_and_misses_no_neighbour);
	CASE(a_1g_leaf_that_sticks_out_asks_for_more);
	CASE(empty_ranges_are_skipped_at_upper_levels);
	CASE(age_is_decided_by_any_leaf);
	CASE(without_accessed_bits_every_leaf_is_young);
	CASE(only_a_leaf_that_was_never_used_needs_no_flush);
	plat_rcu_unregister();
	return CHECK_EXIT();
}
