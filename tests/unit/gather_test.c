// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The gather: nothing is freed before the flush and the grace period. */
#include "check.h"
#include "gather.h"

static struct pt_table *table_with(u32 level, u32 nr_leaves)
{
	struct pt_table *table = pt_table_alloc();

	CHECK(table != NULL);
	table->level = level;
	table->nr_leaves = nr_leaves;
	return table;
}

static void nothing_gathered_needs_no_flush(void)
{
	struct gather gather;

	gather_init(&gather);
	CHECK(!gather_needs_flush(&gather));
	gather_release(&gather);
	CHECK_EQ(plat_test_warnings(), 0);
}

static void only_a_leaf_that_may_be_cached_needs_a_flush(void)
{
	struct gather gather;

	gather_init(&gather);
	gather_leaf(&gather, 1, GATHER_LEAF_NEVER_CACHED);
	CHECK(!gather_needs_flush(&gather));
	gather_leaf(&gather, 2, GATHER_LEAF_CACHED);
	CHECK(gather_needs_flush(&gather));
	gather_leaf(&gather, 1, GATHER_LEAF_NEVER_CACHED);
	CHECK(gather_needs_flush(&gather));
	CHECK_EQ(gather.leaves[1], 2);
	CHECK_EQ(gather.leaves[2], 1);
	CHECK_EQ(gather_nr_leaves(&gather), 3);
}

static void a_table_needs_a_flush_even_without_leaves(void)
{
	struct gather gather;

	gather_init(&gather);
	gather_table(&gather, table_with(1, 0));
	CHECK(gather_needs_flush(&gather));
	CHECK_EQ(gather_nr_leaves(&gather), 0);
	CHECK_EQ(gather.nr_tables, 1);
	gather_table(&gather, table_with(2, 7));
	CHECK_EQ(gather.leaves[2], 7);
	gather_flushed(&gather);
	CHECK(!gather_needs_flush(&gather));
	gather_release(&gather);
	plat_test_grace_period();
	CHECK_EQ(plat_test_live(), 0);
	CHECK_EQ(plat_test_live_objects(), 0);
}

static void release_without_flush_warns_and_keeps_the_tables(void)
{
	struct gather gather;

	gather_init(&gather);
	gather_table(&gather, table_with(1, 0));
	gather_release(&gather);
	CHECK_EQ(plat_test_warnings(), 1);
	plat_test_grace_period();
	CHECK_EQ(plat_test_live(), 1);

	/* The caller may still do it right. */
	gather_flushed(&gather);
	gather_release(&gather);
	plat_test_grace_period();
	CHECK_EQ(plat_test_live(), 0);
	CHECK_EQ(plat_test_warnings(), 0);
}

static void tables_stay_readable_until_the_grace_period(void)
{
	struct gather gather;
	u64 *entry[5];

	gather_init(&gather);
	for (unsigned int i = 0; i < 5; i++) {
		struct pt_table *table = table_with(1, 0);

		entry[i] = table->entry;
		entry[i][0] = i + 1;
		entry[i][511] = ~0ull - i;
		gather_table(&gather, table);
	}
	CHECK_EQ(gather.nr_tables, 5);
	gather_flushed(&gather);
	plat_rcu_lock();
	gather_release(&gather);
	CHECK_EQ(gather.nr_tables, 0);
	/* Long enough for a callback that does not wait for this reader. */
	for (unsigned int i = 0; i < 2000 && plat_test_live() == 5; i++)
		plat_cpu_relax();
	CHECK_EQ(plat_test_live(), 5);
	if (plat_test_live() == 5) {
		for (unsigned int i = 0; i < 5; i++) {
			CHECK_EQ(entry[i][0], i + 1);
			CHECK_EQ(entry[i][511], ~0ull - i);
		}
	}
	plat_rcu_unlock();
	plat_test_grace_period();
	CHECK_EQ(plat_test_live(), 0);
}

static void what_comes_after_a_flush_needs_the_next_one(void)
{
	struct gather gather;

	gather_init(&gather);
	gather_leaf(&gather, 1, GATHER_LEAF_CACHED);
	gather_flushed(&gather);
	gather_leaf(&gather, 1, GATHER_LEAF_CACHED);
	CHECK(gather_needs_flush(&gather));
	gather_flushed(&gather);
	gather_table(&gather, table_with(1, 0));
	CHECK(gather_needs_flush(&gather));
	gather_flushed(&gather);
	gather_release(&gather);
	plat_test_grace_period();
	CHECK(!gather_needs_flush(&gather));
	CHECK_EQ(gather_nr_leaves(&gather), 0);
	CHECK_EQ(plat_test_live(), 0);
	CHECK_EQ(plat_test_warnings(), 0);
}

/* Each allocation of a table fails once: nothing stays behind. */
static void a_table_that_is_not_complete_leaves_nothing(void)
{
	struct pt_table *table;
	u64 nth = 0;

	do {
		plat_test_fail_nth(++nth);
		table = pt_table_alloc();
		CHECK_EQ(table != NULL, !plat_test_failed());
		CHECK_EQ(plat_test_live(), table != NULL);
		CHECK_EQ(plat_test_live_objects(), table != NULL);
	} while (!table && nth < 10);
	CHECK_EQ(nth, 3);
	plat_test_fail_nth(0);
	CHECK(pt_table_of(pt_table_pa(table)) == table);
	for (unsigned int i = 0; i < PT_ENTRIES; i++)
		CHECK_EQ(table->entry[i], 0);
	pt_table_free(table);
	plat_test_grace_period();
	CHECK_EQ(plat_test_live(), 0);
}

/* The tests above trust the allocator's counts: do they count? */
static void the_allocator_fails_and_counts_as_told(void)
{
	void *page;

	plat_test_fail_nth(2);
	page = plat_page_alloc(0);
	CHECK(page != NULL);
	CHECK(!plat_test_failed());
	CHECK(plat_object_alloc(100) == NULL);
	CHECK(plat_test_failed());
	CHECK_EQ(plat_test_live(), 1);
	CHECK_EQ(plat_test_live_objects(), 0);
	plat_page_free(page);
	CHECK_EQ(plat_test_live(), 0);
	plat_test_fail_nth(0);
}

int main(void)
{
	plat_rcu_register();
	CASE(the_allocator_fails_and_counts_as_told);
	CASE(a_table_that_is_not_complete_leaves_nothing);
	CASE(nothing_gathered_needs_no_flush);
	CASE(only_a_leaf_that_may_be_cached_needs_a_flush);
	CASE(a_table_needs_a_flush_even_without_leaves);
	CASE(release_without_flush_warns_and_keeps_the_tables);
	CASE(tables_stay_readable_until_the_grace_period);
	CASE(what_comes_after_a_flush_needs_the_next_one);
	plat_rcu_unregister();
	return CHECK_EXIT();
}
