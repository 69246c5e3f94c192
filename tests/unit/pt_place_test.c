// SPDX-License-Identifier: GPL-2.0 OR MIT
/* pt_cache.place and user: where table pages are asked for, and whose they are. */
#include "pt_util.h"

#define A	(5 * GIB)

static void a_root_is_of_the_place_asked_for(void)
{
	struct pt pt;

	CHECK_EQ(pt_init_at(&pt, &pt_ept_ad, 3), 0);
	CHECK_EQ(plat_test_place(pt.root->entry), 3);
	destroy(&pt);
	begin(&pt, &pt_ept_ad);
	CHECK_EQ(plat_test_place(pt.root->entry), 0);
	destroy(&pt);
}

static void linked_tables_are_of_their_cache(void)
{
	struct pt pt;
	u64 *entry;

	begin(&pt, &pt_ept_ad);
	cache.place = 7;
	cache.user = 42;
	CHECK_EQ(map(&pt, A, ram(A, 1, PT_RWX)), PT_MAP_INSTALLED);
	entry = pt.root->entry;
	CHECK_EQ(pt_table_at(entry)->user, 0);
	for (unsigned int level = PT_LEVELS; level > 1; level--) {
		entry = plat_va(entry[(A >> (12 + 9 * (level - 1))) & 511] &
				pt_ept_ad.addr_mask);
		CHECK_EQ(plat_test_place(entry), 7);
		CHECK_EQ(pt_table_at(entry)->user, 42);
	}
	/* Another user's links leave them alone. */
	cache.user = 43;
	CHECK_EQ(map(&pt, A + KIB * 4, ram(A, 1, PT_RWX)), PT_MAP_INSTALLED);
	CHECK_EQ(pt_table_at(entry)->user, 42);
	cache.place = cache.user = 0;
	destroy(&pt);
}

/* What is in the cache stays until it is drained. */
static void a_cache_keeps_what_it_has(void)
{
	cache.place = 7;
	CHECK_EQ(pt_cache_fill(&cache), 0);
	cache.place = 0;
	CHECK_EQ(pt_cache_fill(&cache), 0);
	CHECK_EQ(plat_test_place(cache.tables->entry), 7);
	pt_cache_drain(&cache);
	CHECK_EQ(pt_cache_fill(&cache), 0);
	CHECK_EQ(plat_test_place(cache.tables->entry), 0);
	pt_cache_drain(&cache);
}

static void without_memory_nothing_is_left(void)
{
	struct pt pt;

	for (u64 nth = 1; nth <= 2; nth++) {
		plat_test_fail_nth(nth);
		CHECK_EQ(pt_init_at(&pt, &pt_ept_ad, 3), -ENOMEM);
		CHECK(plat_test_failed());
		CHECK(!pt.root);
	}
	cache.place = 3;
	plat_test_fail_nth(4);
	CHECK_EQ(pt_cache_fill(&cache), -ENOMEM);
	CHECK_EQ(cache.nr, 1);
	CHECK_EQ(pt_cache_fill(&cache), 0);
	CHECK_EQ(plat_test_place(cache.tables->entry), 3);
	pt_cache_drain(&cache);
	cache.place = 0;
	plat_test_grace_period();
	CHECK_EQ(plat_test_live(), 0);
	CHECK_EQ(plat_test_live_objects(), 0);
}

int main(void)
{
	plat_rcu_register();
	CASE(a_root_is_of_the_place_asked_for);
	CASE(linked_tables_are_of_their_cache);
	CASE(a_cache_keeps_what_it_has);
	CASE(without_memory_nothing_is_left);
	plat_rcu_unregister();
	return CHECK_EXIT();
}
