// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Range operations: splitting and merging. */
#include "pt_range_util.h"

#define AT	(7 * GIB)
#define HISTORY	(X86_A | X86_D | X86_AGED)

static struct gather gather;

static u64 merge(struct pt *pt, u64 addr, u64 end, unsigned int level)
{
	struct pt_merge op = { .range = range_of(addr, end, &gather),
			       .level = level };

	CHECK_EQ(pt_merge(pt, &op), PT_DONE);
	CHECK_EQ(op.range.addr, end);
	CHECK_EQ(gather_needs_flush(&gather), op.merged != 0);
	CHECK_EQ(gather.nr_tables, op.merged);
	CHECK_EQ(gather_nr_leaves(&gather), 0);
	check_tables(pt, &gather);
	finish(&gather);
	check_tables(pt, &gather);
	return op.merged;
}

static void split(struct pt *pt, u64 addr, u64 end, unsigned int level,
		  u32 tables)
{
	struct pt_range range = range_of(addr, end, NULL);

	CHECK_EQ(run_to_end(pt_split(pt, &range, level)), PT_DONE);
	CHECK_EQ(range.addr, end);
	CHECK_EQ(range.tables, tables);
	check_tables(pt, &gather);
}

static void small_leaves_say_what_the_large_one_said(void)
{
	const u64 large = X86_A | X86_D | X86_AGED | X86_COW | X86_MAY | 0x1d;
	unsigned int level;
	struct pt pt;
	u64 *entry;

	begin(&pt, &pt_x86);
	map_at(&pt, AT, GIB, 64 * GIB, 3, PT_R, PT_OLD);
	entry = raw_entry(&pt, AT, &level);
	*entry = 64 * GIB | large | X86_LARGE;	/* every bit there is */
	split(&pt, AT, AT + PAGE, 2, 1);
	for (unsigned int i = 0; i < 512; i++)
		CHECK_EQ(entry_at(&pt, AT + i * 2 * MIB),
			 (64 * GIB + i * 2 * MIB) | large | X86_LARGE);
	CHECK_EQ(level_at(&pt, AT), 2);
	split(&pt, AT + 2 * MIB, AT + 2 * MIB + PAGE, 1, 1);
	for (unsigned int i = 0; i < 512; i++)
		CHECK_EQ(entry_at(&pt, AT + 2 * MIB + i * PAGE),
			 (64 * GIB + 2 * MIB + i * PAGE) | large);
	CHECK_EQ(level_at(&pt, AT), 2);
	CHECK_EQ(level_at(&pt, AT + 2 * MIB), 1);
	destroy(&pt);

	begin(&pt, &pt_ept_ad);
	map(&pt, AT, ram(8 * MIB, 2, PT_RWX));
	split(&pt, AT, AT + 2 * MIB, 1, 1);
	CHECK_EQ(entry_at(&pt, AT + 5 * PAGE), (8 * MIB + 5 * PAGE) | 0x377);
	destroy(&pt);
}

static void only_what_the_range_touches_is_split(void)
{
	struct pt pt;

	begin(&pt, &pt_x86);
	map_at(&pt, AT, 2 * GIB, 64 * GIB, 3, PT_R | PT_W, PT_YOUNG);
	map_at(&pt, AT + 2 * GIB, 8 * MIB, 96 * GIB, 2, PT_R, PT_YOUNG);
	map_at(&pt, AT + 2 * GIB + 8 * MIB, PAGE, 128 * GIB, 1, PT_R, PT_YOUNG);
	split(&pt, AT + 2 * GIB + 2 * MIB, AT + 2 * GIB + 8 * MIB + PAGE, 2, 0);
	split(&pt, AT + GIB, AT + 2 * GIB + 2 * MIB, 2, 1);
	CHECK_EQ(level_at(&pt, AT), 3);
	CHECK_EQ(level_at(&pt, AT + GIB), 2);
	CHECK_EQ(level_at(&pt, AT + 2 * GIB), 2);
	split(&pt, AT + 2 * GIB - PAGE, AT + 2 * GIB + 2 * MIB + PAGE, 1, 3);
	CHECK_EQ(level_at(&pt, AT + 2 * GIB - PAGE), 1);
	CHECK_EQ(level_at(&pt, AT + 2 * GIB - 4 * MIB), 2);
	CHECK_EQ(level_at(&pt, AT + 2 * GIB + 2 * MIB), 1);
	CHECK_EQ(level_at(&pt, AT + 2 * GIB + 4 * MIB), 2);
	destroy(&pt);
}

static void merged_leaves_are_what_they_were(void)
{
	struct pt pt;

	begin(&pt, &pt_x86);
	map_at(&pt, AT, 2 * MIB, 64 * GIB, 1, PT_R | PT_X | PT_U, PT_OLD);
	CHECK_EQ(merge(&pt, AT, AT + 2 * MIB, 2), 1);
	CHECK_EQ(level_at(&pt, AT), 2);
	/* CPUs may walk the old table until the flush. */
	CHECK_EQ(entry_at(&pt, AT), 64 * GIB | 5 | X86_LARGE | X86_AGED);
	split(&pt, AT, AT + PAGE, 1, 1);
	use(&pt, AT + 511 * PAGE, X86_A);
	use(&pt, AT + 37 * PAGE, X86_D);
	CHECK_EQ(merge(&pt, AT, AT + 2 * MIB, 2), 1);
	CHECK_EQ(entry_at(&pt, AT), 64 * GIB | 5 | X86_LARGE | HISTORY);
	destroy(&pt);

	/* Writable ones may become dirty behind it, unless they are PT_COW. */
	begin(&pt, &pt_x86);
	map_at(&pt, AT, 2 * MIB, 64 * GIB, 1, PT_R | PT_W, PT_OLD);
	map_at(&pt, AT + 2 * MIB, 2 * MIB, 65 * GIB, 1, PT_R | PT_W | PT_COW,
	       PT_OLD);
	CHECK_EQ(merge(&pt, AT, AT + 4 * MIB, 2), 2);
	CHECK_EQ(entry_at(&pt, AT) & HISTORY, X86_D | X86_AGED);
	CHECK_EQ(entry_at(&pt, AT + 2 * MIB) & HISTORY, X86_AGED);
	destroy(&pt);
}

static void up_to_a_gib(void)
{
	struct pt pt;

	begin(&pt, &pt_x86);
	map_at(&pt, AT, GIB, 64 * GIB, 3, PT_R, PT_DIRTY);
	split(&pt, AT, AT + 6 * MIB, 1, 4);
	CHECK_EQ(merge(&pt, AT, AT + GIB, 3), 0);	/* 4 KiB leaves first */
	CHECK_EQ(merge(&pt, AT, AT + GIB, 2), 3);
	CHECK_EQ(merge(&pt, AT, AT + GIB - PAGE, 3), 0);
	/* The last ones are not aged: no difference. */
	CHECK_EQ(merge(&pt, AT, AT + GIB, 3), 1);
	CHECK_EQ(entry_at(&pt, AT), 64 * GIB | X86_RO | X86_LARGE | HISTORY);
	CHECK_EQ(level_at(&pt, AT), 3);
	CHECK_EQ(tables_of(&pt), 2);
	destroy(&pt);
}

/* One leaf differs, or is missing: nothing is merged. */
static void what_differs_is_not_merged(void)
{
	static const u64 other[] = {
		PAGE, 2, 4, X86_NX, X86_COW, X86_MAY, 0x18, 0x100,
	};
	unsigned int level;
	struct pt pt;
	u64 *entry;

	begin(&pt, &pt_x86);
	map_at(&pt, AT, 2 * MIB, 64 * GIB, 1, PT_R | PT_X, PT_YOUNG);
	for (unsigned int i = 0; i < 8 * 3; i++) {
		entry = raw_entry(&pt, AT + i % 3 * 255 * PAGE + PAGE, &level);
		*entry ^= other[i / 3];
		CHECK_EQ(merge(&pt, AT, AT + 2 * MIB, 2), 0);
		*entry ^= other[i / 3];
	}
	zap(&pt, AT + 7 * PAGE, AT + 8 * PAGE, 1, 0);
	CHECK_EQ(merge(&pt, AT, AT + 2 * MIB, 2), 0);
	destroy(&pt);

	/* Contiguous, not aligned. */
	begin(&pt, &pt_x86);
	map_at(&pt, AT, 2 * MIB, 64 * GIB + PAGE, 1, PT_R, PT_YOUNG);
	map_at(&pt, AT + GIB, GIB, 64 * GIB + 2 * MIB, 2, PT_R, PT_YOUNG);
	CHECK_EQ(merge(&pt, AT, AT + 2 * MIB, 2), 0);
	CHECK_EQ(merge(&pt, AT + GIB, AT + 2 * GIB, 3), 0);
	destroy(&pt);
}

static void what_sticks_out_is_not_merged(void)
{
	struct pt_merge op = { .level = 2 };
	struct pt pt;

	begin(&pt, &pt_x86);
	map_at(&pt, AT, 6 * MIB, 64 * GIB, 1, PT_R, PT_YOUNG);
	CHECK_EQ(merge(&pt, AT + PAGE, AT + 4 * MIB - PAGE, 2), 0);
	CHECK_EQ(merge(&pt, AT + PAGE, AT + 4 * MIB, 2), 1);
	CHECK_EQ(level_at(&pt, AT), 1);
	CHECK_EQ(level_at(&pt, AT + 2 * MIB), 2);
	CHECK_EQ(level_at(&pt, AT + 4 * MIB), 1);
	/* Inside of a table of the level of the leaves to make. */
	op.range = range_of(AT, AT + 2 * MIB, &gather);
	op.range.top = pt_find_table(&pt, AT, 2);
	CHECK_EQ(pt_merge(&pt, &op), PT_DONE);
	CHECK_EQ(op.merged, 1);
	finish(&gather);
	/* And of one that is too low for any. */
	op = (struct pt_merge){ .level = 3 };
	op.range = range_of(AT, AT + GIB, &gather);
	op.range.top = pt_find_table(&pt, AT, 2);
	CHECK_EQ(pt_merge(&pt, &op), PT_DONE);
	CHECK_EQ(op.merged, 0);
	destroy(&pt);
}

static void without_tables_nothing_is_split(void)
{
	struct pt_range range = range_of(AT, AT + 2 * MIB, NULL);
	struct pt pt;

	begin(&pt, &pt_x86);
	map_at(&pt, AT, GIB, 64 * GIB, 3, PT_R, PT_YOUNG);
	pt_cache_drain(&cache);
	CHECK_EQ(pt_split(&pt, &range, 1), PT_NEED_TABLES);
	CHECK_EQ(level_at(&pt, AT), 3);
	CHECK_EQ(pt_cache_fill_to(&cache, 1), 0);
	CHECK_EQ(pt_split(&pt, &range, 1), PT_NEED_TABLES);
	CHECK_EQ(level_at(&pt, AT), 2);
	CHECK_EQ(range.addr, AT);
	CHECK_EQ(pt_cache_fill_to(&cache, 1), 0);
	CHECK_EQ(pt_split(&pt, &range, 1), PT_DONE);
	CHECK_EQ(range.tables, 2);
	destroy(&pt);
}

static void nonsense_is_refused(void)
{
	struct pt_range range = range_of(0, PAGE, &gather);
	struct pt_merge op = { .range = range, .level = 1 };
	struct pt pt;

	begin(&pt, &pt_x86);
	CHECK_EQ(pt_split(&pt, &range, 0), PT_INVALID);
	CHECK_EQ(pt_split(&pt, &range, 3), PT_INVALID);
	CHECK_EQ(pt_merge(&pt, &op), PT_INVALID);
	op.level = 4;
	CHECK_EQ(pt_merge(&pt, &op), PT_INVALID);
	op.level = 2;
	op.range.gather = NULL;
	CHECK_EQ(pt_merge(&pt, &op), PT_INVALID);
	range.addr = 1;
	CHECK_EQ(pt_split(&pt, &range, 1), PT_INVALID);
	CHECK_EQ(plat_test_warnings(), 6);
	destroy(&pt);
}

int main(void)
{
	plat_rcu_register();
	gather_init(&gather);
	CASE(small_leaves_say_what_the_large_one_said);
	CASE(only_what_the_range_touches_is_split);
	CASE(merged_leaves_are_what_they_were);
	CASE(up_to_a_gib);
	CASE(what_differs_is_not_merged);
	CASE(what_sticks_out_is_not_merged);
	CASE(without_tables_nothing_is_split);
	CASE(nonsense_is_refused);
	plat_rcu_unregister();
	return CHECK_EXIT();
}
