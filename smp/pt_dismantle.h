/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Removal, for pt_zap.c and pt_unmap.c; private to smp/. */
#ifndef SMP_PT_DISMANTLE_H
#define SMP_PT_DISMANTLE_H

#include "gather.h"
#include "pt_entry.h"

static inline enum gather_leaf pt_was_cached(const struct pt_geometry *geom,
					     u64 value)
{
	/*
	 * The CPU sets accessed before it caches a leaf. Cleared by software
	 * without a flush it proves nothing: aged.
	 */
	return value & geom->cached_mask ? GATHER_LEAF_CACHED :
					   GATHER_LEAF_NEVER_CACHED;
}

/*
 * Unlink the table that the parent's entry, which is value, leads to: it and all
 * below it go into the gather. The parent's lock is held.
 */
void pt_dismantle(const struct pt_geometry *geom, struct gather *gather,
		  u64 *entry, u64 value);

#endif /* SMP_PT_DISMANTLE_H */
