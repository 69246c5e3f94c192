/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What guest paging keeps for a thread: in its struct dune_thread, which page
 * fault handlers can reach in every root, or, for a thread without a vCPU, in a
 * page of its own. The thread alone touches it, with interrupts off.
 */
#ifndef DUNE_VM_LOCAL_H
#define DUNE_VM_LOCAL_H

#include "gather.h"
#include "pt.h"

#include "uapi/dune.h"

struct dune_root;
struct members;
struct dune_view;
struct inval_bucket;
struct vcpu_irr;
struct urcu_bp_reader;

#define POOL_MAGAZINE	32u
#define BATCH_RANGES	8u

/* A range of a root that was changed and is to be flushed. */
struct vm_range {
	struct dune_root *root;
	u64 start, end;
};

struct vm_batch {
	u32 depth;
	u32 nr;
	struct gather gather;
	struct vm_range range[BATCH_RANGES];
};

/* share.c: memory of the thread that no clone copies. */
#define THREAD_SPANS	5u

struct vm_span {
	u64 start, end;
};

/* region.c: who has a region's lock */
#define OWNER_NONE	0u
#define OWNER_PLAIN	0xffffffffu	/* a thread without a vCPU */

/* pool.c: free ones */
enum pool_kind { POOL_OTHER, POOL_TABLE, POOL_KINDS };

struct vm_cells {
	void *list;
	u32 nr;
	u32 refills;	/* so far: the first ones are small */
};

/* walk.h: a level-1 table, by what it maps */
#define VM_WALKS	128u	/* a page of them */
#define WALK_SPAN	(1ull << 21)
#define WALK_NOWHERE	(1ull << 63)

struct vm_walk {
	u64 place;
	struct pt_table *table;
	/* Of the root, for the same addresses. */
	const struct members *members;
	struct inval_bucket *bucket;
};

struct vm_local {
	struct dune_view *view;		/* active; NULL: no vCPU */
	struct dune_root *quick;	/* its root, if nothing forbids short ways */
	u64 walk_base;			/* its places; WALK_NOWHERE: no short ways */
	struct dune_vcpu_page *page;	/* NULL: no vCPU */
	u32 id;				/* of the vCPU; without: DUNE_MAX_VCPUS */
	u32 owner;			/* id + 1, or OWNER_PLAIN */
	u32 member_word;		/* where a region's members have the vCPU */
	u64 others;			/* all bits of that word but its own */
	struct dune_view *views;	/* all of the vCPU; views_lock */
	u32 flush_gen;			/* views of another one are stale */
	struct vcpu_irr *irr;		/* vcpus.h; NULL: no vCPU */
	struct pt_cache cache;
	struct vm_batch batch;
	struct dune_kick kick, wait;	/* flush.c: clear between uses */
	struct vm_copy *dropped;	/* copy.c: to be freed after the next flush */
	struct vm_span span[THREAD_SPANS];	/* views_lock; end 0: none */
	/* pool.c */
	u32 nr_pages;
	void *page_of[POOL_MAGAZINE];
	struct vm_cells cells[POOL_KINDS];
	/* rcu.c */
	struct urcu_bp_reader *reader;	/* NULL: dune_rcu_lock() */
	plat_rcu_t *retired;
	u32 nr_retired;
	bool reclaiming;
	struct vm_walk *walk;		/* VM_WALKS of them; walk_none: not yet */
};

#endif /* DUNE_VM_LOCAL_H */
