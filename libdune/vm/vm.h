/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Guest paging: what its parts have in common. docs/guest-paging.md has the
 * whole; here is who owns and who writes what.
 *
 *   root      a guest address space: its regions, and a view for each vCPU
 *   region    1 GiB of a root: one level-3 entry, and the table (PD) it leads to.
 *             An array without holes: memory that was never touched is a region
 *   view      what a vCPU's CR3 points to: a PML4 and copies of level-3 entries;
 *             PDs and all below are shared by the views of a root
 *   member    of a region: a vCPU whose view has a copy of its entry
 *   common    the 512 GiB where the program is: all views of a root have one PDPT
 *             for them, and each vCPU with a view is a member of all their regions
 *
 * Code here is of kind "guest" (internal.h): trap handlers call it, the #PF
 * handler fills views. So no vector registers, and no libc but where it says so.
 *
 * An operation (op.h) runs with interrupts off in the guest, because a handler
 * may call libdune on top of it, and under RCU.
 *
 * Locks, an earlier one outside of a later one: cow_lock, those of the pool's depots,
 * space_lock, views_lock, a region's, a table's (smp/pt_table.h). Memory is had
 * before views_lock or a region's lock is taken.
 */
#ifndef DUNE_VM_VM_H
#define DUNE_VM_VM_H

#include "internal.h"

#include "inval.h"
#include "members.h"
#include "pt_range.h"

#include "fences.h"
#include "local.h"

#define REGION_SHIFT	DUNE_SLOT_SHIFT
#define NR_REGIONS	((u64)DUNE_NR_REGIONS)

/*
 * A region's entry is a level-3 entry of pt_x86, or one of these, which have no
 * bit by which pt_x86 calls an entry present.
 *
 *   0		nobody has used it: mapped to itself, with the root's base rights
 *   LAZY	the same with rights of its own, from LAZY_SHIFT up
 *   EMPTY	nothing is mapped
 */
#define REGION_EMPTY	(1ull << 11)
#define REGION_LAZY	(1ull << 10)
#define LAZY_SHIFT	16

struct dune_region {
	/* Written under lock. Views have copies while hardware may use it. */
	u64 l3;
	/*
	 * The PD, to work in under RCU. NULL: there is none, or somebody is
	 * about to merge it into a leaf (region_merge()).
	 */
	struct pt_table *pd;
	u32 lock;			/* OWNER_NONE, or who has it */
	u32 merging;			/* ticket of who took pd away; 0: nobody */
	u32 tickets;
	struct members members;
} __attribute__((aligned(64)));

struct dune_root {
	struct pt pt;			/* the format; no root: operations start at PDs */
	struct dune_region *region;	/* NR_REGIONS; constant */
	u32 pcid;			/* 0: the default root's; constant */
	u64 walk_base;			/* walk.h: no other root's ever; constant */
	u32 base_rights;		/* PT_R | ... of untouched regions */
	u32 family;			/* that shares pages by PT_COW; 0: never cloned */
	u32 is_clone;			/* not who keeps the memory; constant */
	struct dune_root *next;		/* of all; views_lock */
	u64 *common;			/* the PDPT, or NULL; constant */
	u64 common_regions;		/* address of the first one, or of none; constant */
	/* Page faults that put an entry into it, so far: see fault.c. */
	u32 fills_begun, fills_done;
	struct inval inval;		/* operations under way */
	struct dune_view *view[DUNE_MAX_VCPUS];	/* by vCPU; views_lock */
	struct members viewers;		/* vCPUs that have a view; written under views_lock */
	u64 touched[NR_REGIONS / 64];	/* regions whose l3 is not 0 any more */
};

struct dune_view {
	u64 *l3;			/* its 256 PDPTs but the common one: view_entry() */
	u64 *pml4;
	u64 cr3;			/* guest physical address of pml4 | PCID */
	struct dune_root *root;
	struct vm_local *owner;
	struct dune_view *next;		/* of the same vCPU; views_lock */
	u64 used[NR_REGIONS / PT_ENTRIES / 64];	/* PDPTs that were written to */
	u32 id;				/* of the vCPU */
	u32 node;			/* whose depot l3 is of */
	u32 fills_seen;			/* the owner's: so many of the root's are over */
	/* The owner's: flush the PCID when it is loaded, unless this is the owner's. */
	u32 flush_gen;
};

/* What any thread may look at of a vCPU, by its id. */
struct vm_vcpu {
	struct dune_vcpu_page *page;	/* NULL: none; RCU */
	u64 active;			/* its root's address; ACTIVE_ANY: it is changing */
	struct vcpu_irr *irr;		/* as page */
} __attribute__((aligned(64)));

/*
 * PDPTs of VIEW_GROUP views lie side by side, first those of the first 512 GiB. A
 * view uses few, the same ones as others: so Linux and the EPT have few tables
 * for them, where a view in a row would need some of its own.
 */
#define VIEW_GROUP	64u
#define VIEW_STRIDE	(VIEW_GROUP * PT_ENTRIES)

/* As vm_state.common: there is no such PDPT. */
#define COMMON_NONE	(NR_REGIONS / PT_ENTRIES)

#define COW_LOCKS	64u

/* Of the process; forgotten by a forked child. */
struct vm_state {
	struct dune_root *base;		/* the default root */
	struct dune_root *roots;	/* all; views_lock */
	u64 *slot_hva;			/* by slot: whose memory it is; 0: not seen yet */
	u32 nr_slots;
	u32 nr_words;			/* of members: in use, from the first on */
	u32 common;			/* index of its PML4 entry; constant */
	u32 caps;			/* DUNE_CAP_* */
	u32 views_lock, space_lock;
	u32 cow_lock[COW_LOCKS];	/* cow.h */
	u32 nr_families;		/* under all of them */
	u32 pid;
	u64 pcids[64];			/* taken, bit by bit */
	u64 kernel_half[PT_ENTRIES / 2];	/* of every PML4; constant */
	struct pt_change change[16];	/* to these rights; constant */
	struct {			/* what becomes of a leaf's bits; constant */
		u64 keep[16], set[16];
	} allow;			/* these rights in addition */
	struct pt_change to_cow;	/* what a clone does; constant */
};

#pragma GCC visibility push(hidden)

extern struct vm_state vm_state;
extern struct vm_vcpu vm_vcpus[DUNE_MAX_VCPUS];

/* op.c: waits, and gives the CPU away now and then; either mode. */
void vm_relax(unsigned int turn);
/* op.c: returns with the lock; wakes one that waits for it. Either mode. */
void vm_lock_wait(u32 *lock);
void vm_lock_wake(u32 *lock);

#pragma GCC visibility pop

/*
 * For what is rare and short. Does not nest with itself. Who waits sleeps: of many
 * threads that end at once, one may be preempted while it has the lock. 0: free,
 * 1: taken, 2: and somebody may sleep.
 */
static inline void vm_lock(u32 *lock)
{
	u32 none = 0;

	if (!plat_cas32(lock, &none, 1))
		vm_lock_wait(lock);
}

static inline void vm_unlock(u32 *lock)
{
	if (__atomic_exchange_n(lock, 0, __ATOMIC_RELEASE) == 2)
		vm_lock_wake(lock);
}

/*
 * Memory that is read first is Linux' zero page: writing to it afterwards takes
 * that out of the EPT again, with a shootdown.
 */
static inline void vm_will_write(u64 *word)
{
	plat_or64(word, 0);
}

static inline u64 region_index(u64 addr)
{
	return addr >> REGION_SHIFT;
}

static inline u64 region_start(u64 index)
{
	return index << REGION_SHIFT;
}

static inline bool region_is_common(u64 index)
{
	return index / PT_ENTRIES == vm_state.common;
}

/* The view's copy of a region's entry; the one that all views have, if it is common. */
static inline u64 *view_entry(const struct dune_view *view, u64 index)
{
	if (region_is_common(index))
		return &view->root->common[index % PT_ENTRIES];
	return &view->l3[index / PT_ENTRIES * VIEW_STRIDE + index % PT_ENTRIES];
}

/* Whom changes in the region concern. */
static inline const struct members *region_members(const struct dune_root *root,
						   const struct dune_region *region)
{
	u64 offset = (u64)region - root->common_regions;

	return offset < PT_ENTRIES * sizeof(*region) ? &root->viewers : &region->members;
}

/* The first region from this one on that anybody has used; NR_REGIONS: none. */
static inline u64 root_next_touched(const struct dune_root *root, u64 index)
{
	for (; index < NR_REGIONS; index = (index | 63) + 1) {
		u64 left = plat_load_acquire(&root->touched[index / 64]) >> index % 64;

		if (left)
			return index + __builtin_ctzll(left);
	}
	return NR_REGIONS;
}

#endif /* DUNE_VM_VM_H */
