/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The store-buffering pairs of guest paging that are its own; tests/litmus runs
 * them. Those of requests and members are in smp/.
 */
#ifndef DUNE_VM_FENCES_H
#define DUNE_VM_FENCES_H

#include "vcpu_requests.h"

/* What vm_vcpu.active is while CR3 changes. */
#define ACTIVE_ANY	1ull

/* A vCPU is about to load another root's CR3. */
static inline void active_leave(u64 *active)
{
	/*
	 * [VM-1] active before the look at requests; pairs with [VM-2] in
	 * active_after_post(): else a flush of the new root, which was passed
	 * by because this vCPU used another one, is missed. Shape: SB.
	 */
	plat_store(active, ACTIVE_ANY);
	plat_full_mb();
}

/* The root that a vCPU uses, or ACTIVE_ANY; after vreq_post(). */
static inline u64 active_after_post(const u64 *active)
{
	/*
	 * [VM-2] The request before active, by the fence in vreq_post(); pairs
	 * with [VM-1] in active_leave(). Shape: SB.
	 */
	return plat_load(active);
}

/* A region gets an entry of its own. */
static inline void touched_set(u64 *word, u64 bit)
{
	plat_or64(word, bit);
	/*
	 * [VM-3] touched before base_rights; pairs with [VM-4] in
	 * base_rights_change(): else the region takes the old rights and is
	 * passed by. Shape: SB.
	 */
	plat_full_mb();
}

/* rights & keep | set for untouched regions; then look for touched ones. */
static inline void base_rights_change(u32 *rights, u32 keep, u32 set)
{
	u32 old = plat_load(rights);

	while (!plat_cas32(rights, &old, (old & keep) | set))
		;
	/* [VM-4] base_rights before touched; pairs with [VM-3] in touched_set(). Shape: SB. */
	plat_full_mb();
}

#endif /* DUNE_VM_FENCES_H */
