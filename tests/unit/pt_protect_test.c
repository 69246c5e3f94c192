// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Range operations: rights. */
#include "pt_range_util.h"

#define AT	(7 * GIB + 510 * MIB)

static struct gather gather;

/* What a change does to rights, said once more. */
static unsigned int expected(unsigned int rights, unsigned int keep,
			     unsigned int set)
{
	return (rights & keep) | set;
}

static bool is_asked_for(const struct pt_geometry *geom, unsigned int keep,
			 unsigned int set, unsigned int rights)
{
	unsigned int all = geom->cow_bit ? PT_RIGHTS : PT_RWX;

	if ((keep | set | rights) & ~all)
		return false;
	if (!geom->cow_bit)
		return (set & PT_R) && (rights & PT_R);
	/* Who keeps PT_W keeps PT_COW. */
	return (keep & ~set & PT_W) ? (keep | set) & PT_COW : true;
}

static void check_change(const struct pt_geometry *geom, unsigned int keep,
			 unsigned int set, unsigned int rights)
{
	const u64 other = 0x123456000 | geom->accessed_bit | geom->aged_bit;
	unsigned int want = expected(rights, keep, set);
	const struct pt_masks *masks;
	struct pt_change change;
	u64 old, new;

	pt_change_init(&change, geom, keep, set);
	old = geom->set_rights(other, rights);
	masks = old & geom->cow_bit ? &change.cow : &change.plain;
	new = (old & masks->keep) | masks->set;
	CHECK_EQ(new, geom->set_rights(other, want));
	CHECK_EQ(geom->rights(new), want);
	/* Lost: what hardware allowed and does not any more. */
	CHECK_EQ(((old ^ change.forbids) & masks->takes) != 0,
		 ((old ^ geom->perm_inverted) & ~(new ^ geom->perm_inverted) &
		  geom->perm_mask) != 0);
}

static void a_change_does_what_it_says_to_every_leaf(void)
{
	static const struct pt_geometry *const geoms[] = { &pt_x86, &pt_ept_ad };
	u64 checked = 0;

	for (unsigned int g = 0; g < 2; g++)
		for (unsigned int i = 0; i < 32 * 32 * 32; i++) {
			unsigned int keep = i & 31, set = i >> 5 & 31;
			unsigned int rights = i >> 10;

			if (!is_asked_for(geoms[g], keep, set, rights))
				continue;
			checked++;
			check_change(geoms[g], keep, set, rights);
		}
	CHECK(checked > 20000);
	CHECK_EQ(plat_test_warnings(), 0);
}

static void protect(struct pt *pt, u64 addr, u64 end, unsigned int keep,
		    unsigned int set, u64 changed, u64 reduced, u64 holes)
{
	struct pt_change change;
	struct pt_protect op = { .range = range_of(addr, end, &gather),
				 .change = &change };

	pt_change_init(&change, pt->geom, keep, set);
	CHECK_EQ(run_to_end(pt_protect(pt, &op)), PT_DONE);
	CHECK_EQ(op.range.addr, end);
	CHECK_EQ(op.changed, changed);
	CHECK_EQ(op.reduced, reduced);
	CHECK_EQ(op.holes, holes);
}

static void expect_flush(bool needed)
{
	CHECK_EQ(gather_needs_flush(&gather), needed);
	finish(&gather);
	gather_init(&gather);
}

static void only_a_loss_of_rights_needs_a_flush(void)
{
	struct pt pt;

	begin(&pt, &pt_x86);
	map_at(&pt, AT, 4 * PAGE, 0x5000, 1, PT_R | PT_W, PT_YOUNG);
	protect(&pt, AT + PAGE, AT + 2 * PAGE, 0, PT_R, 1, 1, 0);
	CHECK_EQ(entry_at(&pt, AT + PAGE), 0x6000 | X86_RO | X86_A);
	CHECK_EQ(entry_at(&pt, AT), 0x5000 | X86_RW | X86_A);
	CHECK_EQ(entry_at(&pt, AT + 2 * PAGE), 0x7000 | X86_RW | X86_A);
	expect_flush(true);
	protect(&pt, AT + PAGE, AT + 2 * PAGE, 0, PT_R, 0, 0, 0);
	expect_flush(false);
	protect(&pt, AT + PAGE, AT + 2 * PAGE, 0, PT_R | PT_W, 1, 0, 0);
	expect_flush(false);
	/* Both at once: W goes, X and U come. */
	protect(&pt, AT, AT + 4 * PAGE, 0, PT_R | PT_X | PT_U, 4, 4, 0);
	CHECK_EQ(entry_at(&pt, AT), 0x5000 | 5 | X86_A);
	expect_flush(true);
	/* X alone goes. */
	protect(&pt, AT, AT + PAGE, 0, PT_R | PT_U, 1, 1, 0);
	expect_flush(true);
	destroy(&pt);
}

static void a_leaf_that_was_never_cached_needs_none(void)
{
	struct pt pt;

	begin(&pt, &pt_x86);
	map_at(&pt, AT, 16 * PAGE, 0x5000, 1, PT_R | PT_W, PT_OLD);
	protect(&pt, AT, AT + 16 * PAGE, 0, PT_R, 16, 16, 0);
	expect_flush(false);
	protect(&pt, AT, AT + 16 * PAGE, 0, PT_R | PT_W, 16, 0, 0);
	/* One of them was, in the middle of a run. */
	use(&pt, AT + 9 * PAGE, X86_A);
	protect(&pt, AT, AT + 16 * PAGE, 0, PT_R, 16, 16, 0);
	expect_flush(true);
	/* Accessed was cleared, without a flush. */
	protect(&pt, AT, AT + 16 * PAGE, 0, PT_R | PT_W, 16, 0, 0);
	CHECK_EQ(pt_age(&pt, AT, AT + 16 * PAGE, PT_AGE_CLEAR), 1);
	protect(&pt, AT, AT + 16 * PAGE, 0, PT_R, 16, 16, 0);
	expect_flush(true);
	destroy(&pt);

	begin(&pt, &pt_ept_plain);	/* nobody can tell */
	map(&pt, AT, ram(0x5000, 1, PT_RWX));
	protect(&pt, AT, AT + PAGE, 0, PT_R, 1, 1, 0);
	expect_flush(true);
	destroy(&pt);
}

static void what_is_not_rights_stays(void)
{
	struct pt pt;

	begin(&pt, &pt_x86);
	map_at(&pt, AT, 3 * PAGE, 0x5000, 1, PT_R | PT_W, PT_DIRTY);
	use(&pt, AT, X86_AGED);
	protect(&pt, AT, AT + 3 * PAGE, 0, PT_R, 3, 3, 0);
	CHECK_EQ(entry_at(&pt, AT), 0x5000 | X86_RO | X86_A | X86_D | X86_AGED);
	CHECK_EQ(entry_at(&pt, AT + PAGE), 0x6000 | X86_RO | X86_A | X86_D);
	expect_flush(true);
	destroy(&pt);
}

static void a_leaf_without_rights_stays_a_leaf(void)
{
	unsigned int level;
	struct pt_leaf leaf;
	struct pt pt;
	u64 entry;

	begin(&pt, &pt_x86);
	map_at(&pt, AT, PAGE, 0x5000, 1, PT_R | PT_W | PT_U, PT_DIRTY);
	protect(&pt, AT, AT + PAGE, 0, 0, 1, 1, 0);
	expect_flush(true);
	entry = pt_lookup(&pt, AT, &level);
	CHECK_EQ(entry & 1, 0);		/* what hardware looks at */
	CHECK(entry != 0);
	pt_decode(&pt_x86, entry, level, &leaf);
	CHECK_EQ(leaf.rights, 0);
	CHECK_EQ(leaf.pa, 0x5000);
	CHECK_EQ(leaf.age, PT_DIRTY);
	tables_of(&pt);
	protect(&pt, AT, AT + PAGE, 0, PT_R | PT_W, 1, 0, 0);
	expect_flush(false);
	CHECK_EQ(entry_at(&pt, AT), 0x5000 | X86_RW | X86_A | X86_D);
	destroy(&pt);
}

static void copy_on_write_survives_protection(void)
{
	const u64 cow = X86_COW | X86_NX | X86_A;
	struct pt pt;

	begin(&pt, &pt_x86);
	map_at(&pt, AT, 2 * PAGE, 0x5000, 1, PT_R | PT_W, PT_YOUNG);
	/* A clone: everything stays but is to be copied. */
	protect(&pt, AT, AT + PAGE, PT_RIGHTS, PT_COW, 1, 1, 0);
	CHECK_EQ(entry_at(&pt, AT), 0x5001 | cow | X86_MAY);
	expect_flush(true);
	/* A clone of what was read-only takes nothing away. */
	protect(&pt, AT + PAGE, AT + 2 * PAGE, 0, PT_R, 1, 1, 0);
	expect_flush(true);
	protect(&pt, AT + PAGE, AT + 2 * PAGE, PT_RIGHTS, PT_COW, 1, 0, 0);
	expect_flush(false);
	CHECK_EQ(entry_at(&pt, AT + PAGE), 0x6001 | cow);
	/* To read-only and back: still to be copied. */
	protect(&pt, AT, AT + 2 * PAGE, PT_COW, PT_R, 1, 0, 0);
	expect_flush(false);
	protect(&pt, AT, AT + 2 * PAGE, PT_COW, PT_R | PT_W, 2, 0, 0);
	expect_flush(false);
	CHECK_EQ(entry_at(&pt, AT), 0x5001 | cow | X86_MAY);
	CHECK_EQ(entry_at(&pt, AT + PAGE), 0x6001 | cow | X86_MAY);
	destroy(&pt);
}

static void holes_are_passed_and_counted(void)
{
	struct pt pt;

	begin(&pt, &pt_x86);
	map_at(&pt, AT + 3 * PAGE, PAGE, 0x5000, 1, PT_R | PT_W, PT_YOUNG);
	map_at(&pt, AT + 5 * MIB, PAGE, 0x6000, 1, PT_R | PT_W, PT_YOUNG);
	protect(&pt, AT, AT + 6 * MIB, 0, PT_R, 2, 2, 3 * 512 - 2);
	protect(&pt, AT, AT + 6 * GIB, 0, PT_R, 0, 0, (6ull << 18) - 2);
	expect_flush(true);
	protect(&pt, 0, AT, 0, PT_R, 0, 0, AT / PAGE);
	expect_flush(false);
	destroy(&pt);
}

/* Runs of equal rights, of any length, at any place. */
static void neighbours_with_other_rights_change_too(void)
{
	const unsigned int rights[] = { PT_R, PT_R | PT_W, PT_RWX, PT_R | PT_X };
	u64 writable = 0, holes = 0;
	struct pt pt;

	begin(&pt, &pt_x86);
	for (unsigned int i = 0; i < 512; i++) {
		if (i % 37 == 0) {
			holes++;
			continue;
		}
		writable += (rights[i / 5 % 4] & PT_W) != 0;
		map_at(&pt, AT + i * PAGE, PAGE, (1 + i) * PAGE, 1,
		       rights[i / 5 % 4], PT_OLD);
	}
	protect(&pt, AT, AT + 2 * MIB, PT_R | PT_X, 0, writable, writable, holes);
	for (unsigned int i = 0; i < 512; i++)
		CHECK_EQ(entry_at(&pt, AT + i * PAGE), i % 37 == 0 ? 0 :
			 ((1 + i) * PAGE | 1 | (i / 5 % 4 < 2 ? X86_NX : 0)));
	expect_flush(false);
	destroy(&pt);
}

static void a_large_leaf_changes_as_a_whole_or_is_split(void)
{
	struct pt pt;

	begin(&pt, &pt_x86);
	map_at(&pt, 8 * GIB, GIB, 16 * GIB, 3, PT_R | PT_W, PT_YOUNG);
	map_at(&pt, 9 * GIB, 4 * MIB, 32 * GIB, 2, PT_R | PT_W, PT_YOUNG);
	/* All of it, and the first 2 MiB of the next. */
	protect(&pt, 8 * GIB, 9 * GIB + 2 * MIB, 0, PT_R, 513ull << 9, 513ull << 9, 0);
	CHECK_EQ(level_at(&pt, 8 * GIB), 3);
	CHECK_EQ(entry_at(&pt, 8 * GIB), 16 * GIB | X86_RO | X86_A | X86_LARGE);
	CHECK_EQ(level_at(&pt, 9 * GIB), 2);
	expect_flush(true);
	/* Nothing to change: nothing to split. */
	protect(&pt, 8 * GIB + PAGE, 8 * GIB + 2 * PAGE, 0, PT_R, 0, 0, 0);
	CHECK_EQ(level_at(&pt, 8 * GIB), 3);
	/* A page in the middle: both levels are split. */
	protect(&pt, 8 * GIB + 5 * PAGE, 8 * GIB + 6 * PAGE, 0, PT_R | PT_W, 1, 0, 0);
	CHECK_EQ(level_at(&pt, 8 * GIB), 1);
	CHECK_EQ(level_at(&pt, 8 * GIB + 2 * MIB), 2);
	CHECK_EQ(entry_at(&pt, 8 * GIB + 5 * PAGE),
		 (16 * GIB + 5 * PAGE) | X86_RW | X86_A);
	CHECK_EQ(entry_at(&pt, 8 * GIB + 6 * PAGE),
		 (16 * GIB + 6 * PAGE) | X86_RO | X86_A);
	CHECK_EQ(entry_at(&pt, 8 * GIB + 2 * MIB),
		 (16 * GIB + 2 * MIB) | X86_RO | X86_A | X86_LARGE);
	expect_flush(false);
	check_tables(&pt, &gather);
	destroy(&pt);
}

static void without_tables_it_says_how_far_it_got(void)
{
	struct pt_change change;
	struct pt_protect op = {
		.range = range_of(AT + MIB, AT + 5 * MIB, &gather),
		.change = &change,
	};
	struct pt pt;

	pt_change_init(&change, &pt_x86, 0, PT_R);
	begin(&pt, &pt_x86);
	map_at(&pt, AT, 6 * MIB, GIB, 2, PT_R | PT_W, PT_YOUNG);
	pt_cache_drain(&cache);
	CHECK_EQ(pt_protect(&pt, &op), PT_NEED_TABLES);
	CHECK_EQ(op.range.addr, AT + MIB);
	CHECK_EQ(op.changed, 0);
	CHECK_EQ(pt_cache_fill_to(&cache, 1), 0);
	CHECK_EQ(pt_protect(&pt, &op), PT_NEED_TABLES);
	CHECK_EQ(op.range.addr, AT + 4 * MIB);
	CHECK_EQ(op.changed, 768);
	op.range.cache = NULL;
	CHECK_EQ(pt_protect(&pt, &op), PT_NEED_TABLES);
	op.range.cache = &cache;
	CHECK_EQ(pt_cache_fill_to(&cache, 1), 0);
	CHECK_EQ(pt_protect(&pt, &op), PT_DONE);
	CHECK_EQ(op.changed, 1024);
	CHECK_EQ(op.range.tables, 2);
	CHECK_EQ(entry_at(&pt, AT), GIB | X86_RW | X86_A);
	CHECK_EQ(entry_at(&pt, AT + 5 * MIB), (GIB + 5 * MIB) | X86_RW | X86_A);
	expect_flush(true);
	destroy(&pt);
}

static void small_ones_agree_with_the_general_one(void)
{
	struct pt_change change;
	struct pt_table *pd;
	struct pt pt;

	begin(&pt, &pt_x86);
	map_at(&pt, AT, 100 * PAGE, 0x5000, 1, PT_R | PT_W, PT_OLD);
	map_at(&pt, AT + 2 * MIB, 2 * MIB, GIB, 2, PT_R | PT_W, PT_YOUNG);
	pd = pt_find_table(&pt, AT, 2);
	CHECK(pd && pd->level == 2);
	pt_change_init(&change, &pt_x86, PT_COW, PT_R);
	CHECK_EQ(pt_protect_small(pd, AT, AT + PAGE, &change, &gather), PT_DONE);
	CHECK_EQ(entry_at(&pt, AT), 0x5000 | X86_RO);
	CHECK_EQ(entry_at(&pt, AT + PAGE), 0x6000 | X86_RW);
	expect_flush(false);
	use(&pt, AT + 1 * PAGE, X86_A);
	CHECK_EQ(pt_protect_small(pd, AT + PAGE, AT + 2 * PAGE, &change, &gather),
		 PT_DONE);
	expect_flush(true);
	CHECK_EQ(pt_protect_small(pd, AT + PAGE, AT + 70 * PAGE, &change,
				  &gather), PT_DONE);
	for (unsigned int i = 1; i < 100; i++)
		CHECK_EQ(entry_at(&pt, AT + i * PAGE) & ~X86_A,
			 (0x5000 + i * PAGE) | (i < 70 ? X86_RO : X86_RW));
	expect_flush(false);
	/* A hole, a large leaf, an unlinked table, and somebody at it. */
	pt_find_table(&pt, AT, 1)->dead = true;
	CHECK_EQ(pt_protect_small(pd, AT, AT + PAGE, &change, &gather), PT_STALE);
	CHECK_EQ(pt_protect_small(pd, AT, AT + 2 * PAGE, &change, &gather),
		 PT_STALE);
	pt_find_table(&pt, AT, 1)->dead = false;
	CHECK_EQ(pt_protect_small(pd, AT + 99 * PAGE, AT + 101 * PAGE, &change,
				  &gather), PT_STALE);
	CHECK_EQ(pt_protect_small(pd, AT + 100 * PAGE, AT + 101 * PAGE, &change,
				  &gather), PT_STALE);
	CHECK_EQ(pt_protect_small(pd, AT + 2 * MIB, AT + 2 * MIB + PAGE, &change,
				  &gather), PT_STALE);
	CHECK_EQ(level_at(&pt, AT + 2 * MIB), 2);
	plat_lock(&pt_find_table(&pt, AT, 1)->lock, 1);
	plat_unlock(&pt_find_table(&pt, AT, 1)->lock);
	pt_find_table(&pt, AT, 1)->lock.held = 1;
	CHECK_EQ(pt_protect_small(pd, AT, AT + PAGE, &change, &gather), PT_STALE);
	pt_find_table(&pt, AT, 1)->lock.held = 0;
	destroy(&pt);
}

static void inside_of_a_table_nothing_above_changes(void)
{
	struct pt_change change;
	struct pt_protect op = { .change = &change };
	struct pt pt;

	pt_change_init(&change, &pt_x86, 0, PT_R);
	begin(&pt, &pt_x86);
	map_at(&pt, AT, 4 * PAGE, 0x5000, 1, PT_R | PT_W, PT_YOUNG);
	for (unsigned int level = 1; level < 4; level++) {
		op.range = range_of(AT + level * PAGE, AT + (level + 1) * PAGE,
				    &gather);
		op.range.top = pt_find_table(&pt, AT, level);
		CHECK_EQ(op.range.top->level, level);
		CHECK_EQ(pt_protect(&pt, &op), PT_DONE);
		CHECK_EQ(entry_at(&pt, AT + level * PAGE) & 2, 0);
	}
	CHECK_EQ(op.changed, 3);
	CHECK(pt_find_table(&pt, AT + GIB, 2) == NULL);
	CHECK(pt_find_table(&pt, AT, 4) == pt.root);
	gather_init(&gather);
	destroy(&pt);
}

static void nonsense_is_refused(void)
{
	struct pt_change change, ept;
	const struct pt_range bad[] = {
		range_of(1, PAGE, &gather), range_of(0, PAGE + 1, &gather),
		range_of(2 * PAGE, PAGE, &gather), range_of(0, PAGE, NULL),
		range_of(0, (1ull << 48) + PAGE, &gather),
	};
	struct pt_protect op = { .change = &change };
	struct pt pt;

	begin(&pt, &pt_x86);
	pt_change_init(&change, &pt_x86, 0, PT_R);
	for (unsigned int i = 0; i < 5; i++) {
		op.range = bad[i];
		CHECK_EQ(pt_protect(&pt, &op), PT_INVALID);
	}
	pt_change_init(&ept, &pt_ept_ad, 0, PT_R);
	op = (struct pt_protect){ .range = range_of(0, PAGE, &gather),
				  .change = &ept };
	CHECK_EQ(pt_protect(&pt, &op), PT_INVALID);
	CHECK_EQ(plat_test_warnings(), 6);
	pt_change_init(&ept, &pt_ept_ad, PT_W, PT_X);	/* may leave nothing */
	pt_change_init(&change, &pt_x86, PT_W, PT_R);	/* of a PT_COW leaf? */
	CHECK_EQ(plat_test_warnings(), 2);
	destroy(&pt);
}

int main(void)
{
	plat_rcu_register();
	gather_init(&gather);
	CASE(a_change_does_what_it_says_to_every_leaf);
	CASE(only_a_loss_of_rights_needs_a_flush);
	CASE(a_leaf_that_was_never_cached_needs_none);
	CASE(what_is_not_rights_stays);
	CASE(a_leaf_without_rights_stays_a_leaf);
	CASE(copy_on_write_survives_protection);
	CASE(holes_are_passed_and_counted);
	CASE(neighbours_with_other_rights_change_too);
	CASE(a_large_leaf_changes_as_a_whole_or_is_split);
	CASE(without_tables_it_says_how_far_it_got);
	CASE(small_ones_agree_with_the_general_one);
	CASE(inside_of_a_table_nothing_above_changes);
	CASE(nonsense_is_refused);
	plat_rcu_unregister();
	return CHECK_EXIT();
}
