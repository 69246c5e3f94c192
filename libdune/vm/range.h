/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The way of operations on any range: region by region, prepared before begun. */
#ifndef DUNE_VM_RANGE_H
#define DUNE_VM_RANGE_H

#include "flush.h"
#include "region.h"

struct vm_work {
	/* [start, end) in the PD of a region; needs no table but two of the cache. */
	void (*inside)(struct vm_op *op, void *arg, struct pt_table *pd, u64 start,
		       u64 end);
	/* All of a region without a PD. 0; -EAGAIN: it has one. NULL: make one. */
	int (*whole)(struct vm_op *op, void *arg, u64 index);
	enum pin keeps;		/* of these regions it refuses the whole */
	int refusal;		/* how */
};

#pragma GCC visibility push(hidden)

/* 0, or an error with nothing changed but the sizes of pages. */
int vm_for_range(struct vm_op *op, u64 start, u64 end, const struct vm_work *work,
		 void *arg);
/* size.c: dune_vm_split() in an operation. */
int vm_split(struct vm_op *op, u64 start, u64 end, size_t size);
/* query.c: what maps addr; under RCU. -ENOENT */
int vm_lookup(const struct dune_root *root, u64 addr, struct dune_vm_entry *entry);
/* The same as it is in a table; 0: nothing, or nobody has used the region yet. */
u64 vm_entry(const struct dune_root *root, u64 addr, unsigned int *level);
/* So that what follows needs no memory. 0 or -ENOMEM */
int vm_tables_ready(struct vm_op *op);

#pragma GCC visibility pop

/* Tables that one operation may need: at each end a PD and a PT. */
#define VM_TABLES	4u

static inline bool vm_covers_region(u64 start, u64 end, u64 index)
{
	return start <= region_start(index) && end >= region_start(index + 1);
}

/* The part of [start, end) that is in a region. */
static inline u64 vm_part_start(u64 start, u64 index)
{
	return start > region_start(index) ? start : region_start(index);
}

static inline u64 vm_part_end(u64 end, u64 index)
{
	return end < region_start(index + 1) ? end : region_start(index + 1);
}

#endif /* DUNE_VM_RANGE_H */
