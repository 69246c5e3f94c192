// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Operations on rights, copy on write, and dirty bits, with what they promise. */
#include "ops.h"

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

void op_protect(struct pt_cache *cache, const struct span *span)
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

void op_mark_cow(struct pt_cache *cache, const struct span *span)
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
void op_copy(struct pt_cache *cache, const struct span *span)
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
void op_scan(const struct span *span)
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
