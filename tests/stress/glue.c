// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See glue.h. The comments name the function of kmod. */
#include "glue.h"

#define MAX_TRIES	8

static u64 slot_gpa(unsigned int slot)
{
	static const unsigned int order[NR_SLOTS] = { 2, 0, 1 };

	return (u64)order[slot] << SLOT_SHIFT;
}

u64 glue_gpa(u64 hva)
{
	return slot_gpa(hva >> SLOT_SHIFT) | (hva & (SLOT_SIZE - 1));
}

/* ept_count_removed() */
static void count_removed(const struct gather *gather)
{
	count(removed, gather_nr_leaves(gather));
	for (unsigned int level = 1; level < 4; level++)
		count(leaves[level], -(u64)gather->leaves[level]);
	count(tables, -(u64)gather->nr_tables);
}

/* ept_flush() */
static void flush(struct gather *gather)
{
	count(kicks, replicas_run(&w.ept, gather));
	count(flushes, 1);
	count_removed(gather);
	gather_release(gather);
}

/* ept_flush_settle() */
static void flush_settle(u64 start, u64 end, u64 gen)
{
	unsigned int kicks = replicas_settle(&w.ept, gen);

	inval_deferred_done(&w.inval, start, end, gen);
	count(kicks, kicks);
	count(settled, kicks);
}

/* zap_whole_slot() */
static void zap_whole_slot(u64 gpa)
{
	struct gather gather;

	gather_init(&gather);
	inval_begin(&w.inval, 0, ~0ull);
	replicas_zap(&w.ept, gpa, gpa + SLOT_SIZE, &gather);
	flush(&gather);
	inval_end(&w.inval, 0, ~0ull);
	count(widened, 1);
}

/* ept_zap_slot() */
static void zap_slot(unsigned int slot, u64 start, u64 end,
		     struct gather *gather)
{
	u64 gpa = slot_gpa(slot), mask = SLOT_SIZE - 1;

	if (replicas_zap(&w.ept, gpa + (start & mask),
			 gpa + ((end - 1) & mask) + 1, gather) == PT_ZAP_WIDEN)
		zap_whole_slot(gpa);
}

/* ept_zap_slot_small() */
static void zap_slot_small(unsigned int slot, u64 start, u64 end,
			   struct gather *gather)
{
	u64 gpa = slot_gpa(slot), mask = SLOT_SIZE - 1;

	if (pt_zap_small(&w.ept.first.pt, gpa + (start & mask),
			 gpa + ((end - 1) & mask) + 1, gather) == PT_ZAP_WIDEN)
		zap_whole_slot(gpa);
}

/* for_each_slot() */
static void zap(u64 start, u64 end, struct gather *gather)
{
	for (unsigned int slot = 0; slot < NR_SLOTS; slot++) {
		u64 base = slot * SLOT_SIZE;
		u64 from = start > base ? start : base;
		u64 to = end < base + SLOT_SIZE ? end : base + SLOT_SIZE;

		if (from < to)
			zap_slot(slot, from, to, gather);
	}
}

/* flush_now() */
static void flush_now(u64 start, u64 end, enum glue_ride ride,
		      struct gather *gather, enum inval_pending pending, u64 gen)
{
	if (pending == INVAL_UNKNOWN || gather_needs_flush(gather)) {
		flush(gather);
		return;
	}
	count_removed(gather);
	if (pending == INVAL_DEFERRED && ride == GLUE_RIDE_NOT)
		flush_settle(start, end, gen);
}

/* may_defer() */
static bool may_defer(enum glue_ride ride, const struct gather *gather,
		      enum inval_pending pending)
{
	return (pending == INVAL_UNKNOWN || gather_needs_flush(gather)) &&
	       !gather->tables && ride == GLUE_RIDE_SURE;
}

/* nothing_to_flush() */
static bool nothing_to_flush(struct gather *gather,
			     enum inval_pending pending)
{
	if (pending == INVAL_UNKNOWN)
		gather_of_others(gather);
	if (gather_is_empty(gather) && pending == INVAL_UNKNOWN)
		count(raced, 1);
	return gather_is_empty(gather) && pending == INVAL_NOTHING;
}

/* start_wide() */
static void start_wide(u64 start, u64 end, enum glue_ride ride)
{
	enum inval_pending pending;
	struct gather gather = GATHER_INIT;
	u64 gen = 0;

	inval_begin_wide(&w.inval, start, end);
	zap(start, end, &gather);
	pending = inval_pending_wide(&w.inval, start, end, &gen);
	if (nothing_to_flush(&gather, pending))
		return;
	if (!may_defer(ride, &gather, pending)) {
		flush_now(start, end, ride, &gather, pending, gen);
		return;
	}
	replicas_defer(&w.ept, &w.inval, start, end, &gather);
	count(deferred, 1);
	count_removed(&gather);
}

/* start_small() */
static void start_small(u64 start, u64 end, enum glue_ride ride)
{
	struct inval_bucket *bucket = inval_bucket(&w.inval, start);
	enum inval_pending pending;
	struct gather gather = GATHER_INIT;
	u64 gen = 0;

	inval_mark(bucket);
	zap_slot_small(start >> SLOT_SHIFT, start, end, &gather);
	pending = inval_pending_one(&w.inval, bucket, &gen);
	if (nothing_to_flush(&gather, pending))
		return;
	if (!may_defer(ride, &gather, pending)) {
		flush_now(start, end, ride, &gather, pending, gen);
		return;
	}
	shootdown_defer_one(&w.ept.first.sd, bucket, &gather);
	count(deferred, 1);
	count_removed(&gather);
}

/* range_start() */
void glue_range_start(u64 start, u64 end, enum glue_ride ride)
{
	if (inval_is_small(start, end) && !w.ept.nr_more)
		start_small(start, end, ride);
	else
		start_wide(start, end, ride);
}

/* range_end() */
void glue_range_end(u64 start, u64 end)
{
	inval_end(&w.inval, start, end);
}

/* after_flush() */
void glue_after_flush(u64 start, u64 end)
{
	u64 gen = inval_deferred(&w.inval, start, end);

	if (!gen)
		return;
	if (replicas_progress(&w.ept, gen) == SD_OVER)
		inval_deferred_done(&w.inval, start, end, gen);
	else
		flush_settle(start, end, gen);
}

/* mm_release() */
void glue_mm_release(void)
{
	struct gather gather;

	gather_init(&gather);
	inval_begin(&w.inval, 0, ~0ull);
	replicas_zap(&w.ept, 0, ~0ull, &gather);
	flush(&gather);
	inval_end(&w.inval, 0, ~0ull);
}

/* age() */
int glue_age(u64 start, u64 end, enum pt_age_mode mode)
{
	int young = 0;

	for (unsigned int slot = 0; slot < NR_SLOTS; slot++) {
		u64 base = slot * SLOT_SIZE, gpa = slot_gpa(slot);
		u64 from = start > base ? start : base;
		u64 to = end < base + SLOT_SIZE ? end : base + SLOT_SIZE;

		if (from < to)
			young |= replicas_age(&w.ept, gpa + (from - base),
					      gpa + (to - base), mode);
	}
	return young;
}

/* ept_make_room(), with make_room() of ept_fault.c */
static void make_room(u64 hva, unsigned int level)
{
	u64 size = pt_level_size(level > 2 ? level : 2);
	u64 start = hva & ~(size - 1), end = start + size;
	struct gather gather;

	gather_init(&gather);
	inval_begin(&w.inval, start, end);
	zap_slot(hva >> SLOT_SHIFT, start, end, &gather);
	flush(&gather);
	inval_end(&w.inval, start, end);
}

static void count_result(const struct pt_map_op *op, enum pt_map_result result)
{
	if (result == PT_MAP_INSTALLED) {
		count(installed, 1);
		count(leaves[op->leaf.level], 1);
	}
	count(upgraded, result == PT_MAP_UPGRADED);
	count(spurious, result == PT_MAP_SPURIOUS);
	count(stale, result == PT_MAP_STALE);
	count(conflicts, result == PT_MAP_CONFLICT);
	count(tables, op->tables);
	count(restarts, op->restarts);
	count(contended, op->contended);
}

/* giant_leaf() */
static bool giant_leaf(u64 hva, unsigned int want, struct pt_map_op *op)
{
	return inval_snap_all(&w.inval, hva, &op->snap) &&
	       !host_leaf(hva, want, &op->leaf);
}

/* try_map() */
static int try_map(struct pt *pt, struct pt_cache *cache, u64 hva,
		   unsigned int want)
{
	struct pt_map_op op = {
		.addr = glue_gpa(hva),
		.inval = &w.inval,
		.cache = cache,
	};
	enum pt_map_result result;
	int err;

	err = pt_cache_fill(cache);
	if (err)
		return err;
	if (!inval_snap(&w.inval, hva, &op.snap))
		return -EAGAIN;
	err = host_leaf(hva, want, &op.leaf);
	if (err == -EAGAIN) {
		err = host_populate(hva, want);
		if (err)
			return err;
		if (!inval_snap(&w.inval, hva, &op.snap))
			return -EAGAIN;
		err = host_leaf(hva, want, &op.leaf);
	}
	if (err)
		return err;
	if (op.leaf.level > 2 && !giant_leaf(hva, want, &op))
		return -EAGAIN;

	result = pt_map(pt, &op);
	count_result(&op, result);
	if (result == PT_MAP_CONFLICT)
		make_room(hva, op.leaf.level);
	return result == PT_MAP_STALE || result == PT_MAP_CONFLICT ? -EAGAIN : 0;
}

/* vcpu_ept_fault() */
void glue_fault(struct pt *pt, struct pt_cache *cache, u64 hva, unsigned int want)
{
	for (unsigned int tries = 0; tries < MAX_TRIES; tries++) {
		if (!try_map(pt, cache, hva, want))
			return;
		count(retries, 1);
		plat_cpu_relax();
	}
}
