/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Changing the rights of neighbouring leaves; private to smp/.
 *
 * Under the table's lock nobody but this thread writes the rights bits of its
 * leaves, and nobody installs or removes one there. Hardware sets accessed and
 * dirty at any time, pt_age() clears accessed without the lock. So new rights
 * go in by adding the difference to the old ones, atomically: the bits that
 * others write neither get lost nor carry over. Neighbours with equal rights
 * share the difference.
 *
 * Was the old leaf cached? Accessed is looked at after the change: a CPU that
 * cached the old rights had set it before, and who clears it leaves aged.
 */
#ifndef SMP_PT_RIGHTS_H
#define SMP_PT_RIGHTS_H

#include "pt_dismantle.h"
#include "pt_range.h"

#define PT_CHUNK	8u

static inline const struct pt_masks *
pt_masks_for(const struct pt_change *change, const struct pt_geometry *geom, u64 value)
{
	return __builtin_expect((value & geom->cow_bit) != 0, 0) ? &change->cow :
								&change->plain;
}

static inline u64 pt_apply(const struct pt_masks *masks, u64 value)
{
	return (value & masks->keep) | masks->set;
}

/* Does a leaf with this value lose a right by it? */
static inline bool pt_takes(u64 forbids, const struct pt_masks *masks, u64 value)
{
	return (value ^ forbids) & masks->takes;
}

/* Do all of a chunk have these rights? */
static inline bool pt_chunk_has(const u64 *entry, u64 rights, u64 mask)
{
	u64 differs = 0;

#pragma GCC unroll 8
	for (unsigned int i = 0; i < PT_CHUNK; i++)
		differs |= plat_load(&entry[i]) ^ rights;
	return (differs & mask) == 0;
}

/*
 * Add delta to the leaves from *entry on that have these rights; returns the
 * first one that has not, or end. *seen collects what they are then.
 */
static inline u64 *pt_add_to_run(u64 *entry, const u64 *end, u64 rights,
				 u64 mask, u64 delta, u64 *seen)
{
	u64 all = 0;

	while (end - entry >= PT_CHUNK && pt_chunk_has(entry, rights, mask)) {
#pragma GCC unroll 8
		for (unsigned int i = 0; i < PT_CHUNK; i++) {
			plat_add64_release(&entry[i], delta);
			all |= plat_load(&entry[i]);
		}
		entry += PT_CHUNK;
	}
	while (entry < end && ((plat_load(entry) ^ rights) & mask) == 0) {
		plat_add64_release(entry, delta);
		all |= plat_load(entry++);
	}
	*seen = all;
	return entry;
}

static inline u64 *pt_skip_run(u64 *entry, const u64 *end, u64 rights, u64 mask)
{
	while (entry < end && ((plat_load(entry) ^ rights) & mask) == 0)
		entry++;
	return entry;
}

/*
 * Change the leaves from *entry on that have the rights of *entry, which is
 * value; returns where they end. PT_RUN_...: what became of them.
 */
enum pt_run { PT_RUN_SAME, PT_RUN_CHANGED, PT_RUN_REDUCED };

static inline u64 *pt_change_run(const struct pt_change *change, u64 *entry,
				 const u64 *end, u64 value,
				 struct gather *gather, enum pt_run *what)
{
	const struct pt_geometry *geom = change->geom;
	const struct pt_masks *masks = pt_masks_for(change, geom, value);
	u64 new = pt_apply(masks, value), mask = geom->rights_mask, seen;

	*what = PT_RUN_SAME;
	if (new == value)
		return pt_skip_run(entry, end, value & mask, mask);
	entry = pt_add_to_run(entry, end, value & mask, mask, new - value,
			      &seen);
	*what = PT_RUN_CHANGED;
	if (pt_takes(change->forbids, masks, value)) {
		gather_reduced(gather, pt_was_cached(geom, seen));
		*what = PT_RUN_REDUCED;
	}
	return entry;
}

#endif /* SMP_PT_RIGHTS_H */
