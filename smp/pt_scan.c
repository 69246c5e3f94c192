// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Accessed and dirty bits of a range.
 *
 * Testing takes no lock. Clearing holds the table's, so that a leaf does not
 * become a table in between; hardware and pt_age() change the bits all the
 * same, so a leaf is cleared by cas. Accessed leaves aged behind: whether a CPU
 * has the leaf cached is not known from then on.
 */
#include "pt_visit.h"

#define CHUNK	8u

static u64 wanted_bits(const struct pt_geometry *geom, unsigned int what)
{
	return (what & PT_SCAN_ACCESSED ? geom->accessed_bit : 0) |
	       (what & PT_SCAN_DIRTY ? geom->dirty_bit : 0);
}

/* A format without one of the bits cannot tell. */
static bool always_hits(const struct pt_geometry *geom, unsigned int what)
{
	return (what & PT_SCAN_ACCESSED && !geom->accessed_bit) ||
	       (what & PT_SCAN_DIRTY && !geom->dirty_bit);
}

static void set_bits(u64 *bitmap, u64 first, u64 nr)
{
	for (; nr && first % 64; first++, nr--)
		bitmap[first / 64] |= 1ull << first % 64;
	for (; nr >= 64; first += 64, nr -= 64)
		bitmap[first / 64] = ~0ull;
	for (; nr; first++, nr--)
		bitmap[first / 64] |= 1ull << first % 64;
}

/* [addr, end): the part of the leaf that lies in the range. */
static void report(struct pt_scan *op, u64 addr, u64 end, unsigned int level)
{
	op->pages += (end - addr) >> 12;
	if (op->bitmap)
		set_bits(op->bitmap, (addr - op->base) >> 12,
			 (end - addr) >> 12);
	if (op->hit)
		op->hit(op->arg, addr, level);
}

/* Returns the bits that were set, of those wanted. */
static u64 clear_locked(const struct pt_geometry *geom, struct pt_scan *op,
			u64 *entry, u64 value, u64 wanted)
{
	u64 new;

	do {
		new = value & ~wanted;
		if (value & wanted & geom->accessed_bit)
			new |= geom->aged_bit;
	} while (new != value && !plat_cas64(entry, &value, new));
	if (new != value && op->range.gather)
		gather_reduced(op->range.gather, GATHER_LEAF_CACHED);
	return value & wanted;
}

static inline void scan_leaf(struct pt_visit *visit, struct pt_scan *op,
			     u64 *entry, u64 value, unsigned int level)
{
	const struct pt_geometry *geom = visit->geom;
	struct pt_range *range = visit->range;
	u64 end = pt_entry_end(range->addr, range->end, level);
	u64 hit = value & wanted_bits(geom, op->what);

	if (hit && op->mode == PT_SCAN_CLEAR &&
	    pt_covers(range->addr, range->end, level))
		hit = clear_locked(geom, op, entry, value,
				   wanted_bits(geom, op->what));
	if (hit || always_hits(geom, op->what))
		report(op, range->addr, end, level);
}

/* Most leaves are no hits: is there any in this chunk? */
static inline bool chunk_has(const u64 *entry, u64 wanted)
{
	u64 any = 0;

#pragma GCC unroll 8
	for (unsigned int i = 0; i < CHUNK; i++)
		any |= plat_load(&entry[i]);
	return any & wanted;
}

static inline void scan_leaves(struct pt_visit *visit, struct pt_scan *op)
{
	struct pt_range *range = visit->range;
	u64 *entry = &visit->table->entry[pt_index(range->addr, 1)];
	u64 end = pt_entry_end(range->addr, range->end, 2), addr = range->addr;
	u64 wanted = wanted_bits(visit->geom, op->what);

	if (always_hits(visit->geom, op->what))
		wanted = visit->geom->present_mask;
	while (addr < end) {
		u64 value;

		if (addr % (CHUNK * 4096) == 0 && end - addr >= CHUNK * 4096 &&
		    !chunk_has(entry, wanted)) {
			addr += CHUNK * 4096;
			entry += CHUNK;
			continue;
		}
		value = plat_load(entry);
		range->addr = addr;
		if ((value & wanted) && pt_is_present(visit->geom, value))
			scan_leaf(visit, op, entry, value, 1);
		addr += 4096;
		entry++;
	}
	range->addr = end;
}

static plat_noinline void scan_upper(struct pt_visit *visit, struct pt_scan *op)
{
	const struct pt_geometry *geom = visit->geom;
	struct pt_range *range = visit->range;
	unsigned int level = visit->table->level;
	unsigned int i = pt_index(range->addr, level);
	unsigned int last = pt_last_index(range->addr, range->end, level);

	for (; i <= last; i++) {
		u64 *entry = &visit->table->entry[i], value = plat_load(entry);

		if (pt_is_table(geom, value, level))
			return;
		if (pt_is_present(geom, value))
			scan_leaf(visit, op, entry, value, level);
		range->addr = pt_entry_end(range->addr, range->end, level);
	}
}

static enum pt_result scan_visit(struct pt_visit *visit, void *op)
{
	if (visit->table->level == 1)
		scan_leaves(visit, op);
	else
		scan_upper(visit, op);
	return PT_DONE;
}

enum pt_result pt_scan(struct pt *pt, struct pt_scan *op)
{
	const struct pt_visit_how test = { 1, PT_VISIT_UNLOCKED,
					   PT_VISIT_FOLLOW };
	const struct pt_visit_how clear = { 1, PT_VISIT_LOCKED,
					    PT_VISIT_FOLLOW };
	struct pt_visit visit = { .range = &op->range };

	if (!pt_range_valid(&op->range)) {
		plat_warn_once("pt_scan: bad range");
		return PT_INVALID;
	}
	if (op->mode == PT_SCAN_TEST)
		return pt_visit(pt, &visit, test, scan_visit, op);
	return pt_visit(pt, &visit, clear, scan_visit, op);
}
