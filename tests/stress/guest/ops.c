// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What threads do to the table. With owners each one checks what came of it; in
 * a wild round what was removed is what the core says it was.
 */
#include <string.h>

#include "guest.h"

#define HISTORY(geom) \
	((geom)->accessed_bit | (geom)->dirty_bit | (geom)->aged_bit)

/* --- what all have in common --- */

static bool is_x86(void)
{
	return w.pt.geom == &pt_x86;
}

static unsigned int all_rights(void)
{
	return is_x86() ? PT_RIGHTS : PT_RWX;
}

static bool writable(unsigned int rights)
{
	return (rights & (PT_W | PT_COW)) == PT_W;
}

static struct pt_range range_of(const struct span *span, struct pt_cache *cache,
				struct gather *gather)
{
	return (struct pt_range){
		.addr = span->start, .end = span->end, .cache = cache,
		.gather = gather,
	};
}

/* Some tables, or the end of the operation: none were to be had. */
static bool refill(struct pt_cache *cache)
{
	if (rnd(16) == 0)
		plat_test_fail_nth(1 + rnd(3));
	pt_cache_fill_to(cache, cache->nr + 1 + rnd(4));
	if (cache->nr)
		return true;
	count(gave_up, 1);
	return false;
}

#define run_op(call, cache) ({						\
	enum pt_result result_;						\
	while ((result_ = (call)) == PT_NEED_TABLES && refill(cache))	\
		;							\
	if (result_ == PT_INVALID)					\
		fail("arguments were refused");				\
	result_; })

static void finish(struct gather *gather)
{
	if (gather_needs_flush(gather)) {
		count(kicks, shootdown_run(&w.sd, gather));
		count(flushes, 1);
	} else if (!gather_is_empty(gather)) {
		count(unflushed, 1);
	}
	gather_release(gather);
}

/* What CPUs may do, from what the owner knows. */
static void forbid_rest(const struct span *span)
{
	for (unsigned int u = span->first; u <= span->last; u++) {
		struct unit *unit = &w.unit[u];

		if (!unit->mapped || !(unit->rights & PT_R))
			unit_forbid(unit, NO_READ | NO_WRITE);
		else if (!writable(unit->rights))
			unit_forbid(unit, NO_WRITE);
	}
}

static void allow(struct unit *unit, unsigned int rights)
{
	if (rights & PT_R)
		unit_allow(unit, NO_READ | (writable(rights) ? NO_WRITE : 0));
}

/* --- map --- */

static bool has_large_gap(const struct span *span)
{
	return span->first == 0 || span->last == NR_UNITS - 1;
}

static bool any_mapped(const struct span *span)
{
	for (unsigned int u = span->first; u <= span->last; u++)
		if (w.unit[u].mapped)
			return true;
	return false;
}

static void set_mapped(const struct span *span, unsigned int memory,
		       unsigned int rights)
{
	for (unsigned int u = span->first; u <= span->last; u++) {
		w.unit[u].mapped = true;
		w.unit[u].memory = memory;
		w.unit[u].rights = rights;
		w.unit[u].known = 0;
	}
}

static unsigned int random_rights(void)
{
	static const unsigned int some[] = {
		PT_R, PT_R | PT_W, PT_R | PT_W, PT_RWX | PT_U, PT_R | PT_X,
		PT_R | PT_W | PT_COW, 0,
	};
	unsigned int rights = some[rnd(7)] & all_rights();

	return is_x86() ? rights : rights | PT_R;
}

static void op_map(struct pt_cache *cache, const struct span *span)
{
	bool expect_exists = !w.wild && any_mapped(span);
	unsigned int memory = memory_alloc(span->first, span->last);
	struct gather gather = GATHER_INIT;
	struct pt_map_range op = {
		.range = range_of(span, cache, &gather),
		.delta = memory_delta(memory), .rights = random_rights(),
		.level = has_large_gap(span) ? 2 + rnd(2) : 1 + rnd(2),
		.age = rnd(3),
	};
	enum pt_result result;

	for (unsigned int u = span->first; u <= span->last; u++)
		if (!expect_exists)
			allow(&w.unit[u], op.rights);
	result = run_op(pt_map_range(&w.pt, &op), cache);
	finish(&gather);
	count(mapped, result == PT_DONE);
	count(exists, result == PT_EXISTS);
	if (result == PT_DONE && expect_exists)
		fail("a range is mapped although something was there");
	/* An empty level-2 table is something for a 1 GiB leaf. */
	if (result == PT_EXISTS && !w.wild && !expect_exists && op.level < 3)
		fail("nothing is mapped in a range, but a map was refused");
	if (result == PT_DONE && !w.wild)
		set_mapped(span, memory, op.rights);
	if (result != PT_DONE)
		for (unsigned int u = span->first; u <= span->last; u++)
			memory_free(memory, u);
	if (!w.wild)
		forbid_rest(span);
}

/* --- unmap --- */

struct removed {
	unsigned int nr;
	struct {
		unsigned int memory, unit;
	} page[NR_UNITS];
};

static void note_removed(void *arg, u64 addr, u64 entry, unsigned int level)
{
	u64 pa = entry & w.pt.geom->addr_mask & ~(pt_level_size(level) - 1);
	u64 end = addr + pt_level_size(level);
	struct removed *removed = arg;

	for (unsigned int u = unit_at(addr); u < NR_UNITS; u++) {
		if (w.unit[u].addr >= end)
			return;
		if (w.unit[u].addr < addr)
			continue;
		cell_at(pa + (w.unit[u].addr - addr), u);
		removed->page[removed->nr].memory = (pa >> 40) - 1;
		removed->page[removed->nr++].unit = u;
	}
}

static void free_removed(const struct removed *removed)
{
	for (unsigned int i = 0; i < removed->nr; i++)
		memory_free(removed->page[i].memory, removed->page[i].unit);
}

/* Those before addr are gone. Their memory: as the core says, or as known. */
static void set_unmapped(const struct span *span, u64 addr,
			 const struct removed *removed)
{
	unsigned int nr = 0;

	for (unsigned int u = span->first; u <= span->last; u++) {
		struct unit *unit = &w.unit[u];

		if (unit->addr >= addr || !unit->mapped)
			continue;
		unit->mapped = false;
		if (!removed) {
			memory_free(unit->memory, u);
			continue;
		}
		if (nr >= removed->nr || removed->page[nr].unit != u ||
		    removed->page[nr].memory != unit->memory)
			fail("unit %u: its removal was not told right", u);
		nr++;
	}
	if (removed && nr != removed->nr)
		fail("%u pages were removed, %u were mapped", removed->nr, nr);
}

static void op_unmap(struct pt_cache *cache, const struct span *span)
{
	struct removed removed = { .nr = 0 };
	bool tell = w.wild || rnd(2);
	struct gather gather = GATHER_INIT;
	struct pt_unmap op = {
		.range = range_of(span, cache, &gather),
		.removed = tell ? note_removed : NULL, .arg = &removed,
	};

	run_op(pt_unmap(&w.pt, &op), cache);
	finish(&gather);
	count(unmapped, op.pages);
	count(splits, op.range.tables);
	if (!w.wild) {
		set_unmapped(span, op.range.addr, tell ? &removed : NULL);
		forbid_rest(span);
	}
	free_removed(&removed);
}

void op_unmap_all(struct pt_cache *cache)
{
	struct span all = span_of(0, NR_UNITS - 1);

	if (!w.wild && !span_own(&all))
		fail("a unit has an owner at the end");
	do
		op_unmap(cache, &all);
	while (memory_used());
	span_disown(&all);
}

/* --- rights --- */

static void random_change(struct pt_change *change, unsigned int *keep,
			  unsigned int *set)
{
	static const unsigned int some[][2] = {
		{ PT_COW, PT_R }, { PT_COW, PT_R | PT_W },
		{ PT_COW | PT_U, PT_R | PT_W }, { PT_COW, PT_R | PT_X },
		{ PT_COW | PT_X | PT_U, PT_R }, { PT_COW, 0 },
		{ PT_COW, PT_RWX | PT_U },
	};
	unsigned int i = rnd(7);

	*keep = some[i][0] & all_rights();
	*set = some[i][1] & all_rights();
	if (!is_x86())
		*set |= PT_R;
	pt_change_init(change, w.pt.geom, *keep, *set);
}

/* The fast way where it is one; else, or when that fails, the general one. */
static enum pt_result protect(struct pt_protect *op, struct pt_cache *cache)
{
	const struct pt_range *range = &op->range;
	enum pt_result result = PT_STALE;
	struct pt_table *pd;

	if ((range->addr ^ (range->end - 1)) < REGION_SIZE && rnd(4)) {
		plat_rcu_lock();
		pd = pt_find_table(&w.pt, range->addr, 2);
		if (pd)
			result = pt_protect_small(pd, range->addr, range->end,
						  op->change, range->gather);
		plat_rcu_unlock();
		count(small_done, result == PT_DONE);
		count(small_stale, pd && result == PT_STALE);
	}
	if (result == PT_DONE)
		op->range.addr = op->range.end;
	else
		result = run_op(pt_protect(&w.pt, op), cache);
	return result;
}

static void op_protect(struct pt_cache *cache, const struct span *span)
{
	struct gather gather = GATHER_INIT;
	unsigned int keep, set;
	struct pt_change change;
	struct pt_protect op = {
		.range = range_of(span, cache, &gather), .change = &change,
	};

	random_change(&change, &keep, &set);
	for (unsigned int u = span->first; u <= span->last; u++)
		if (!w.wild && w.unit[u].mapped)
			allow(&w.unit[u], (w.unit[u].rights & keep) | set);
	protect(&op, cache);
	finish(&gather);
	count(reduced, op.reduced);
	count(splits, op.range.tables);
	count(upgraded, op.changed - op.reduced);
	if (w.wild)
		return;
	for (unsigned int u = span->first; u <= span->last; u++)
		if (w.unit[u].addr < op.range.addr)
			w.unit[u].rights = (w.unit[u].rights & keep) | set;
	forbid_rest(span);
}

static void op_mark_cow(struct pt_cache *cache, const struct span *span)
{
	struct gather gather = GATHER_INIT;
	struct pt_change change;
	struct pt_protect op = {
		.range = range_of(span, cache, &gather), .change = &change,
	};

	pt_change_init(&change, w.pt.geom, PT_RIGHTS, PT_COW);
	protect(&op, cache);
	finish(&gather);
	count(marked_cow, 1);
	for (unsigned int u = span->first; !w.wild && u <= span->last; u++)
		if (w.unit[u].addr < op.range.addr)
			w.unit[u].rights |= PT_COW;
	if (!w.wild)
		forbid_rest(span);
}

/* One leaf for another one, of other memory. False: it is not that any more. */
static bool replace(struct unit *unit, unsigned int memory, unsigned int rights,
		    struct gather *gather, u64 *old)
{
	struct pt_replace op = {
		.addr = unit->addr, .gather = gather,
		.leaf = {
			.pa = unit->addr + memory_delta(memory), .level = 1,
			.rights = rights, .age = rnd(3),
		},
	};
	unsigned int level;
	enum pt_result result;
	u64 seen = pt_lookup(&w.pt, unit->addr, &level);

	*old = op.old = seen;
	if (!op.old || level > 1)
		return false;
	/* As if somebody else had been faster. */
	if (rnd(8) == 0)
		*old = op.old ^= 1ull << 40;
	result = pt_replace(&w.pt, &op);
	if (result == PT_INVALID)
		fail("a replacement was refused");
	if (result == PT_DONE && op.old != seen && !w.wild)
		fail("a leaf was replaced that is not the one");
	count(stale, result == PT_STALE);
	return result == PT_DONE;
}

/* A page of its own for a unit that is to be copied. */
static void op_copy(struct pt_cache *cache, const struct span *span)
{
	unsigned int u = span->first, memory, rights;
	struct unit *unit = &w.unit[u];
	struct gather gather = GATHER_INIT;
	struct pt_range page = {
		.addr = unit->addr, .end = unit->addr + PAGE, .cache = cache,
	};
	u64 old;

	if (!w.wild && (!unit->mapped || !(unit->rights & PT_COW)))
		return;
	rights = w.wild ? random_rights() | PT_R : unit->rights;
	if (run_op(pt_split(&w.pt, &page, 1), cache) != PT_DONE)
		return;
	memory = memory_alloc(u, u);
	if (!w.wild)
		cell_copy(memory, unit->memory, u);
	if (!replace(unit, memory, rights, &gather, &old)) {
		memory_free(memory, u);
		finish(&gather);
		return;
	}
	finish(&gather);
	memory_free(((old & w.pt.geom->addr_mask) >> 40) - 1, u);
	count(copied, 1);
	if (w.wild)
		return;
	unit->memory = memory;
	unit->known = 0;
	allow(unit, rights & ~PT_COW);
	gather_init(&gather);
	if (replace(unit, memory, rights & ~PT_COW, &gather, &old))
		unit->rights &= ~PT_COW;
	if (gather_needs_flush(&gather))
		fail("a flush for more rights");
	forbid_rest(span);
}

/* --- dirty --- */

static void note_hit(void *arg, u64 addr, unsigned int level)
{
	u64 end = (addr & ~(pt_level_size(level) - 1)) + pt_level_size(level);
	bool *hit = arg;

	for (unsigned int u = unit_at(addr); u < NR_UNITS; u++)
		if (w.unit[u].addr >= addr && w.unit[u].addr < end)
			hit[u] = true;
}

static u64 version_of(const struct unit *unit)
{
	return plat_load(&cell_of(unit->memory, unit - w.unit)->version);
}

/* Whatever was written before the scan is found by it, or was found before. */
static void op_scan(const struct span *span)
{
	struct gather gather = GATHER_INIT;
	bool hit[NR_UNITS] = { false };
	u64 before[NR_UNITS] = { 0 };
	struct pt_scan op = {
		.range = range_of(span, NULL, &gather),
		.what = PT_SCAN_DIRTY | (rnd(2) ? PT_SCAN_ACCESSED : 0),
		.mode = PT_SCAN_CLEAR, .hit = note_hit, .arg = hit,
	};

	for (unsigned int u = span->first; !w.wild && u <= span->last; u++)
		if (w.unit[u].mapped)
			before[u] = version_of(&w.unit[u]);
	pt_scan(&w.pt, &op);
	finish(&gather);
	count(scans, 1);
	for (unsigned int u = span->first; !w.wild && u <= span->last; u++) {
		struct unit *unit = &w.unit[u];

		if (!unit->mapped)
			continue;
		count(dirty, hit[u]);
		count(clean, !hit[u]);
		if (!hit[u] && before[u] != unit->known)
			fail("unit %u was written to and does not look dirty", u);
		if (hit[u])
			unit->known = version_of(unit);
	}
}

/* --- what needs no owner --- */

static void op_split(struct pt_cache *cache, const struct span *span)
{
	struct pt_range range = range_of(span, cache, NULL);

	run_op(pt_split(&w.pt, &range, has_large_gap(span) ? 2 : 1 + rnd(2)),
	       cache);
	count(splits, range.tables);
}

static void op_merge(const struct span *span)
{
	struct gather gather = GATHER_INIT;
	struct pt_merge op = {
		.range = range_of(span, NULL, &gather), .level = 2 + rnd(2),
	};

	pt_merge(&w.pt, &op);
	finish(&gather);
	count(merges, op.merged);
}

static void op_trim(const struct span *span)
{
	struct gather gather = GATHER_INIT;
	struct pt_range range = range_of(span, NULL, &gather);

	pt_trim(&w.pt, &range);
	count(trimmed, gather.nr_tables);
	finish(&gather);
}

static void op_age(const struct span *span)
{
	struct gather gather = GATHER_INIT;
	struct pt_scan op = {
		.range = range_of(span, NULL, rnd(2) ? &gather : NULL),
		.what = PT_SCAN_ACCESSED, .mode = PT_SCAN_CLEAR,
	};

	if (rnd(2)) {
		count(aged, pt_age(&w.pt, span->start, span->end, PT_AGE_CLEAR));
		return;
	}
	pt_scan(&w.pt, &op);
	count(aged, op.pages);
	finish(&gather);
}

/* --- what is there --- */

static void check_page(unsigned int u)
{
	const struct unit *unit = &w.unit[u];
	struct pt_leaf leaf;
	unsigned int level;
	u64 entry = pt_lookup(&w.pt, unit->addr, &level);

	if ((entry != 0) != unit->mapped)
		fail("unit %u is %smapped, as far as its owner knows", u,
		     unit->mapped ? "" : "not ");
	if (!entry)
		return;
	pt_decode(w.pt.geom, entry, level, &leaf);
	cell_at(leaf.pa + (unit->addr & (pt_level_size(level) - 1)), u);
	if ((leaf.pa >> 40) - 1 != unit->memory)
		fail("unit %u has memory %llu, not %u", u, (leaf.pa >> 40) - 1,
		     unit->memory);
	if (leaf.rights != unit->rights)
		fail("unit %u has rights 0x%x, not 0x%x", u, leaf.rights,
		     unit->rights);
}

static int count_leaf(void *arg, u64 addr, u64 entry, unsigned int level)
{
	u64 *next = arg;

	if (!entry || addr < *next)
		fail("a walk goes backwards");
	*next = (addr & ~(pt_level_size(level) - 1)) + pt_level_size(level);
	return 0;
}

static void op_verify(const struct span *span)
{
	struct pt_range range = range_of(span, NULL, NULL);
	u64 next = span->start;

	pt_walk_range(&w.pt, &range, count_leaf, &next);
	for (unsigned int u = span->first; !w.wild && u <= span->last; u++)
		check_page(u);
	count(verified, 1);
}

/* --- which one --- */

/* Something new in the place of what is there, if anything. */
static void op_remap(struct pt_cache *cache, const struct span *span)
{
	if (rnd(8))
		op_unmap(cache, span);
	op_map(cache, span);
}

static void op_owned(struct pt_cache *cache, unsigned int kind,
		     const struct span *span)
{
	if (kind < 3)
		op_map(cache, span);
	else if (kind < 14)
		op_remap(cache, span);
	else if (kind < 16)
		op_unmap(cache, span);
	else if (kind < 28)
		op_protect(cache, span);
	else if (kind < 31 && is_x86())
		op_mark_cow(cache, span);
	else if (kind < 36 && is_x86())
		op_copy(cache, span);
	else if (kind < 42)
		op_scan(span);
	else
		op_verify(span);
}

void op_random(struct pt_cache *cache)
{
	struct span span = random_span();
	unsigned int kind = rnd(64);

	__atomic_fetch_add(&w.ops, 1, __ATOMIC_RELAXED);
	if (kind < 46) {
		if (!span_own(&span))
			return;
		op_owned(cache, kind, &span);
		span_disown(&span);
	} else if (kind < 51) {
		op_split(cache, &span);
	} else if (kind < 58) {
		op_merge(&span);
	} else if (kind < 60) {
		op_trim(&span);
	} else {
		op_age(&span);
	}
}
