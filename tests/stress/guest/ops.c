// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What threads do to the table. With owners each one checks what came of it; in
 * a wild round what was removed is what the core says it was.
 */
#include "ops.h"

/* --- what all have in common --- */

static bool writable(unsigned int rights)
{
	return (rights & (PT_W | PT_COW)) == PT_W;
}

bool refill(struct pt_cache *cache)
{
	if (rnd(16) == 0)
		plat_test_fail_nth(1 + rnd(3));
	pt_cache_fill_to(cache, cache->nr + 1 + rnd(4));
	if (cache->nr)
		return true;
	count(gave_up, 1);
	return false;
}

void finish(struct gather *gather)
{
	if (gather_needs_flush(gather)) {
		count(kicks, shootdown_run(&w.sd, gather));
		count(flushes, 1);
	} else if (!gather_is_empty(gather)) {
		count(unflushed, 1);
	}
	gather_release(gather);
}

void forbid_rest(const struct span *span)
{
	for (unsigned int u = span->first; u <= span->last; u++) {
		struct unit *unit = &w.unit[u];

		if (!unit->mapped || !(unit->rights & PT_R))
			unit_forbid(unit, NO_READ | NO_WRITE);
		else if (!writable(unit->rights))
			unit_forbid(unit, NO_WRITE);
	}
}

void allow(struct unit *unit, unsigned int rights)
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

unsigned int random_rights(void)
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
