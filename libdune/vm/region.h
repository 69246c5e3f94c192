/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Level-3 entries: what a 1 GiB region of a root is as a whole. Changed under the
 * region's lock, with the shootdown of its members: who finds an entry to be as
 * it wants it, under the lock, knows that the flush is over.
 */
#ifndef DUNE_VM_REGION_H
#define DUNE_VM_REGION_H

#include "flush.h"
#include "view.h"

/*
 * Locked by this thread already: a page fault of an operation in the region it
 * is changing. Only view_fill() has to know.
 */
enum region_locked { REGION_LOCKED, REGION_MINE };

static inline enum region_locked region_lock(struct dune_region *region,
					     struct vm_local *by)
{
	u32 owner = OWNER_NONE;

	for (unsigned int turn = 0;
	     !plat_cas32(&region->lock, &owner, by->owner); turn++) {
		if (owner == by->owner && owner != OWNER_PLAIN)
			return REGION_MINE;
		/* The holder may wait for this thread, which polls. */
		flush_serve(by);
		vm_relax(turn);
		owner = OWNER_NONE;
	}
	return REGION_LOCKED;
}

static inline void region_unlock(struct dune_region *region)
{
	__atomic_store_n(&region->lock, OWNER_NONE, __ATOMIC_RELEASE);
}

/* For hardware: what a view has of it. */
static inline bool region_in_use(u64 l3)
{
	return l3 & 1;
}

/* A table, whose PD operations work in. */
static inline bool region_is_table(u64 l3)
{
	return region_in_use(l3) && !(l3 & pt_x86.leaf_bit);
}

/* Mapped to itself, and nobody has used it: rights tells which. */
static inline bool region_is_untouched(const struct dune_root *root, u64 l3,
				       unsigned int *rights)
{
	if (l3 && !(l3 & REGION_LAZY))
		return false;
	*rights = l3 ? l3 >> LAZY_SHIFT : plat_load(&root->base_rights);
	return true;
}

static inline u64 region_lazy(unsigned int rights)
{
	return REGION_LAZY | (u64)rights << LAZY_SHIFT;
}

/* A level-3 leaf; dirty and accessed, because hardware sets that in copies. */
static inline u64 region_leaf(u64 gpa, unsigned int rights)
{
	const struct pt_leaf leaf = {
		.pa = gpa, .level = 3, .rights = rights, .age = PT_DIRTY,
	};

	return pt_x86.make_leaf(&leaf);
}

#pragma GCC visibility push(hidden)

/* If nobody has used it: a leaf. gpa: the region's slot. Locked. */
void region_settle_locked(struct dune_root *root, u64 index, u64 gpa);

/*
 * The region's PD, made of what it is now; the view of nobody changes in what it
 * maps. NULL: *err. In an operation.
 */
struct pt_table *region_make_pd(struct vm_op *op, u64 index, int *err);
/*
 * The PD of a region that is a table, from who is about to merge it, if need be:
 * that one waits for the caller's read section, so the caller never waits for it.
 * NULL: the region is none (any more).
 */
struct pt_table *region_pd(struct vm_op *op, u64 index);

/*
 * The leaf of addr, of this level, gets a page and rights, if it is still old but for
 * accessed and dirty, which it keeps. PT_DONE, PT_STALE.
 */
enum pt_result region_replace(struct vm_op *op, u64 addr, u64 old, unsigned int level,
			      u64 gpa, unsigned int rights);

/* All of a region that has no PD: rights & keep | set, or nothing. -EAGAIN: it has one. */
int region_change(struct vm_op *op, u64 index, unsigned int keep, unsigned int set);
int region_unmap(struct vm_op *op, u64 index);
/* A region where nothing is mapped becomes a leaf. -EEXIST */
int region_map(struct vm_op *op, u64 index, u64 gpa, unsigned int rights);
/*
 * 512 leaves of 2 MiB become one: 1; 0: they are not equal, or are in use just
 * now. Waits for a grace period, so with interrupts as the caller of the
 * interface had them, and not in a read section of the program: -EBUSY.
 */
int region_merge(struct vm_op *op, u64 index);

#pragma GCC visibility pop

#endif /* DUNE_VM_REGION_H */
