// SPDX-License-Identifier: GPL-2.0 OR MIT
/* dune_vm_unmap(). */
#include "copy.h"
#include "range.h"

static void drop_copy(void *local, u64 addr, u64 entry, unsigned int level)
{
	struct vm_copy *copy = copy_of(entry, level);

	(void)addr;
	if (copy)
		copy_put(local, copy);
}

static inline void unmap_inside(struct vm_op *op, struct pt_table *pd, u64 start,
				u64 end)
{
	struct pt_unmap unmap = {
		.range = {
			.addr = start, .end = end, .top = pd,
			.cache = &op->local->cache, .gather = &op->gather,
		},
		.removed = op->root->is_clone ? drop_copy : NULL,
		.arg = op->local,
	};

	pt_unmap(&op->root->pt, &unmap);
}

static bool unmap_fast(struct vm_op *op, u64 start, u64 end)
{
	struct dune_region *region = &op->root->region[region_index(start)];
	struct pt_table *pd = plat_load_acquire(&region->pd);

	if (!pd || !vm_one_region(start, end) || op->local->cache.nr < 2 ||
	    end - start == region_start(1))
		return false;
	inval_begin(&op->root->inval, start, end);
	unmap_inside(op, pd, start, end);
	op_finish(op, region, start, end);
	return true;
}

static void work_unmap(struct vm_op *op, void *arg, struct pt_table *pd, u64 start,
		       u64 end)
{
	(void)arg;
	unmap_inside(op, pd, start, end);
}

static int work_unmap_whole(struct vm_op *op, void *arg, u64 index)
{
	(void)arg;
	return region_unmap(op, index);
}

static const struct vm_work unmapping = {
	.inside = work_unmap,
	.whole = work_unmap_whole,
	.keeps = PIN_SOME,
	.refusal = -EBUSY,
};

int dune_vm_unmap(struct dune_root *root, void *addr, size_t len)
{
	u64 start = (u64)addr, end = start + len;
	struct vm_op op;
	int err = vm_check_range(start, len);

	if (err)
		return err;
	err = vm_op_begin(&op, root);
	if (err)
		return err;
	if (!unmap_fast(&op, start, end))
		err = vm_for_range(&op, start, end, &unmapping, NULL);
	vm_op_end(&op);
	return err;
}
