// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Operations on ranges. First everything that may fail: who may change what, PDs
 * and tables where the range ends inside of a page. Splitting changes nothing
 * that anybody could see. Then the change, which cannot fail.
 */
#include "range.h"

int vm_tables_ready(struct vm_op *op)
{
	if (op->local->cache.nr >= VM_TABLES)
		return 0;
	return pt_cache_fill_to(&op->local->cache, VM_TABLES);
}

/* Nothing is mapped, and no change of it is under way. */
static bool is_empty(struct vm_op *op, u64 index)
{
	struct dune_region *region = &op->root->region[index];
	bool empty;

	if (plat_load(&region->l3) != REGION_EMPTY)
		return false;
	region_lock(region, op->local);
	empty = region->l3 == REGION_EMPTY;
	region_unlock(region);
	return empty;
}

static int may_change(u64 start, u64 end, u64 index, const struct vm_work *work)
{
	if (view_is_pinned(index, PIN_OWN))
		return -EPERM;
	if (work->keeps == PIN_SOME && vm_covers_region(start, end, index) &&
	    view_is_pinned(index, PIN_SOME))
		return work->refusal;
	return 0;
}

static int prepare(struct vm_op *op, u64 start, u64 end, const struct vm_work *work)
{
	int err = 0;

	for (u64 i = region_index(start); i <= region_index(end - 1) && !err; i++)
		err = may_change(start, end, i, work);
	for (u64 i = region_index(start); i <= region_index(end - 1) && !err; i++) {
		if (work->whole && vm_covers_region(start, end, i))
			continue;
		if (!is_empty(op, i))
			region_make_pd(op, i, &err);
	}
	return err ? err : vm_tables_ready(op);
}

static int one_region(struct vm_op *op, u64 start, u64 end, u64 index,
		      const struct vm_work *work, void *arg)
{
	struct pt_table *pd;
	int err = -EAGAIN;

	if (work->whole && vm_covers_region(start, end, index))
		err = work->whole(op, arg, index);
	else if (is_empty(op, index))
		return 0;
	if (err != -EAGAIN)
		return err;
	pd = region_make_pd(op, index, &err);
	if (!pd)
		return err;
	work->inside(op, arg, pd, vm_part_start(start, index),
		     vm_part_end(end, index));
	return 0;
}

int vm_for_range(struct vm_op *op, u64 start, u64 end, const struct vm_work *work,
		 void *arg)
{
	int err = prepare(op, start, end, work);

	if (err)
		return err;
	inval_begin(&op->root->inval, start, end);
	for (u64 i = region_index(start); i <= region_index(end - 1) && !err; i++)
		err = one_region(op, start, end, i, work, arg);
	op_finish(op, NULL, start, end);
	return err;
}
