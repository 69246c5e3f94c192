// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Invalidations in progress, snapshots, and what was deferred; one thread. */
#include <string.h>

#include "check.h"
#include "inval.h"

#define MIB	(1ull << 20)
#define GIB	(1ull << 30)
#define REGION	(1ull << INVAL_REGION_SHIFT)
#define AT	(37 * GIB + 6 * MIB)

static struct inval inval;

static void reset(void)
{
	memset(&inval, 0, sizeof(inval));
}

static enum inval_pending pending(u64 start, u64 end)
{
	u64 gen;

	return inval_pending(&inval, start, end, &gen);
}

/* The generation of a DEFERRED, or 0 for NOTHING. */
static u64 pending_gen(u64 start, u64 end)
{
	u64 gen = 0;
	enum inval_pending what = inval_pending(&inval, start, end, &gen);

	CHECK(what != INVAL_UNKNOWN);
	return what == INVAL_DEFERRED ? gen : 0;
}

static bool snap_at(u64 addr, struct inval_snap *snap)
{
	return inval_snap(&inval, addr, snap);
}

static void a_snapshot_lives_until_the_next_invalidation(void)
{
	struct inval_snap snap;

	reset();
	CHECK(snap_at(AT, &snap));
	CHECK(!inval_stale(&inval, &snap));
	inval_begin(&inval, AT, AT + 4096);
	CHECK(inval_stale(&inval, &snap));
	inval_end(&inval, AT, AT + 4096);
	CHECK(inval_stale(&inval, &snap));
	CHECK(snap_at(AT, &snap));
	CHECK(!inval_stale(&inval, &snap));
}

static void no_snapshot_while_one_is_in_progress(void)
{
	struct inval_snap snap;

	reset();
	inval_begin(&inval, AT, AT + 4096);
	inval_begin(&inval, AT + 4096, AT + 8192);
	CHECK(!snap_at(AT + REGION - 1, &snap));
	inval_end(&inval, AT, AT + 4096);
	CHECK(!snap_at(AT, &snap));
	CHECK(snap_at(AT + REGION, &snap));
	inval_end(&inval, AT + 4096, AT + 8192);
	CHECK(snap_at(AT, &snap));
}

static void other_regions_do_not_disturb(void)
{
	struct inval_snap snap;
	unsigned int disturbed = 0;

	reset();
	CHECK(snap_at(AT, &snap));
	for (u64 i = 1; i < INVAL_NR_BUCKETS / 2; i++) {
		inval_begin(&inval, AT + i * REGION, AT + i * REGION + 1);
		inval_end(&inval, AT + i * REGION, AT + i * REGION + 1);
		disturbed += inval_stale(&inval, &snap);
	}
	CHECK_EQ(disturbed, 0);
	CHECK_EQ(pending(AT, AT + 4096), INVAL_NOTHING);
}

/* Arenas lie at regular distances: no distance may meet in a few buckets. */
static void regular_distances_spread_over_the_buckets(void)
{
	for (unsigned int shift = 21; shift < 40; shift++) {
		unsigned char used[INVAL_NR_BUCKETS] = { 0 };
		unsigned int nr = 0;

		for (u64 i = 0; i < INVAL_NR_BUCKETS; i++) {
			struct inval_bucket *b;

			b = inval_bucket(&inval, AT + (i << shift));
			nr += !used[b - inval.bucket]++;
		}
		CHECK(nr >= INVAL_NR_BUCKETS / 4);
	}
}

/* A hash shares buckets: too careful, never too careless. */
static void regions_of_one_bucket_disturb_each_other(void)
{
	struct inval_snap snap;
	u64 other = AT;

	reset();
	do {
		other += REGION;
	} while (inval_bucket(&inval, other) != inval_bucket(&inval, AT));
	CHECK(other - AT >= INVAL_NR_BUCKETS * REGION / 2);
	CHECK(snap_at(AT, &snap));
	inval_begin(&inval, AT, AT + 1);
	inval_begin(&inval, other, other + 1);
	CHECK_EQ(pending(AT, AT + 1), INVAL_UNKNOWN);
	inval_end(&inval, other, other + 1);
	CHECK_EQ(pending(AT, AT + 1), INVAL_NOTHING);
	inval_end(&inval, AT, AT + 1);
	CHECK(inval_stale(&inval, &snap));
}

/* Every region of a range is marked, of one that hits a bucket twice as well. */
static void ranges_mark_all_that_they_touch(void)
{
	for (u64 length = 1; length <= 9 * REGION; length += REGION / 2 - 1) {
		for (u64 start = AT - 3; start < AT + REGION; start += REGION / 3) {
			struct inval_snap before, after, first, last, middle;
			u64 end = start + length;

			reset();
			CHECK(snap_at(start, &first));
			CHECK(snap_at(end - 1, &last));
			CHECK(snap_at(start + length / 2, &middle));
			inval_begin(&inval, start, end);
			CHECK(!snap_at(start, &before));
			CHECK(!snap_at(end - 1, &before));
			CHECK(!snap_at(start + length / 2, &before));
			CHECK_EQ(pending(start, end), INVAL_NOTHING);
			inval_end(&inval, start, end);
			CHECK(inval_stale(&inval, &first));
			CHECK(inval_stale(&inval, &last));
			CHECK(inval_stale(&inval, &middle));
			CHECK(snap_at(start, &after));
			CHECK(snap_at(end - 1, &after));
			CHECK_EQ(inval_active(inval.global.word), 0);
		}
	}
}

static void all_of_the_address_space_can_be_marked(void)
{
	struct inval_snap low, high;

	reset();
	CHECK(snap_at(0, &low));
	CHECK(snap_at((1ull << 48) - 1, &high));
	inval_begin(&inval, 0, ~0ull);
	CHECK(inval_stale(&inval, &low));
	CHECK(inval_stale(&inval, &high));
	CHECK_EQ(pending(0, ~0ull), INVAL_NOTHING);
	inval_end(&inval, 0, ~0ull);
	CHECK(snap_at(0, &low));
}

/* A leaf of 1 GiB: any region in it may be invalidated. */
static void a_snapshot_of_everything_sees_any_invalidation(void)
{
	struct inval_snap snap;

	reset();
	for (u64 i = 0; i < 512; i++) {
		u64 addr = 5 * GIB + i * REGION;

		CHECK(inval_snap_all(&inval, 5 * GIB, &snap));
		CHECK(!inval_stale(&inval, &snap));
		inval_begin(&inval, addr, addr + 4096);
		CHECK(inval_stale(&inval, &snap));
		CHECK(!inval_snap_all(&inval, 5 * GIB, &snap));
		inval_end(&inval, addr, addr + 4096);
		CHECK(inval_stale(&inval, &snap));
	}
}

static void two_invalidations_of_a_place_know_of_each_other(void)
{
	const u64 range[][2] = {
		{ AT, AT + 4096 },			/* one region */
		{ AT - 4096, AT + 4096 },		/* two */
		{ AT - 3 * REGION, AT + REGION },	/* four */
		{ AT - GIB, AT + GIB },			/* many */
	};

	for (unsigned int i = 0; i < 4; i++)
		for (unsigned int j = 0; j < 4; j++) {
			reset();
			inval_begin(&inval, range[i][0], range[i][1]);
			CHECK_EQ(pending(range[i][0], range[i][1]),
				 INVAL_NOTHING);
			inval_begin(&inval, range[j][0], range[j][1]);
			CHECK_EQ(pending(range[i][0], range[i][1]),
				 INVAL_UNKNOWN);
			CHECK_EQ(pending(range[j][0], range[j][1]),
				 INVAL_UNKNOWN);
			inval_end(&inval, range[i][0], range[i][1]);
			CHECK_EQ(pending(range[j][0], range[j][1]),
				 INVAL_NOTHING);
		}
}

static void what_is_deferred_is_pending_until_it_is_done(void)
{
	const u64 range[][2] = {
		{ AT, AT + 4096 }, { AT - 4096, AT + 4096 },
		{ AT - 3 * REGION, AT + REGION }, { AT - GIB, AT + GIB },
	};

	for (unsigned int i = 0; i < 4; i++)
		for (unsigned int j = 0; j < 4; j++) {
			u64 s = range[i][0], e = range[i][1];

			reset();
			inval_begin(&inval, s, e);
			inval_defer(&inval, s, e, 7);
			/* Its own thread is not that far yet. */
			CHECK_EQ(inval_deferred(&inval, s, e), 0);
			inval_end(&inval, s, e);
			CHECK_EQ(inval_deferred(&inval, s, e), 7);
			/* Linux widens a flush of many pages to all. */
			CHECK_EQ(inval_deferred(&inval, 0, ~0ull), 7);

			s = range[j][0], e = range[j][1];
			inval_begin(&inval, s, e);
			CHECK_EQ(pending_gen(s, e), 7);
			inval_defer(&inval, s, e, 5);	/* never backwards */
			CHECK_EQ(pending_gen(s, e), 7);
			inval_deferred_done(&inval, s, e, 6);
			CHECK_EQ(pending_gen(s, e), 7);
			inval_deferred_done(&inval, s, e, 7);
			CHECK_EQ(pending_gen(s, e), 0);
			inval_end(&inval, s, e);
		}
}

static void done_covers_what_came_before_and_no_more(void)
{
	reset();
	inval_begin(&inval, AT, AT + 1);
	inval_defer(&inval, AT, AT + 1, 3);
	inval_end(&inval, AT, AT + 1);
	inval_deferred_done(&inval, AT, AT + 1, 9);
	CHECK_EQ(inval_deferred(&inval, AT, AT + 1), 0);
	inval_begin(&inval, AT, AT + 1);
	inval_defer(&inval, AT, AT + 1, 10);
	CHECK_EQ(pending_gen(AT, AT + 1), 10);
	inval_end(&inval, AT, AT + 1);
	CHECK_EQ(inval_deferred(&inval, AT + REGION, AT + REGION + 1), 0);
	CHECK_EQ(inval_deferred(&inval, AT, AT + 1), 10);
	inval_deferred_done(&inval, AT + REGION, AT + REGION + 1, 10);
	CHECK_EQ(inval_deferred(&inval, AT, AT + 1), 10);
}

int main(void)
{
	CASE(a_snapshot_lives_until_the_next_invalidation);
	CASE(no_snapshot_while_one_is_in_progress);
	CASE(other_regions_do_not_disturb);
	CASE(regular_distances_spread_over_the_buckets);
	CASE(regions_of_one_bucket_disturb_each_other);
	CASE(ranges_mark_all_that_they_touch);
	CASE(all_of_the_address_space_can_be_marked);
	CASE(a_snapshot_of_everything_sees_any_invalidation);
	CASE(two_invalidations_of_a_place_know_of_each_other);
	CASE(what_is_deferred_is_pending_until_it_is_done);
	CASE(done_covers_what_came_before_and_no_more);
	return CHECK_EXIT();
}
