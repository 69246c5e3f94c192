// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Range operations: removing exactly, trimming, replacing. */
#include <string.h>

#include "pt_range_util.h"

#define AT	(7 * GIB)

static struct gather gather;

static void unmap(struct pt *pt, u64 addr, u64 end, u64 pages, u64 tables)
{
	struct pt_unmap op = { .range = range_of(addr, end, &gather) };

	CHECK_EQ(run_to_end(pt_unmap(pt, &op)), PT_DONE);
	CHECK_EQ(op.range.addr, end);
	CHECK_EQ(op.pages, pages);
	CHECK_EQ(gather.nr_tables, tables);
	check_tables(pt, &gather);
}

static void expect_flush(bool needed)
{
	CHECK_EQ(gather_needs_flush(&gather), needed);
	finish(&gather);
	gather_init(&gather);
}

static void a_page_and_nothing_else_goes(void)
{
	struct pt pt;

	begin(&pt, &pt_x86);
	map_at(&pt, AT, 3 * PAGE, 0x5000, 1, PT_R | PT_W, PT_YOUNG);
	unmap(&pt, AT + PAGE, AT + 2 * PAGE, 1, 0);
	CHECK_EQ(entry_at(&pt, AT), 0x5000 | X86_RW | X86_A);
	CHECK_EQ(entry_at(&pt, AT + PAGE), 0);
	CHECK_EQ(entry_at(&pt, AT + 2 * PAGE), 0x7000 | X86_RW | X86_A);
	expect_flush(true);
	unmap(&pt, AT + PAGE, AT + 2 * PAGE, 0, 0);
	expect_flush(false);
	destroy(&pt);

	begin(&pt, &pt_x86);
	map_at(&pt, AT, 2 * PAGE, 0x5000, 1, PT_R | PT_W, PT_OLD);
	unmap(&pt, AT, AT + PAGE, 1, 0);
	expect_flush(false);
	use(&pt, AT + PAGE, X86_AGED);
	unmap(&pt, AT, AT + 2 * PAGE, 1, 0);
	expect_flush(true);
	destroy(&pt);
}

static void a_large_leaf_that_sticks_out_is_split(void)
{
	struct pt pt;

	begin(&pt, &pt_x86);
	map_at(&pt, AT, GIB, 64 * GIB, 3, PT_R | PT_W, PT_YOUNG);
	map_at(&pt, AT + GIB, 4 * MIB, 96 * GIB, 2, PT_R, PT_YOUNG);
	unmap(&pt, AT + GIB - 5 * PAGE, AT + GIB + 2 * MIB + PAGE, 5 + 512 + 1, 0);
	expect_flush(true);
	CHECK_EQ(entry_at(&pt, AT), 64 * GIB | X86_RW | X86_A | X86_LARGE);
	CHECK_EQ(level_at(&pt, AT), 2);
	CHECK_EQ(entry_at(&pt, AT + GIB - 6 * PAGE),
		 (65 * GIB - 6 * PAGE) | X86_RW | X86_A);
	CHECK_EQ(entry_at(&pt, AT + GIB - 5 * PAGE), 0);
	CHECK_EQ(entry_at(&pt, AT + GIB - PAGE), 0);
	CHECK_EQ(entry_at(&pt, AT + GIB), 0);
	CHECK_EQ(entry_at(&pt, AT + GIB + 2 * MIB), 0);
	CHECK_EQ(entry_at(&pt, AT + GIB + 2 * MIB + PAGE),
		 (96 * GIB + 2 * MIB + PAGE) | X86_RO | X86_A);
	/* All of a leaf that is not small: no split. */
	unmap(&pt, AT, AT + 4 * MIB, 1024, 0);
	CHECK_EQ(tables_of(&pt), 2 + 2 + 2);
	expect_flush(true);
	destroy(&pt);
}

static void covered_tables_go_and_the_owner_s_stay(void)
{
	struct pt_unmap op = { .range = range_of(AT, AT + GIB, &gather) };
	struct pt pt;

	begin(&pt, &pt_x86);
	map_at(&pt, AT, 4 * MIB, 64 * GIB, 1, PT_R, PT_OLD);
	unmap(&pt, AT, AT + 2 * MIB, 512, 1);
	expect_flush(true);		/* CPUs know the way to the table */
	op.range.top = pt_find_table(&pt, AT, 2);
	CHECK_EQ(pt_unmap(&pt, &op), PT_DONE);
	CHECK_EQ(gather.nr_tables, 1);
	expect_flush(true);
	CHECK(pt_find_table(&pt, AT, 2) == op.range.top);
	CHECK_EQ(tables_of(&pt), 3);
	unmap(&pt, AT, AT + GIB, 0, 1);
	expect_flush(true);
	CHECK(pt_find_table(&pt, AT, 2) == NULL);
	destroy(&pt);
}

static struct {
	unsigned int nr;
	u64 addr[600], entry[600];
	unsigned int level[600];
} told;

static void note(void *arg, u64 addr, u64 entry, unsigned int level)
{
	CHECK(arg == &told);
	told.addr[told.nr] = addr;
	told.entry[told.nr] = entry;
	told.level[told.nr++] = level;
}

static void each_leaf_that_goes_is_told(void)
{
	struct pt_unmap op = {
		.range = range_of(AT, AT + 6 * MIB + PAGE, &gather),
		.removed = note, .arg = &told,
	};
	struct pt pt;

	begin(&pt, &pt_x86);
	map_at(&pt, AT + 7 * PAGE, PAGE, 0x5000, 1, PT_R | PT_W, PT_DIRTY);
	map_at(&pt, AT + 2 * MIB, 2 * MIB, 64 * GIB, 2, PT_R, PT_OLD);
	map_at(&pt, AT + 6 * MIB, 2 * PAGE, 0x9000, 1, 0, PT_YOUNG);
	told.nr = 0;
	CHECK_EQ(pt_unmap(&pt, &op), PT_DONE);
	CHECK_EQ(told.nr, 3);
	CHECK_EQ(told.addr[0], AT + 7 * PAGE);
	CHECK_EQ(told.entry[0], 0x5000 | X86_RW | X86_A | X86_D);
	CHECK_EQ(told.level[0], 1);
	CHECK_EQ(told.addr[1], AT + 2 * MIB);
	CHECK_EQ(told.level[1], 2);
	CHECK_EQ(told.addr[2], AT + 6 * MIB);
	CHECK_EQ(told.entry[2] & 0xfff000, 0x9000);
	CHECK_EQ(op.pages, 514);
	/* The table that was covered went as well. */
	CHECK_EQ(gather.nr_tables, 1);
	check_tables(&pt, &gather);
	CHECK_EQ(level_at(&pt, AT), 2);
	expect_flush(true);
	destroy(&pt);
}

static void without_tables_it_says_how_far_it_got(void)
{
	struct pt_unmap op = {
		.range = range_of(AT, AT + 3 * MIB, &gather),
	};
	struct pt pt;

	begin(&pt, &pt_x86);
	map_at(&pt, AT, 4 * MIB, 64 * GIB, 2, PT_R, PT_OLD);
	pt_cache_drain(&cache);
	CHECK_EQ(pt_unmap(&pt, &op), PT_NEED_TABLES);
	CHECK_EQ(op.range.addr, AT + 2 * MIB);
	CHECK_EQ(op.pages, 512);
	CHECK_EQ(entry_at(&pt, AT), 0);
	CHECK_EQ(level_at(&pt, AT + 2 * MIB), 2);
	CHECK_EQ(pt_cache_fill(&cache), 0);
	CHECK_EQ(pt_unmap(&pt, &op), PT_DONE);
	CHECK_EQ(op.pages, 768);
	CHECK_EQ(op.range.tables, 1);
	expect_flush(false);
	destroy(&pt);
}

static void trim(struct pt *pt, u64 addr, u64 end, struct pt_table *top,
		 u64 tables)
{
	struct pt_range range = range_of(addr, end, &gather);

	range.top = top;
	CHECK_EQ(pt_trim(pt, &range), PT_DONE);
	CHECK_EQ(gather.nr_tables, tables);
	CHECK_EQ(range.addr, end);
	check_tables(pt, &gather);
	expect_flush(tables != 0);
}

static void only_empty_tables_are_trimmed(void)
{
	struct pt pt;

	begin(&pt, &pt_x86);
	map_at(&pt, AT, 2 * PAGE, 0x5000, 1, PT_R, PT_OLD);
	map_at(&pt, AT + GIB, PAGE, 0x7000, 1, PT_R, PT_OLD);
	trim(&pt, 0, 1ull << 48, NULL, 0);
	unmap(&pt, AT, AT + PAGE, 1, 0);
	trim(&pt, 0, 1ull << 48, NULL, 0);
	unmap(&pt, AT + PAGE, AT + 2 * PAGE, 1, 0);
	trim(&pt, AT, AT + 2 * MIB - PAGE, NULL, 0);
	trim(&pt, AT, AT + GIB, pt_find_table(&pt, AT, 2), 1);
	CHECK_EQ(tables_of(&pt), 2 + 1 + 2);
	/* Tables are linked into an empty one as ever after a try. */
	map_at(&pt, AT, PAGE, 0x5000, 1, PT_R, PT_OLD);
	trim(&pt, 0, 1ull << 48, NULL, 0);
	unmap(&pt, AT, AT + PAGE, 1, 0);
	unmap(&pt, AT + GIB, AT + GIB + PAGE, 1, 0);
	trim(&pt, 0, 1ull << 48, NULL, 2 + 2 + 1);
	CHECK_EQ(tables_of(&pt), 1);
	destroy(&pt);
}

static enum pt_result replace(struct pt *pt, u64 addr, u64 old,
			      struct pt_leaf leaf)
{
	struct pt_replace op = {
		.addr = addr, .old = old, .leaf = leaf, .gather = &gather,
	};

	return pt_replace(pt, &op);
}

static struct pt_leaf leaf_of(u64 pa, unsigned int level, unsigned int rights)
{
	return (struct pt_leaf){ pa, level, rights, PT_MEM_WB, PT_OLD };
}

static void a_leaf_is_replaced_if_it_is_the_one(void)
{
	const u64 old = 0x5000 | X86_RO | X86_MAY | X86_COW;
	const unsigned int cow = PT_R | PT_W | PT_COW;
	struct pt pt;

	begin(&pt, &pt_x86);
	map_at(&pt, AT, PAGE, 0x5000, 1, cow, PT_OLD);
	map_at(&pt, AT + 2 * MIB, 2 * MIB, 64 * GIB, 2, PT_R, PT_OLD);
	CHECK_EQ(entry_at(&pt, AT), old);
	CHECK_EQ(replace(&pt, AT, old ^ PAGE, leaf_of(0x9000, 1, cow)), PT_STALE);
	CHECK_EQ(replace(&pt, AT, old ^ X86_COW, leaf_of(0x9000, 1, cow)), PT_STALE);
	CHECK_EQ(replace(&pt, AT + PAGE, 0, leaf_of(0x9000, 1, cow)), PT_STALE);
	CHECK_EQ(replace(&pt, AT, old, leaf_of(2 * MIB, 2, cow)), PT_STALE);
	CHECK_EQ(replace(&pt, AT + 2 * MIB, entry_at(&pt, AT + 2 * MIB),
			 leaf_of(0x9000, 1, cow)), PT_STALE);
	CHECK_EQ(replace(&pt, AT + GIB, 0, leaf_of(0x9000, 1, cow)), PT_STALE);
	CHECK_EQ(entry_at(&pt, AT), old);
	/* The copy; a CPU has read meanwhile. */
	use(&pt, AT, X86_A);
	CHECK_EQ(replace(&pt, AT, old, leaf_of(0x9000, 1, cow)), PT_DONE);
	CHECK_EQ(entry_at(&pt, AT), 0x9000 | X86_RO | X86_MAY | X86_COW);
	expect_flush(true);
	/* And it becomes writable: same memory. */
	use(&pt, AT, X86_A | X86_D);
	CHECK_EQ(replace(&pt, AT, entry_at(&pt, AT),
			 leaf_of(0x9000, 1, PT_R | PT_W)), PT_DONE);
	CHECK_EQ(entry_at(&pt, AT), 0x9000 | X86_RW | X86_A | X86_D);
	expect_flush(false);
	/* Fewer rights of the same memory. */
	CHECK_EQ(replace(&pt, AT, entry_at(&pt, AT), leaf_of(0x9000, 1, PT_R)),
		 PT_DONE);
	CHECK_EQ(entry_at(&pt, AT), 0x9000 | X86_RO | X86_A | X86_D);
	expect_flush(true);
	/* A large one, never used. */
	CHECK_EQ(replace(&pt, AT + 3 * MIB, entry_at(&pt, AT + 2 * MIB),
			 leaf_of(66 * GIB, 2, PT_R | PT_W)), PT_DONE);
	CHECK_EQ(entry_at(&pt, AT + 2 * MIB), 66 * GIB | X86_RW | X86_LARGE);
	expect_flush(false);
	check_tables(&pt, &gather);
	destroy(&pt);
}

static void nonsense_is_refused(void)
{
	struct pt_unmap op = { .range = range_of(1, PAGE, &gather) };
	struct pt_range range = range_of(0, PAGE, NULL);
	struct pt pt;

	begin(&pt, &pt_x86);
	CHECK_EQ(pt_unmap(&pt, &op), PT_INVALID);
	op.range = range;
	CHECK_EQ(pt_unmap(&pt, &op), PT_INVALID);
	CHECK_EQ(pt_trim(&pt, &range), PT_INVALID);
	CHECK_EQ(replace(&pt, 1ull << 48, 0, leaf_of(0, 1, PT_R)), PT_INVALID);
	CHECK_EQ(replace(&pt, 0, 0, leaf_of(PAGE, 2, PT_R)), PT_INVALID);
	CHECK_EQ(replace(&pt, 0, 0, leaf_of(0, 4, PT_R)), PT_INVALID);
	CHECK_EQ(plat_test_warnings(), 6);
	destroy(&pt);
}

int main(void)
{
	plat_rcu_register();
	gather_init(&gather);
	CASE(a_page_and_nothing_else_goes);
	CASE(a_large_leaf_that_sticks_out_is_split);
	CASE(covered_tables_go_and_the_owner_s_stay);
	CASE(each_leaf_that_goes_is_told);
	CASE(without_tables_it_says_how_far_it_got);
	CASE(only_empty_tables_are_trimmed);
	CASE(a_leaf_is_replaced_if_it_is_the_one);
	CASE(nonsense_is_refused);
	plat_rcu_unregister();
	return CHECK_EXIT();
}
