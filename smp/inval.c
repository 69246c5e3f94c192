// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Invalidations: ranges of several buckets, snapshots, deferred flushes. */
#include "inval.h"

/* The region of a range's i-th bucket is marked as often as it occurs. */
#define for_each_region(addr, start, end)				\
	for ((addr) = (start) & ~((1ull << INVAL_REGION_SHIFT) - 1);	\
	     (addr) < (end); (addr) += 1ull << INVAL_REGION_SHIFT)

static u64 nr_regions(u64 start, u64 end)
{
	return ((end - 1) >> INVAL_REGION_SHIFT) - (start >> INVAL_REGION_SHIFT) +
	       1;
}

static bool is_global(u64 start, u64 end)
{
	return nr_regions(start, end) > INVAL_MAX_REGIONS;
}

void inval_begin_wide(struct inval *inval, u64 start, u64 end)
{
	u64 addr;

	/* [IV-2] as in inval_begin(). */
	if (is_global(start, end)) {
		plat_add64_full(&inval->global.word, 1);
		return;
	}
	for_each_region(addr, start, end)
		plat_add64_full(&inval_bucket(inval, addr)->word, 1);
}

void inval_end_wide(struct inval *inval, u64 start, u64 end)
{
	u64 addr;

	/* [IV-4] as in inval_end(). */
	if (is_global(start, end)) {
		plat_add64_release(&inval->global.word, INVAL_ONE_DONE - 1);
		return;
	}
	for_each_region(addr, start, end)
		plat_add64_release(&inval_bucket(inval, addr)->word,
				   INVAL_ONE_DONE - 1);
}

static u64 later(u64 a, u64 b)
{
	return a > b ? a : b;
}

/* The generation that is still awaited in one bucket; 0: none. */
static u64 awaited(const struct inval_bucket *bucket)
{
	u64 need = plat_load_acquire(&bucket->need);

	return need > plat_load(&bucket->done) ? need : 0;
}

enum inval_pending inval_awaited(struct inval *inval,
				 const struct inval_bucket *bucket, u64 *gen)
{
	*gen = later(awaited(bucket), awaited(&inval->global));
	return *gen ? INVAL_DEFERRED : INVAL_NOTHING;
}

/* All buckets of a range that marks the global one: it may touch any. */
static u64 others_active(const struct inval *inval, u64 *gen)
{
	u64 active = inval_active(plat_load_acquire(&inval->global.word)) - 1;

	for (unsigned int i = 0; i < INVAL_NR_BUCKETS; i++) {
		const struct inval_bucket *bucket = &inval->bucket[i];

		active += inval_active(plat_load_acquire(&bucket->word));
		*gen = later(*gen, awaited(bucket));
	}
	return active;
}

enum inval_pending inval_pending_wide(struct inval *inval, u64 start, u64 end,
				      u64 *gen)
{
	u64 active = 0, addr;

	*gen = 0;
	if (is_global(start, end)) {
		active = others_active(inval, gen);
	} else {
		active = inval_active(plat_load_acquire(&inval->global.word));
		for_each_region(addr, start, end) {
			struct inval_bucket *bucket = inval_bucket(inval, addr);

			active += inval_active(
					  plat_load_acquire(&bucket->word)) - 1;
			*gen = later(*gen, awaited(bucket));
		}
	}
	*gen = later(*gen, awaited(&inval->global));
	if (active)
		return INVAL_UNKNOWN;
	return *gen ? INVAL_DEFERRED : INVAL_NOTHING;
}

void inval_defer_wide(struct inval *inval, u64 start, u64 end, u64 gen)
{
	u64 addr;

	if (is_global(start, end)) {
		inval_raise(&inval->global.need, gen);
		return;
	}
	for_each_region(addr, start, end)
		inval_raise(&inval_bucket(inval, addr)->need, gen);
}

static u64 deferred_in(const struct inval_bucket *bucket)
{
	u64 gen = awaited(bucket);

	return gen && !inval_active(plat_load_acquire(&bucket->word)) ? gen : 0;
}

u64 inval_deferred_wide(struct inval *inval, u64 start, u64 end)
{
	u64 gen = deferred_in(&inval->global), addr;

	/* Linux widens a flush of many pages to all of them. */
	if (is_global(start, end)) {
		for (unsigned int i = 0; i < INVAL_NR_BUCKETS; i++)
			gen = later(gen, deferred_in(&inval->bucket[i]));
		return gen;
	}
	for_each_region(addr, start, end)
		gen = later(gen, deferred_in(inval_bucket(inval, addr)));
	return gen;
}

static void settle(struct inval_bucket *bucket, u64 gen)
{
	if (awaited(bucket))
		inval_raise(&bucket->done, gen);
}

void inval_deferred_done_wide(struct inval *inval, u64 start, u64 end,
			      u64 gen)
{
	u64 addr;

	settle(&inval->global, gen);
	if (is_global(start, end)) {
		for (unsigned int i = 0; i < INVAL_NR_BUCKETS; i++)
			settle(&inval->bucket[i], gen);
		return;
	}
	for_each_region(addr, start, end)
		settle(inval_bucket(inval, addr), gen);
}

/* Words only grow but for their active part, which is 0 in a valid snapshot. */
static u64 sum_of_words(const struct inval *inval)
{
	u64 sum = 0;

	for (unsigned int i = 0; i < INVAL_NR_BUCKETS; i++)
		sum += plat_load_acquire(&inval->bucket[i].word);
	return sum;
}

bool inval_snap_all(struct inval *inval, u64 addr, struct inval_snap *snap)
{
	bool quiet = inval_snap(inval, addr, snap);

	snap->all = sum_of_words(inval) + 1;	/* never 0 */
	return quiet && !inval_active(snap->all - 1);
}

bool inval_stale_all(const struct inval *inval, const struct inval_snap *snap)
{
	return sum_of_words(inval) + 1 != snap->all;
}
