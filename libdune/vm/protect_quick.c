// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * dune_vm_protect() of up to 2 MiB of small pages of the active root, in the guest:
 * what a write barrier does twice for each fault. The same as a vm_op, with what it
 * does not need left out: tests/guest/vm_cost has the limits. Whatever is not so
 * simple is left to vm_protect().
 *
 * One page is apart: there nothing is called, so that no registers are saved, and
 * whoever takes no right makes no mark.
 */
#include "flush.h"
#include "protect.h"
#include "range.h"
#include "vcpu_requests.h"
#include "vcpus.h"
#include "walk.h"

#define TABLE_SPAN	(512 * PAGE_SIZE)

/* --- the flush --- */

static plat_noinline void settle(struct dune_root *root, struct vm_local *local, int kicks)
{
	struct vm_op op = { .root = root, .local = local, .guest = true };

	flush_settle(&op, kicks);
}

/* For one word of members; *inside is set when some of them are not outside. */
static inline int ask_members(const struct dune_root *root, struct vm_local *local,
			      u32 first_id, u64 word, bool *inside)
{
	int kicks = 0;

	for (; word; word &= word - 1) {
		u32 id = first_id + __builtin_ctzll(word);
		struct dune_vcpu_page *page = vcpu_page(id);
		enum vreq_state state;

		if (!page || vreq_flush_is_posted(page))
			continue;
		state = vreq_post(page, DUNE_REQ_FLUSH);
		if (state == VREQ_OUTSIDE)
			continue;
		kicks += flush_asked(root, local, id, state);
		*inside = true;
	}
	return kicks;
}

/* As flush_others(), cheap when all are outside. */
static inline void flush_small(struct dune_root *root, struct vm_local *local,
			       const struct members *members)
{
	bool inside = false;
	int kicks = 0;
	u32 nr, i;

	members_fence();
	nr = plat_load(&vm_state.nr_words);
	for (i = 0; i < nr; i++) {
		u64 others = members_word(members, i);

		if (local->member_word == i)
			others &= local->others;
		kicks += ask_members(root, local, i * 64, others, &inside);
	}
	if (inside)
		settle(root, local, kicks);
}

/*
 * Does nobody but this thread use the region? The common case of flush_small().
 * The change of the entry was [GT-6]'s fence.
 */
static inline bool is_alone(const struct vm_local *local, const struct members *members)
{
	return plat_load(&vm_state.nr_words) == 1 &&
	       !(members_word(members, 0) & local->others);
}

/* --- one page --- */

/*
 * Are changes of others in this bucket under way? mine: marks of the caller;
 * nothing is ever deferred here.
 */
static inline bool others_under_way(const struct inval *inval,
				    const struct inval_bucket *bucket, u64 mine)
{
	/* [IV-5] as in inval_pending_one(): after the entry was read, under its lock. */
	return inval_active(plat_load_acquire(&bucket->word)) > mine ||
	       inval_active(plat_load_acquire(&inval->global.word));
}

/* The rest of restrict_page() when others use the region. */
static plat_noinline int flush_and_end(struct dune_root *root, struct vm_local *local,
				       const struct vm_walk *walk, u64 irq)
{
	dune_rcu_lock_by(local->reader);	/* pages of vCPUs */
	flush_small(root, local, walk->members);
	dune_rcu_unlock_by(local->reader);
	vm_mark_end(local);
	inval_unmark(walk->bucket);
	hw_irq_restore(irq);
	return 0;
}

/*
 * A right is taken: others have to know before, and to forget it after. The entry
 * was read before the mark, which is enough here: its lock is held, and libdune
 * installs no entries from snapshots, as [IV-2] is for.
 */
static inline __attribute__((always_inline)) int
restrict_page(struct dune_root *root, struct vm_local *local, const struct vm_walk *walk,
	      struct pt_page *page, u64 addr, u64 irq)
{
	bool cached;

	inval_mark(walk->bucket);
	pt_page_change(page);
	cached = plat_load(page->entry) & pt_x86_masks.cached_mask;
	pt_page_end(page);
	vm_mark_begin(root, addr, addr + PAGE_SIZE, local);
	hw_invlpg(addr);
	if ((cached || others_under_way(&root->inval, walk->bucket, 1)) &&
	    !is_alone(local, walk->members))
		return flush_and_end(root, local, walk, irq);
	vm_mark_end(local);
	inval_unmark(walk->bucket);
	hw_irq_restore(irq);
	return 0;
}

typedef int unknown_fn(struct dune_root *root, u64 addr, unsigned int prot);

/* unknown: what to do when the thread does not remember the page's table. */
static inline __attribute__((always_inline)) int
protect_known(struct dune_root *root, u64 addr, unsigned int prot, unknown_fn *unknown)
{
	u64 irq = hw_irq_save();
	struct vm_local *local = hw_local();
	const struct vm_walk *walk = walk_at(local, addr);
	struct pt_page page;

	if (!root)
		root = vm_state.base;
	if (local->quick != root)
		goto not_simple;
	/* Or the compiler computes it anew at each use. */
	asm volatile("" : "+r" (walk));
	page.table = walk->table;
	if (!walk_lock(local, walk, addr)) {
		hw_irq_restore(irq);
		return unknown(root, addr, prot);
	}
	if (!pt_page_look(&page, addr, &vm_state.change[prot], &pt_x86_masks))
		goto not_simple;
	if (page.takes)
		return restrict_page(root, local, walk, &page, addr, irq);
	if (page.delta)
		pt_page_change(&page);
	pt_page_end(&page);
	hw_invlpg(addr);
	/*
	 * What others cannot do any more, somebody else may have taken from the
	 * entry without having flushed it yet: a right, or all writing by a clone.
	 */
	if (others_under_way(&root->inval, walk->bucket, 0))
		goto not_simple;
	hw_irq_restore(irq);
	return 0;

not_simple:
	hw_irq_restore(irq);
	return vm_protect(root, addr, PAGE_SIZE, prot);
}

static int protect_unsimple(struct dune_root *root, u64 addr, unsigned int prot)
{
	return vm_protect(root, addr, PAGE_SIZE, prot);
}

static plat_noinline int protect_unknown(struct dune_root *root, u64 addr, unsigned int prot)
{
	u64 irq = hw_irq_save();
	bool known = walk_fill(hw_local(), addr);

	hw_irq_restore(irq);
	if (!known)
		return protect_unsimple(root, addr, prot);
	return protect_known(root, addr, prot, protect_unsimple);
}

static inline int protect_page(struct dune_root *root, u64 addr, unsigned int prot)
{
	return protect_known(root, addr, prot, protect_unknown);
}

/* --- some pages --- */

static inline void flush_mine(struct vm_local *local, u64 start, u64 end)
{
	if (end - start > FLUSH_PAGES * PAGE_SIZE)
		flush_tag(local);
	else
		for (u64 addr = start; addr < end; addr += PAGE_SIZE)
			hw_invlpg(addr);
}

/* Of one table, or of two. */
static inline bool change_leaves(const struct pt_table *pd, u64 start, u64 end,
				 unsigned int prot, struct gather *gather)
{
	const struct pt_change *change = &vm_state.change[prot];
	u64 middle = end & ~(TABLE_SPAN - 1);

	if (middle <= start || middle == end)
		return pt_protect_small(pd, start, end, change, gather) == PT_DONE;
	return pt_protect_small(pd, start, middle, change, gather) == PT_DONE &&
	       pt_protect_small(pd, middle, end, change, gather) == PT_DONE;
}

/* False: all of it, flush included, is left to the long way. */
static inline bool protect_small(struct dune_root *root, struct vm_local *local,
				 u64 start, u64 end, unsigned int prot)
{
	struct dune_region *region = &root->region[region_index(start)];
	const struct pt_table *pd = plat_load_acquire(&region->pd);
	struct gather gather = GATHER_INIT;
	bool done;
	u64 gen;

	if (!pd)
		return false;
	inval_begin(&root->inval, start, end);
	done = change_leaves(pd, start, end, prot, &gather);
	vm_mark_begin(root, start, end, &gather);
	flush_mine(local, start, end);
	if (gather_needs_flush(&gather) ||
	    inval_pending(&root->inval, start, end, &gen) != INVAL_NOTHING)
		flush_small(root, local, region_members(root, region));
	vm_mark_end(&gather);
	inval_end(&root->inval, start, end);
	return done;
}

/*
 * With the tables that the long way may need, it cannot fail once a part of the
 * pages is changed: their region has a PD.
 */
static plat_noinline int protect_pages(struct dune_root *root, u64 start, u64 len,
				       unsigned int prot)
{
	u64 irq = hw_irq_save();
	struct vm_local *local = hw_local();
	bool done = false;
	int err;

	if (!root)
		root = vm_state.base;
	if (local->quick == root && local->cache.nr >= VM_TABLES) {
		dune_rcu_lock_by(local->reader);
		done = protect_small(root, local, start, start + len, prot);
		dune_rcu_unlock_by(local->reader);
	}
	/* Before an interrupt's handler takes tables. */
	err = done ? 0 : vm_protect(root, start, len, prot);
	hw_irq_restore(irq);
	return err;
}

/* 2 MiB at most, inside of a region; what else may be wrong the long way finds out. */
static inline bool is_small(u64 start, u64 len)
{
	return !((start | len) & (PAGE_SIZE - 1)) && len - 1 < TABLE_SPAN &&
	       start < USER_END && vm_one_region(start, start + len);
}

static inline bool is_page(u64 start, u64 len)
{
	return len == PAGE_SIZE && !(start & ~(USER_END - PAGE_SIZE));
}

int dune_vm_protect(struct dune_root *root, void *addr, size_t len, unsigned int prot)
{
	u64 start = (u64)addr;

	if (!vm_rights_valid(prot))
		return -EINVAL;
	if (hw_in_guest()) {
		if (is_page(start, len))
			return protect_page(root, start, prot);
		if (is_small(start, len))
			return protect_pages(root, start, len, prot);
	}
	return vm_protect(root, start, len, prot);
}
