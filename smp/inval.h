/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Invalidations in progress, and those whose flush somebody else finishes.
 *
 * An invalidation goes from inval_begin() to inval_end(), around the change of
 * the mapping that the table mirrors (mmu notifier: start to end). A fault
 * takes a snapshot before it looks that mapping up and installs nothing when
 * the snapshot is no longer valid.
 *
 * State: buckets, hashed by 2 MiB region, and one global for ranges that touch
 * many regions. Each has
 *   word   number of invalidations in progress (low bits) and completed
 *   need   generation of the last deferred shootdown (shootdown.h) in it
 *   done   generation up to which those are known to be over
 * Threads that work in different regions write different lines.
 *
 *   fault                               invalidation
 *     read words: none in progress        active++, full fence     [IV-2]
 *       (acquire)             [IV-3]      remove entries, flush
 *     look up the mapping                 (the mapping changes)
 *     ... [IV-1] in pt.c                  seq++, active-- (release) [IV-4]
 *     words changed: STALE
 *
 * Two invalidations of one page: the second finds nothing to remove, although
 * the first one's flush is still to come. It asks inval_pending() after its
 * walk and before it relies on that.
 */
#ifndef SMP_INVAL_H
#define SMP_INVAL_H

#include "plat.h"

#define INVAL_REGION_SHIFT	21	/* 2 MiB */
#define INVAL_BUCKET_BITS	6
#define INVAL_NR_BUCKETS	(1u << INVAL_BUCKET_BITS)
#define INVAL_MAX_REGIONS	4u	/* a longer range marks the global one */

#define INVAL_ACTIVE_BITS	24
#define INVAL_ACTIVE_MASK	((1ull << INVAL_ACTIVE_BITS) - 1)
#define INVAL_ONE_DONE		(1ull << INVAL_ACTIVE_BITS)

struct inval_bucket {
	u64 word;
	u64 need;
	u64 done;
} __attribute__((aligned(64)));

struct inval {
	struct inval_bucket global;
	struct inval_bucket bucket[INVAL_NR_BUCKETS];
};

/* What a fault remembers. */
struct inval_snap {
	const struct inval_bucket *bucket;
	u64 word, global;
	u64 all;	/* sum of all words + 1, for leaves larger than a region */
};

/* Of one range: what is still to be flushed by someone. */
enum inval_pending {
	INVAL_NOTHING,		/* what is absent was flushed */
	INVAL_UNKNOWN,		/* another one may be removing: bump and flush */
	INVAL_DEFERRED,		/* a generation that is not seen everywhere yet */
};

/* Fibonacci hashing: neighbours differ, and so do regular strides. */
static inline struct inval_bucket *inval_bucket(struct inval *inval, u64 addr)
{
	u32 region = addr >> INVAL_REGION_SHIFT;

	return &inval->bucket[(u32)(region * 0x9e3779b1u) >>
			      (32 - INVAL_BUCKET_BITS)];
}

/* Does [start, end) lie in one region? The case that has to be fast. */
static inline bool inval_is_small(u64 start, u64 end)
{
	return ((start ^ (end - 1)) >> INVAL_REGION_SHIFT) == 0;
}

static inline u64 inval_active(u64 word)
{
	return word & INVAL_ACTIVE_MASK;
}

static inline bool inval_is_settled(const struct inval_bucket *bucket)
{
	return plat_load(&bucket->need) <= plat_load(&bucket->done);
}

static inline void inval_raise(u64 *p, u64 value)
{
	u64 old = plat_load(p);

	/* [IV-6] (release) before the bucket is left; see [IV-5]. Shape: MP. */
	while (old < value && !plat_cas64(p, &old, value))
		;
}

/* --- of a range in one region: its bucket --- */

static inline void inval_mark(struct inval_bucket *bucket)
{
	/*
	 * [IV-2] The mark before any entry is read; pairs with [IV-1] in pt.c.
	 * Shape: SB.
	 */
	plat_add64_full(&bucket->word, 1);
}

static inline void inval_unmark(struct inval_bucket *bucket)
{
	/*
	 * [IV-4] The change of the mapping before the word; pairs with [IV-3]
	 * in inval_snap(): else a fault believes a mapping that is gone.
	 * Shape: MP.
	 */
	plat_add64_release(&bucket->word, INVAL_ONE_DONE - 1);
}

enum inval_pending inval_awaited(struct inval *inval,
				 const struct inval_bucket *bucket, u64 *gen);

static inline enum inval_pending inval_pending_one(struct inval *inval,
						   const struct inval_bucket *b,
						   u64 *gen)
{
	/*
	 * [IV-5] The walk's reads (acquire) before the words: whoever removed
	 * what this walk missed had marked the bucket before, and leaves it
	 * only after need is written [IV-6]. Shape: MP.
	 */
	if (inval_active(plat_load_acquire(&b->word)) > 1 ||
	    inval_active(plat_load_acquire(&inval->global.word)))
		return INVAL_UNKNOWN;
	if (inval_is_settled(b) && inval_is_settled(&inval->global))
		return INVAL_NOTHING;
	return inval_awaited(inval, b, gen);
}

/* --- of any range --- */

void inval_begin_wide(struct inval *inval, u64 start, u64 end);
void inval_end_wide(struct inval *inval, u64 start, u64 end);
enum inval_pending inval_pending_wide(struct inval *inval, u64 start, u64 end,
				      u64 *gen);
void inval_defer_wide(struct inval *inval, u64 start, u64 end, u64 gen);
u64 inval_deferred_wide(struct inval *inval, u64 start, u64 end);
void inval_deferred_done_wide(struct inval *inval, u64 start, u64 end, u64 gen);

/* The same start and end for begin, pending, defer and end. end > start. */
static inline void inval_begin(struct inval *inval, u64 start, u64 end)
{
	if (inval_is_small(start, end))
		inval_mark(inval_bucket(inval, start));
	else
		inval_begin_wide(inval, start, end);
}

static inline void inval_end(struct inval *inval, u64 start, u64 end)
{
	if (inval_is_small(start, end))
		inval_unmark(inval_bucket(inval, start));
	else
		inval_end_wide(inval, start, end);
}

/*
 * After the walk, before inval_end(): may the caller rely on what it found
 * absent? DEFERRED: *gen is to be seen by every CPU first.
 */
static inline enum inval_pending inval_pending(struct inval *inval, u64 start,
					       u64 end, u64 *gen)
{
	if (inval_is_small(start, end))
		return inval_pending_one(inval, inval_bucket(inval, start), gen);
	return inval_pending_wide(inval, start, end, gen);
}

/*
 * The flush up to gen is left to somebody who is sure to do it. Between
 * inval_begin() and inval_end() of the range.
 */
static inline void inval_defer(struct inval *inval, u64 start, u64 end, u64 gen)
{
	if (inval_is_small(start, end))
		inval_raise(&inval_bucket(inval, start)->need, gen);
	else
		inval_defer_wide(inval, start, end, gen);
}

/*
 * What was deferred in the range and is not known to be over: a generation, or
 * 0. Any range, inside of begin and end or not. 0 as well while an
 * invalidation is in progress there: its thread is not that far yet.
 */
static inline u64 inval_deferred(struct inval *inval, u64 start, u64 end)
{
	const struct inval_bucket *bucket = inval_bucket(inval, start);
	u64 need;

	if (!inval_is_small(start, end))
		return inval_deferred_wide(inval, start, end);
	if (inval_active(plat_load_acquire(&bucket->word)))
		return 0;
	if (!inval_is_settled(&inval->global))
		return inval_deferred_wide(inval, start, end);
	need = plat_load_acquire(&bucket->need);
	return need > plat_load(&bucket->done) ? need : 0;
}

/* Every CPU has seen gen, which covers all generations before it. */
static inline void inval_deferred_done(struct inval *inval, u64 start, u64 end,
				       u64 gen)
{
	if (inval_is_small(start, end) && inval_is_settled(&inval->global))
		inval_raise(&inval_bucket(inval, start)->done, gen);
	else
		inval_deferred_done_wide(inval, start, end, gen);
}

/*
 * The state before a lookup of the mapping at addr, for a leaf that lies in
 * one region. False: an invalidation is in progress.
 */
static inline bool inval_snap(struct inval *inval, u64 addr,
			      struct inval_snap *snap)
{
	/* [IV-3] Before the lookup (acquire); see [IV-4]. Shape: MP. */
	snap->bucket = inval_bucket(inval, addr);
	snap->word = plat_load_acquire(&snap->bucket->word);
	snap->global = plat_load_acquire(&inval->global.word);
	snap->all = 0;
	return !inval_active(snap->word | snap->global);
}

/* For a leaf of any size; reads every bucket. */
bool inval_snap_all(struct inval *inval, u64 addr, struct inval_snap *snap);
bool inval_stale_all(const struct inval *inval, const struct inval_snap *snap);

/* Was there an invalidation since? After a full fence or under a lock. */
static inline bool inval_stale(const struct inval *inval,
			       const struct inval_snap *snap)
{
	return plat_load(&snap->bucket->word) != snap->word ||
	       plat_load(&inval->global.word) != snap->global ||
	       (snap->all && inval_stale_all(inval, snap));
}

#endif /* SMP_INVAL_H */
