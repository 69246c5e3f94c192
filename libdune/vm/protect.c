// SPDX-License-Identifier: GPL-2.0 OR MIT
/* dune_vm_protect(), of anything; protect_quick.c has the short ways. */
#include "protect.h"
#include "range.h"

static void protect_inside(struct vm_op *op, struct pt_table *pd, u64 start, u64 end,
			   unsigned int prot)
{
	struct pt_protect protect = {
		.range = {
			.addr = start, .end = end, .top = pd,
			.cache = &op->local->cache, .gather = &op->gather,
		},
		.change = &vm_state.change[prot],
	};

	pt_protect(&op->root->pt, &protect);
}

static void work_protect(struct vm_op *op, void *arg, struct pt_table *pd, u64 start,
			 u64 end)
{
	protect_inside(op, pd, start, end, *(unsigned int *)arg);
}

static int work_protect_whole(struct vm_op *op, void *arg, u64 index)
{
	return region_change(op, index, PT_COW, *(unsigned int *)arg);
}

static const struct vm_work protecting = {
	.inside = work_protect,
	.whole = work_protect_whole,
};

/* All of it, which cannot fail: it has a PD, or needs none. */
static void protect_region(struct vm_op *op, u64 index, unsigned int prot)
{
	struct pt_table *pd = NULL;

	while (!pd && region_change(op, index, PT_COW, prot) == -EAGAIN)
		pd = region_pd(op, index);
	if (pd)
		protect_inside(op, pd, region_start(index), region_start(index + 1), prot);
}

/*
 * All of the address space, but for the library's own: regions that nobody has
 * used follow the root.
 */
static int protect_everything(struct vm_op *op, unsigned int prot)
{
	int err = vm_tables_ready(op);

	if (err)
		return err;
	base_rights_change(&op->root->base_rights, PT_COW, prot);
	inval_begin(&op->root->inval, 0, USER_END);
	for (u64 i = root_next_touched(op->root, 0); i < NR_REGIONS;
	     i = root_next_touched(op->root, i + 1)) {
		if (!view_is_pinned(i, PIN_OWN))
			protect_region(op, i, prot);
	}
	op_finish(op, NULL, 0, USER_END);
	return 0;
}

int vm_protect(struct dune_root *root, u64 start, u64 len, unsigned int prot)
{
	int err = vm_check_range(start, len);
	u64 end = start + len;
	struct vm_op op;

	if (err)
		return err;
	err = vm_op_begin(&op, root);
	if (err)
		return err;
	if (start == 0 && end == USER_END)
		err = protect_everything(&op, prot);
	else
		err = vm_for_range(&op, start, end, &protecting, &prot);
	vm_op_end(&op);
	return err;
}
