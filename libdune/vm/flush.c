// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Guest shootdown: the rare part, when there are members but the caller. */
#include "flush.h"
#include "vcpu_requests.h"
#include "vcpus.h"

/* Turns of waiting for a polling thread, after which it is kicked all the same. */
#ifndef POLL_PATIENCE
#define POLL_PATIENCE	20000u
#endif

/* Forget all of the active root; other PCIDs stay. */
void flush_tag(struct vm_local *local)
{
	hw_set_cr3(local->view->cr3);
}

/* The root is not active: before it is again. */
void flush_foreign(struct vm_op *op)
{
	struct dune_view *view = op->root->view[op->local->id];

	if (view)
		view->flush_gen = op->local->flush_gen - 1;
}

/* All PCIDs of this vCPU. */
static void flush_all(struct vm_local *local)
{
	if (vm_state.caps & DUNE_CAP_INVPCID) {
		hw_invpcid_all();
		return;
	}
	local->flush_gen++;
	local->view->flush_gen = local->flush_gen;
	flush_tag(local);
}

int flush_serve_polling(struct vm_local *local)
{
	if (!hw_in_guest() || !vreq_take_flush(local->page))
		return 0;
	flush_all(local);
	vreq_flush_done(local->page);
	return 1;
}

/* Does a vCPU that runs use this root now, or may soon without a look? */
static bool uses(const struct vm_vcpu *vcpu, const struct dune_root *root)
{
	u64 active = active_after_post(&vcpu->active);

	return active == (u64)root || active == ACTIVE_ANY;
}

int flush_asked(const struct dune_root *root, struct vm_local *local, u32 id,
		enum vreq_state state)
{
	switch (state) {
	case VREQ_RUNS:
		if (!uses(&vm_vcpus[id], root))
			return 0;
		vreq_kick_add(&local->kick, id);
		return 1;
	case VREQ_POLLS:
		if (uses(&vm_vcpus[id], root))
			vreq_kick_add(&local->wait, id);
		return 0;
	default:
		return 0;
	}
}

static int post(struct vm_op *op, u32 id)
{
	struct dune_vcpu_page *page = vcpu_page(id);

	return page ? flush_asked(op->root, op->local, id,
				  vreq_post(page, DUNE_REQ_FLUSH)) : 0;
}

/* Without a kick: a run ends by itself, at the next tick at the latest. */
static void wait_for_runs(struct vm_op *op)
{
	for (u32 i = 0; i < MEMBERS_WORDS; i++)
		op->local->wait.ids[i] |= op->local->kick.ids[i];
}

static void kick(struct vm_op *op)
{
	if (!(op->guest ? hw_kick(&op->local->kick) : hw_interrupt_all()))
		wait_for_runs(op);
	for (u32 i = 0; i < plat_load(&vm_state.nr_words); i++)
		op->local->kick.ids[i] = 0;
}

/* It polls, and does not poll. */
static void lose_patience(struct vm_op *op, u32 id)
{
	vreq_kick_add(&op->local->kick, id);
	if (op->guest)
		hw_kick(&op->local->kick);
	else
		hw_interrupt_all();
	op->local->kick.ids[id / 64] = 0;
}

static void wait_for(struct vm_op *op, u32 id)
{
	struct dune_vcpu_page *page = vcpu_page(id);

	for (unsigned int turn = 0; page && !vreq_is_over(page); turn++) {
		flush_serve(op->local);
		vm_relax(turn);
		if (turn % POLL_PATIENCE == POLL_PATIENCE - 1)
			lose_patience(op, id);
	}
}

/* Who was asked while it polled. */
static void wait_for_all(struct vm_op *op)
{
	u32 nr = plat_load(&vm_state.nr_words);

	for (u32 i = 0; i < nr; i++)
		while (op->local->wait.ids[i]) {
			u32 bit = __builtin_ctzll(op->local->wait.ids[i]);

			op->local->wait.ids[i] &= op->local->wait.ids[i] - 1;
			wait_for(op, i * 64 + bit);
		}
}

static int post_members(struct vm_op *op, const struct dune_region *region)
{
	u32 nr = plat_load(&vm_state.nr_words);
	int kicks = 0;

	for (u32 i = 0; i < nr; i++)
		for (u64 word = flush_members(op, region, i); word; word &= word - 1)
			kicks += post(op, i * 64 + __builtin_ctzll(word));
	return kicks;
}

void flush_settle(struct vm_op *op, int kicks)
{
	if (kicks)
		kick(op);
	wait_for_all(op);
}

/* After the fence that follows the change. */
void flush_others(struct vm_op *op, const struct dune_region *region)
{
	flush_settle(op, post_members(op, region));
}

void flush_range(struct vm_op *op, u64 start, u64 end)
{
	u64 last = region_index(end - 1);
	int kicks = 0;

	flush_local(op, start, end);
	members_fence();
	for (u64 i = region_index(start); i <= last; i++) {
		/* Of one region no look at what comes behind: that may be far. */
		if (last > region_index(start))
			i = root_next_touched(op->root, i);
		if (i <= last)
			kicks += post_members(op, &op->root->region[i]);
	}
	flush_settle(op, kicks);
}
