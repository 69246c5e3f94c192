/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What an entry is, for every format; private to smp/. */
#ifndef SMP_PT_ENTRY_H
#define SMP_PT_ENTRY_H

#include "pt.h"

#define PT_ADDR_END	(1ull << (12 + PT_BITS * PT_LEVELS))

/*
 * Not present in any format, and not 0: software stays away. Bits 10 and 11
 * mean nothing to hardware in an entry that is not present.
 */
#define PT_FROZEN	0xc00ull

static inline unsigned int pt_index(u64 addr, unsigned int level)
{
	return (addr >> (12 + PT_BITS * (level - 1))) & (PT_ENTRIES - 1);
}

static inline bool pt_is_present(const struct pt_geometry *geom, u64 value)
{
	return value & geom->present_mask;
}

/* Of a present entry. Level 1 has leaves only, level 4 tables only. */
static inline bool pt_is_leaf(const struct pt_geometry *geom, u64 value,
			      unsigned int level)
{
	return level == 1 || (level < PT_LEVELS && (value & geom->leaf_bit));
}

static inline bool pt_is_table(const struct pt_geometry *geom, u64 value,
			       unsigned int level)
{
	return pt_is_present(geom, value) && !pt_is_leaf(geom, value, level);
}

static inline u64 *pt_child(const struct pt_geometry *geom, u64 value)
{
	return plat_va(value & geom->addr_mask);
}

static inline struct pt_table *pt_child_table(const struct pt_geometry *geom,
					      u64 value)
{
	return pt_table_of(value & geom->addr_mask);
}

#endif /* SMP_PT_ENTRY_H */
