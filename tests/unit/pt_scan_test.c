// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Range operations: accessed and dirty bits. */
#include <string.h>

#include "pt_range_util.h"

#define AT	(7 * GIB)
#define BOTH	(PT_SCAN_ACCESSED | PT_SCAN_DIRTY)

static struct gather gather;
static u64 bitmap[2048];

static struct pt_scan scan_of(u64 addr, u64 end, unsigned int what,
			      enum pt_scan_mode mode)
{
	memset(bitmap, 0, sizeof(bitmap));
	return (struct pt_scan){
		.range = range_of(addr, end, &gather), .what = what,
		.mode = mode, .bitmap = bitmap, .base = AT,
	};
}

static bool bit(u64 page)
{
	return bitmap[page / 64] >> page % 64 & 1;
}

static u64 nr_bits(void)
{
	u64 nr = 0;

	for (unsigned int i = 0; i < 2048; i++)
		nr += (u64)__builtin_popcountll(bitmap[i]);
	return nr;
}

static void expect_flush(bool needed)
{
	CHECK_EQ(gather_needs_flush(&gather), needed);
	CHECK_EQ(gather_nr_leaves(&gather), 0);
	finish(&gather);
	gather_init(&gather);
}

static void map_some(struct pt *pt)
{
	begin(pt, &pt_x86);
	map_at(pt, AT, 100 * PAGE, 64 * GIB, 1, PT_R | PT_W, PT_OLD);
	use(pt, AT, X86_A);
	use(pt, AT + 63 * PAGE, X86_A | X86_D);
	use(pt, AT + 64 * PAGE, X86_A);
	use(pt, AT + 99 * PAGE, X86_A | X86_D);
}

static void a_test_finds_and_changes_nothing(void)
{
	struct pt_scan op = scan_of(AT, AT + GIB, PT_SCAN_DIRTY, PT_SCAN_TEST);
	struct pt pt;

	map_some(&pt);
	CHECK_EQ(pt_scan(&pt, &op), PT_DONE);
	CHECK_EQ(op.range.addr, AT + GIB);
	CHECK_EQ(op.pages, 2);
	CHECK(bit(63) && bit(99));
	CHECK_EQ(nr_bits(), 2);
	op = scan_of(AT, AT + GIB, PT_SCAN_ACCESSED, PT_SCAN_TEST);
	CHECK_EQ(pt_scan(&pt, &op), PT_DONE);
	CHECK(bit(0) && bit(63) && bit(64) && bit(99));
	CHECK_EQ(nr_bits(), 4);
	/* Of the range only. */
	op = scan_of(AT + PAGE, AT + 99 * PAGE, BOTH, PT_SCAN_TEST);
	CHECK_EQ(pt_scan(&pt, &op), PT_DONE);
	CHECK_EQ(op.pages, 2);
	CHECK(bit(63) && bit(64));
	expect_flush(false);
	CHECK_EQ(entry_at(&pt, AT + 63 * PAGE) & 0xfff, 0x63);
	destroy(&pt);
}

static void clearing_clears_what_was_asked_for(void)
{
	struct pt_scan op = scan_of(AT, AT + 2 * MIB, PT_SCAN_DIRTY, PT_SCAN_CLEAR);
	struct pt pt;

	map_some(&pt);
	CHECK_EQ(pt_scan(&pt, &op), PT_DONE);
	CHECK_EQ(op.pages, 2);
	CHECK(bit(63) && bit(99));
	CHECK_EQ(entry_at(&pt, AT + 63 * PAGE) & 0xfff, 0x23);
	CHECK_EQ(entry_at(&pt, AT + 63 * PAGE) & X86_AGED, 0);
	expect_flush(true);
	CHECK_EQ(pt_scan(&pt, &op), PT_DONE);
	expect_flush(false);
	op = scan_of(AT, AT + 2 * MIB, PT_SCAN_DIRTY, PT_SCAN_CLEAR);
	CHECK_EQ(pt_scan(&pt, &op), PT_DONE);
	CHECK_EQ(nr_bits(), 0);
	expect_flush(false);

	/* Accessed: it may still be cached, which is not forgotten. */
	op = scan_of(AT, AT + 2 * MIB, PT_SCAN_ACCESSED, PT_SCAN_CLEAR);
	CHECK_EQ(pt_scan(&pt, &op), PT_DONE);
	CHECK_EQ(op.pages, 4);
	CHECK_EQ(entry_at(&pt, AT) & (0xfff | X86_AGED), 3 | X86_AGED);
	CHECK_EQ(entry_at(&pt, AT + PAGE) & (0xfff | X86_AGED), 3);
	expect_flush(true);

	/* The other bit stays. */
	use(&pt, AT, X86_A | X86_D);
	CHECK_EQ(pt_scan(&pt, &op), PT_DONE);
	op = scan_of(AT, AT + PAGE, PT_SCAN_ACCESSED, PT_SCAN_CLEAR);
	CHECK_EQ(pt_scan(&pt, &op), PT_DONE);
	CHECK_EQ(entry_at(&pt, AT) & 0xfff, 0x43);
	op = scan_of(AT, AT + PAGE, PT_SCAN_DIRTY, PT_SCAN_CLEAR);
	CHECK_EQ(pt_scan(&pt, &op), PT_DONE);
	CHECK_EQ(entry_at(&pt, AT) & 0xfff, 3);
	expect_flush(true);

	/* Both at once, and nobody who minds. */
	use(&pt, AT + 63 * PAGE, X86_A | X86_D);
	op = scan_of(AT, AT + 2 * MIB, BOTH, PT_SCAN_CLEAR);
	op.range.gather = NULL;
	CHECK_EQ(pt_scan(&pt, &op), PT_DONE);
	CHECK_EQ(op.pages, 1);
	CHECK_EQ(entry_at(&pt, AT + 63 * PAGE) & (0xfff | X86_AGED), 3 | X86_AGED);
	expect_flush(false);
	destroy(&pt);
}

static void a_large_leaf_counts_for_its_part_in_the_range(void)
{
	struct pt_scan op = scan_of(AT + PAGE, AT + 2 * MIB, PT_SCAN_DIRTY,
				    PT_SCAN_CLEAR);
	struct pt pt;

	begin(&pt, &pt_x86);
	map_at(&pt, AT, 8 * MIB, 64 * GIB, 2, PT_R | PT_W, PT_OLD);
	use(&pt, AT, X86_A | X86_D);
	use(&pt, AT + 4 * MIB, X86_A | X86_D);
	CHECK_EQ(pt_scan(&pt, &op), PT_DONE);
	CHECK_EQ(op.pages, 511);
	CHECK(!bit(0) && bit(1) && bit(511));
	CHECK_EQ(entry_at(&pt, AT) & X86_D, X86_D);	/* sticks out: stays */
	expect_flush(false);
	op = scan_of(AT, AT + 6 * MIB, PT_SCAN_DIRTY, PT_SCAN_CLEAR);
	CHECK_EQ(pt_scan(&pt, &op), PT_DONE);
	CHECK_EQ(op.pages, 1024);
	CHECK(bit(0) && bit(511) && !bit(512) && bit(1024) && bit(1535));
	CHECK_EQ(nr_bits(), 1024);
	CHECK_EQ(entry_at(&pt, AT) & X86_D, 0);
	CHECK_EQ(entry_at(&pt, AT + 4 * MIB) & X86_D, 0);
	expect_flush(true);
	destroy(&pt);
}

static struct {
	unsigned int nr, level[4];
	u64 addr[4];
} hits;

static void note(void *arg, u64 addr, unsigned int level)
{
	CHECK(arg == &hits);
	hits.addr[hits.nr] = addr;
	hits.level[hits.nr++] = level;
}

static void hits_are_told_one_by_one(void)
{
	struct pt_scan op = scan_of(AT, AT + 8 * MIB, PT_SCAN_ACCESSED,
				    PT_SCAN_CLEAR);
	struct pt pt;

	map_some(&pt);
	zap(&pt, AT + 64 * PAGE, AT + 65 * PAGE, 1, 0);
	map_at(&pt, AT + 4 * MIB, 2 * MIB, 80 * GIB, 2, PT_R, PT_YOUNG);
	op.bitmap = NULL;
	op.hit = note;
	op.arg = &hits;
	hits.nr = 0;
	CHECK_EQ(pt_scan(&pt, &op), PT_DONE);
	CHECK_EQ(hits.nr, 4);
	CHECK_EQ(hits.addr[0], AT);
	CHECK_EQ(hits.addr[1], AT + 63 * PAGE);
	CHECK_EQ(hits.addr[2], AT + 99 * PAGE);
	CHECK_EQ(hits.addr[3], AT + 4 * MIB);
	CHECK_EQ(hits.level[3], 2);
	gather_init(&gather);
	destroy(&pt);
}

/* A leaf that allows nothing keeps its bits. */
static void what_was_written_before_it_was_protected_is_found(void)
{
	struct pt_change change;
	struct pt_protect protect = {
		.range = range_of(AT, AT + 2 * MIB, &gather), .change = &change,
	};
	struct pt_scan op = scan_of(AT, AT + 2 * MIB, PT_SCAN_DIRTY, PT_SCAN_TEST);
	struct pt pt;

	map_some(&pt);
	pt_change_init(&change, &pt_x86, PT_COW, 0);
	CHECK_EQ(pt_protect(&pt, &protect), PT_DONE);
	CHECK_EQ(pt_scan(&pt, &op), PT_DONE);
	CHECK_EQ(op.pages, 2);
	gather_init(&gather);
	destroy(&pt);
}

static void a_format_without_the_bits_cannot_tell(void)
{
	struct pt_scan op = scan_of(AT, AT + 2 * MIB, PT_SCAN_DIRTY, PT_SCAN_CLEAR);
	struct pt pt;

	begin(&pt, &pt_ept_plain);
	map(&pt, AT + 3 * PAGE, ram(0x5000, 1, PT_R));
	map(&pt, AT + 2 * MIB, ram(2 * MIB, 2, PT_R));
	CHECK_EQ(pt_scan(&pt, &op), PT_DONE);
	CHECK_EQ(op.pages, 1);
	CHECK(bit(3));
	op = scan_of(AT, AT + 4 * MIB, PT_SCAN_ACCESSED, PT_SCAN_TEST);
	CHECK_EQ(pt_scan(&pt, &op), PT_DONE);
	CHECK_EQ(op.pages, 513);
	destroy(&pt);

	begin(&pt, &pt_ept_ad);
	map(&pt, AT, ram(0x5000, 1, PT_RWX));
	op = scan_of(AT, AT + 2 * MIB, BOTH, PT_SCAN_CLEAR);
	CHECK_EQ(pt_scan(&pt, &op), PT_DONE);
	CHECK_EQ(entry_at(&pt, AT), 0x5077 | 1ull << 52);
	expect_flush(true);
	destroy(&pt);
}

static void nonsense_is_refused(void)
{
	struct pt_scan op = scan_of(AT + 1, AT + PAGE, BOTH, PT_SCAN_TEST);
	struct pt pt;

	begin(&pt, &pt_x86);
	CHECK_EQ(pt_scan(&pt, &op), PT_INVALID);
	CHECK_EQ(plat_test_warnings(), 1);
	destroy(&pt);
}

int main(void)
{
	plat_rcu_register();
	gather_init(&gather);
	CASE(a_test_finds_and_changes_nothing);
	CASE(clearing_clears_what_was_asked_for);
	CASE(a_large_leaf_counts_for_its_part_in_the_range);
	CASE(hits_are_told_one_by_one);
	CASE(what_was_written_before_it_was_protected_is_found);
	CASE(a_format_without_the_bits_cannot_tell);
	CASE(nonsense_is_refused);
	plat_rcu_unregister();
	return CHECK_EXIT();
}
