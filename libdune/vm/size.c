// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Sizes of pages: dune_vm_split(), dune_vm_merge(). */
#include "range.h"

static void split_inside(struct vm_op *op, void *arg, struct pt_table *pd, u64 start,
			 u64 end)
{
	struct pt_range range = {
		.addr = start, .end = end, .top = pd, .cache = &op->local->cache,
	};
	int *err = arg;

	while (!*err && pt_split(&op->root->pt, &range, 1) == PT_NEED_TABLES)
		*err = pt_cache_fill(&op->local->cache);
}

/* A PD has no larger ones. */
static void no_split(struct vm_op *op, void *arg, struct pt_table *pd, u64 start, u64 end)
{
	(void)op, (void)arg, (void)pd, (void)start, (void)end;
}

int vm_split(struct vm_op *op, u64 start, u64 end, size_t size)
{
	static const struct vm_work to_4k = { .inside = split_inside };
	static const struct vm_work to_2m = { .inside = no_split };
	int out_of_memory = 0, err;

	err = vm_for_range(op, start, end, size == DUNE_PAGE_4K ? &to_4k : &to_2m,
			   &out_of_memory);
	return err ? err : out_of_memory;
}

int dune_vm_split(struct dune_root *root, void *addr, size_t len, size_t size)
{
	u64 start = (u64)addr;
	struct vm_op op;
	int err = vm_check_range(start, len);

	if (err)
		return err;
	if (size != DUNE_PAGE_4K && size != DUNE_PAGE_2M)
		return -EINVAL;
	err = vm_op_begin(&op, root);
	if (err)
		return err;
	err = vm_split(&op, start, start + len, size);
	vm_op_end(&op);
	return err;
}

static void merge_inside(struct vm_op *op, u64 start, u64 end)
{
	for (u64 i = region_index(start); i <= region_index(end - 1); i++) {
		struct pt_merge merge = {
			.range = {
				.addr = vm_part_start(start, i),
				.end = vm_part_end(end, i),
				.top = plat_load_acquire(&op->root->region[i].pd),
				.gather = &op->gather,
			},
			.level = 2,
		};

		if (merge.range.top)
			pt_merge(&op->root->pt, &merge);
	}
}

static int merge(struct vm_op *op, u64 start, u64 end, size_t size)
{
	int err = 0;

	inval_begin(&op->root->inval, start, end);
	merge_inside(op, start, end);
	op_finish(op, NULL, start, end);
	if (size != DUNE_PAGE_1G)
		return 0;
	for (u64 i = region_index(start); i <= region_index(end - 1) && err >= 0; i++)
		if (vm_covers_region(start, end, i))
			err = region_merge(op, i);
	return err < 0 ? err : 0;
}

int dune_vm_merge(struct dune_root *root, void *addr, size_t len, size_t size)
{
	u64 start = (u64)addr;
	struct vm_op op;
	int err = vm_check_range(start, len);

	if (err)
		return err;
	if (size != DUNE_PAGE_2M && size != DUNE_PAGE_1G)
		return -EINVAL;
	err = vm_op_begin(&op, root);
	if (err)
		return err;
	err = merge(&op, start, start + len, size);
	vm_op_end(&op);
	return err;
}
