// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The gather: nothing is freed before the flush and the grace period. */
#include "check.h"
#include "gather.h"

static void nothing_gathered_needs_no_flush(void)
{
	struct gather gather;

	gather_init(&gather);
	CHECK(!gather_needs_flush(&gather));
	gather_release(&gather);
	CHECK_EQ(plat_test_warnings(), 0);
}

static void a_leaf_or_an_empty_table_needs_a_flush(void)
{
	struct gather leaf, table;

	gather_init(&leaf);
	gather_leaf(&leaf);
	CHECK(gather_needs_flush(&leaf));

	gather_init(&table);
	gather_table(&table, plat_table_alloc());
	CHECK(gather_needs_flush(&table));
	CHECK_EQ(table.nr_tables, 1);
	gather_flushed(&table);
	CHECK(!gather_needs_flush(&table));
	gather_release(&table);
	plat_test_grace_period();
	CHECK_EQ(plat_test_live(), 0);
}

static void release_without_flush_warns_and_keeps_the_tables(void)
{
	struct gather gather;

	gather_init(&gather);
	gather_table(&gather, plat_table_alloc());
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
	u64 *table[5];

	gather_init(&gather);
	for (unsigned int i = 0; i < 5; i++) {
		table[i] = plat_table_alloc();
		table[i][0] = i + 1;
		table[i][511] = ~0ull - i;
		gather_table(&gather, table[i]);
	}
	CHECK_EQ(gather.nr_tables, 5);
	gather_flushed(&gather);
	gather_release(&gather);
	CHECK_EQ(plat_test_live(), 5);
	CHECK_EQ(plat_test_deferred(), 5);
	if (plat_test_live() == 5) {
		for (unsigned int i = 0; i < 5; i++) {
			CHECK_EQ(table[i][0], i + 1);
			CHECK_EQ(table[i][511], ~0ull - i);
		}
	}
	plat_test_grace_period();
	CHECK_EQ(plat_test_live(), 0);
}

static void what_comes_after_a_flush_needs_the_next_one(void)
{
	struct gather gather;

	gather_init(&gather);
	gather_leaf(&gather);
	gather_flushed(&gather);
	gather_leaf(&gather);
	CHECK(gather_needs_flush(&gather));
	gather_flushed(&gather);
	gather_release(&gather);
	CHECK(!gather_needs_flush(&gather));
	CHECK_EQ(gather.leaves, 0);
	CHECK_EQ(plat_test_warnings(), 0);
}

/* The tests above trust the allocator's counts: do they count? */
static void the_allocator_fails_and_counts_as_told(void)
{
	void *table;

	plat_test_fail_nth(2);
	table = plat_table_alloc();
	CHECK(table != NULL);
	CHECK(plat_table_alloc() == NULL);
	CHECK_EQ(plat_test_live(), 1);
	plat_table_free_rcu(table);
	CHECK_EQ(plat_test_deferred(), 1);
	CHECK_EQ(plat_test_live(), 1);
	plat_test_grace_period();
	CHECK_EQ(plat_test_deferred(), 0);
	CHECK_EQ(plat_test_live(), 0);
}

int main(void)
{
	CASE(the_allocator_fails_and_counts_as_told);
	CASE(nothing_gathered_needs_no_flush);
	CASE(a_leaf_or_an_empty_table_needs_a_flush);
	CASE(release_without_flush_warns_and_keeps_the_tables);
	CASE(tables_stay_readable_until_the_grace_period);
	CASE(what_comes_after_a_flush_needs_the_next_one);
	return CHECK_EXIT();
}
