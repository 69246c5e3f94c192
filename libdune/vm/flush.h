/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The initiator's side of guest shootdown, and what a thread does about requests
 * of its own while it waits. Protocol: smp/vcpu_requests.h, smp/members.h.
 */
#ifndef DUNE_VM_FLUSH_H
#define DUNE_VM_FLUSH_H

#include "copy.h"
#include "marks.h"
#include "op.h"
#include "vcpu_requests.h"

/* More pages than that: the whole tag. */
#define FLUSH_PAGES	32u

#pragma GCC visibility push(hidden)

void flush_others(struct vm_op *op, const struct dune_region *region);
/*
 * Its two halves: for each vCPU that was asked, with what vreq_post() said; 1: it is
 * to be kicked. Then, with their number, once: nobody has the old translation when
 * this returns, or will before it runs.
 */
int flush_asked(const struct dune_root *root, struct vm_local *local, u32 id,
		enum vreq_state state);
void flush_settle(struct vm_op *op, int kicks);
void flush_tag(struct vm_local *local);
void flush_foreign(struct vm_op *op);
int flush_serve_polling(struct vm_local *local);
/* All regions of [start, end). */
void flush_range(struct vm_op *op, u64 start, u64 end);

/* batch.c: the caller of op_finish() is in a batch. */
void batch_take(struct vm_op *op, u64 start, u64 end);
/* What is in it is flushed now. */
void batch_flush(struct vm_op *op);

#pragma GCC visibility pop

/* Between the change and the look at the members; the caller's own TLB. */
static inline void flush_local(struct vm_op *op, u64 start, u64 end)
{
	if (!op->guest)
		return;		/* it asks its own vCPU like any other */
	if (op->local->view->root != op->root)
		flush_foreign(op);
	else if (end - start <= FLUSH_PAGES * PAGE_SIZE)
		for (u64 addr = start; addr < end; addr += PAGE_SIZE)
			hw_invlpg(addr);
	else
		flush_tag(op->local);
}

/* The members of a region that have to be asked, of word i. */
static inline u64 flush_members(const struct vm_op *op,
				const struct dune_region *region, u32 i)
{
	u64 word = members_word(region_members(op->root, region), i);

	if (op->guest && op->local->member_word == i)
		word &= op->local->others;
	return word;
}

static inline void flush_region(struct vm_op *op, const struct dune_region *region,
				u64 start, u64 end)
{
	u32 nr = plat_load(&vm_state.nr_words);

	flush_local(op, start, end);
	members_fence();
	for (u32 i = 0; i < nr; i++)
		if (flush_members(op, region, i)) {
			flush_others(op, region);
			return;
		}
}

/* Is there anything in [start, end) that the caller may not rely on yet? */
static inline bool flush_is_due(struct vm_op *op, u64 start, u64 end)
{
	u64 gen;

	return gather_needs_flush(&op->gather) ||
	       inval_pending(&op->root->inval, start, end, &gen) != INVAL_NOTHING;
}

/*
 * Changes in [start, end), which began with inval_begin(), are made: flush them,
 * or leave that to the thread's batch; free what was unlinked. region: the only
 * one, or NULL.
 */
static inline __attribute__((always_inline)) void
op_finish(struct vm_op *op, const struct dune_region *region,
			     u64 start, u64 end)
{
	if (op->local->batch.depth) {
		batch_take(op, start, end);
		return;
	}
	vm_mark_begin(op->root, start, end, op);
	if (flush_is_due(op, start, end)) {
		if (region)
			flush_region(op, region, start, end);
		else
			flush_range(op, start, end);
		gather_flushed(&op->gather);
	} else if (end - start <= FLUSH_PAGES * PAGE_SIZE) {
		/* Rights were gained: spare this thread the fault. */
		flush_local(op, start, end);
	}
	vm_mark_end(op);
	inval_end(&op->root->inval, start, end);
	gather_release(&op->gather);
	copies_release(op->local);
}

/*
 * While this thread polls, requests are its own to serve. In every loop that
 * waits for somebody who may be waiting for a flush.
 */
static inline int flush_serve(struct vm_local *local)
{
	if (!local->page || !plat_load(&local->page->polling))
		return 0;
	return flush_serve_polling(local);
}

#endif /* DUNE_VM_FLUSH_H */
