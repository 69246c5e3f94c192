// SPDX-License-Identifier: GPL-2.0 OR MIT
/* dune_vm_protect(). */
#include "range.h"
#include "vcpu_requests.h"
#include "vcpus.h"

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

static plat_noinline int protect_slow(struct dune_root *root, u64 start, u64 len,
				      unsigned int prot)
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

/* Somebody else's marks of this bucket; nothing is ever deferred here. */
static inline bool others_under_way(const struct inval *inval,
				    const struct inval_bucket *bucket)
{
	return inval_active(plat_load_acquire(&bucket->word)) > 1 ||
	       inval_active(plat_load_acquire(&inval->global.word));
}

static plat_noinline void ask_others(struct dune_root *root, struct vm_local *local,
				     struct dune_region *region)
{
	struct vm_op op = { .root = root, .local = local, .guest = true };

	flush_others(&op, region);
}

/* All of these are outside and will flush anyway, or are gone. */
static inline bool all_asked(const struct vm_vcpu *vcpus, u64 members)
{
	for (; members; members &= members - 1) {
		const struct dune_vcpu_page *page =
			__atomic_load_n(&vcpus[__builtin_ctzll(members)].page,
					__ATOMIC_ACQUIRE);

		if (page && !vreq_flush_is_posted(page))
			return false;
	}
	return true;
}

static inline void flush_small(struct dune_root *root, struct vm_local *local,
			       struct dune_region *region)
{
	u32 nr, i;

	members_fence();
	nr = plat_load(&vm_state.nr_words);
	for (i = 0; i < nr; i++) {
		u64 others = members_word(&region->members, i);

		if (local->member_word == i)
			others &= local->others;
		if (others && !all_asked(&vm_vcpus[i * 64], others)) {
			ask_others(root, local, region);
			return;
		}
	}
}

static inline void flush_mine(struct vm_local *local, u64 start, u64 end)
{
	if (end - start > FLUSH_PAGES * PAGE_SIZE)
		flush_tag(local);
	else
		for (u64 addr = start; addr < end; addr += PAGE_SIZE)
			hw_invlpg(addr);
}

/*
 * What a write barrier does twice for each fault: in the guest, some pages of one
 * level-1 table of the active root. The same as a vm_op, with what it does not
 * need left out: tests/guest/vm_cost has the limits. False: all of it, flush
 * included, is left to the long way.
 */
static inline bool protect_small(struct dune_root *root, struct vm_local *local,
				 u64 start, u64 end, unsigned int prot)
{
	struct dune_region *region = &root->region[region_index(start)];
	struct inval_bucket *bucket = inval_bucket(&root->inval, start);
	const struct pt_table *pd = plat_load_acquire(&region->pd);
	struct gather gather = GATHER_INIT;
	bool done;

	if (!pd)
		return false;
	inval_mark(bucket);
	done = pt_protect_small(pd, start, end, &vm_state.change[prot], &gather) == PT_DONE;
	vm_mark_begin(root, start, end, &gather);
	flush_mine(local, start, end);
	if (gather_needs_flush(&gather) || others_under_way(&root->inval, bucket))
		flush_small(root, local, region);
	vm_mark_end(&gather);
	inval_unmark(bucket);
	return done;
}

static inline bool protect_in_guest(struct dune_root *root, u64 start, u64 end,
				    unsigned int prot)
{
	u64 irq = hw_irq_save();
	struct vm_local *local = hw_local();
	bool done = false;

	if (!root)
		root = vm_state.base;
	if (local->quick == root) {
		dune_rcu_lock_by(local->reader);
		done = protect_small(root, local, start, end, prot);
		dune_rcu_unlock_by(local->reader);
	}
	hw_irq_restore(irq);
	return done;
}

/* Inside of 2 MiB; what else may be wrong the long way finds out. */
static inline bool is_small(u64 start, u64 len)
{
	return !((start | len) & (PAGE_SIZE - 1)) && len && start < USER_END &&
	       inval_is_small(start, start + len);
}

int dune_vm_protect(struct dune_root *root, void *addr, size_t len, unsigned int prot)
{
	u64 start = (u64)addr;

	if (!vm_rights_valid(prot))
		return -EINVAL;
	if (hw_in_guest() && is_small(start, len) &&
	    protect_in_guest(root, start, start + len, prot))
		return 0;
	return protect_slow(root, start, len, prot);
}
