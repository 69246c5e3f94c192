/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Requests to a vCPU: what any thread of the process wants of it, and how both
 * know that it was done. State: mode, requests, polling in its struct
 * dune_vcpu_page, and irr, which is the requesters' own. The module begins and ends
 * runs, libdune does the rest.
 *
 *   requester                            the vCPU's thread
 *     change entries, or irr               run: mode = 1
 *     requests |= what, full fence           full fence           [GT-1]
 *                        [GT-2, GT-4]        read and take requests
 *     read mode, polling                     do it, VM entry ...
 *     0:        nothing more to do           mode = 0 (release)   [GT-7]
 *     polling:  wait, vreq_is_over()       polls: FLUSH -> FLUSHING, flush,
 *     else:     kick                              clear FLUSHING
 *                                          ends: polling = 0
 *                                            full fence           [GT-3]
 *                                            look at requests again
 *
 * Either the requester sees that the vCPU may run on without a look at its
 * requests, or it will look. A kick ends the run; the next begins with a look.
 *
 * Why two bits: who waits for a polling vCPU has to know when the flush is
 * over, not when it begins, and a request made during the flush needs another.
 * A run that begins between the two flushes as well: the thread may have been
 * interrupted before its flush.
 *
 * All of it is memory that the process can write: nothing here is relied on
 * for more than the process's own translations and interrupts.
 */
#ifndef SMP_VCPU_REQUESTS_H
#define SMP_VCPU_REQUESTS_H

#include "plat.h"

#include "uapi/dune.h"

/* Until both are clear the vCPU has not flushed. */
#define VREQ_FLUSHES	(DUNE_REQ_FLUSH | DUNE_REQ_FLUSHING)

/* What a requester finds, and what it has to do. */
enum vreq_state {
	VREQ_OUTSIDE,	/* nothing: the next run sees the request */
	VREQ_RUNS,	/* kick it: DUNE_HC_KICK */
	VREQ_POLLS,	/* of a flush, wait: vreq_is_over(); else nothing */
	VREQ_COALESCED,	/* nothing: pending already, its sender does the rest */
};

/*
 * Any thread, either mode: ask for DUNE_REQ_ bits. What they are about was
 * written before. One locked instruction on x86, so for several vCPUs each is
 * asked and looked at in turn; then one kick for all.
 *
 * A vCPU that is in plain Linux mode may have cached what it changes itself:
 * its thread asks its own vCPU too.
 */
static inline enum vreq_state vreq_post(struct dune_vcpu_page *page, u32 what)
{
	/*
	 * [GT-9] Entries or irr before the request (release); pairs with
	 * [GT-10] in vreq_run_take(), vreq_take_flush(). Shape: MP.
	 * [GT-2] The request before mode; pairs with [GT-1] in
	 * vreq_run_pending(): else the vCPU counts as outside and runs on
	 * without having seen the request. Shape: SB.
	 * [GT-4] The request before polling; pairs with [GT-3] in
	 * vreq_poll_end(): else a vCPU is waited for that never looks again.
	 * Shape: SB.
	 */
	plat_or32_full(&page->requests, what);
	/* [GT-8] mode (acquire); pairs with [GT-7] in vreq_run_end(). */
	if (!plat_load_acquire(&page->mode))
		return VREQ_OUTSIDE;
	return plat_load(&page->polling) ? VREQ_POLLS : VREQ_RUNS;
}

/*
 * As vreq_post(), for an interrupt: vector (0..255) is pending in irr, four words
 * that are no other vCPU's. Each change of its bit from 0 to 1 gives one run of its
 * handler.
 */
static inline enum vreq_state vreq_post_irq(struct dune_vcpu_page *page, u64 *irr,
					    u32 vector)
{
	u64 bit = 1ull << vector % 64;

	if (plat_or64(&irr[vector / 64], bit) & bit)
		return VREQ_COALESCED;
	return vreq_post(page, DUNE_REQ_IRQ);
}

/*
 * Is the vCPU outside, with a flush still to come? Then vreq_post() of another
 * one would say VREQ_OUTSIDE and change nothing. After a full fence that follows
 * the change, in place of that in vreq_post().
 */
static inline bool vreq_flush_is_posted(const struct dune_vcpu_page *page)
{
	return (plat_load(&page->requests) & DUNE_REQ_FLUSH) &&
	       !plat_load_acquire(&page->mode);
}

/* One more to kick; the caller has cleared the set before the first. */
static inline void vreq_kick_add(struct dune_kick *kick, u32 id)
{
	kick->ids[id / 64] |= 1ull << id % 64;
}

/*
 * Of a vCPU that was found VREQ_POLLS: has it flushed since, or will it before
 * it runs on? To be asked in a loop. A thread that polls itself serves its own
 * requests in each turn, or two of them wait for each other for ever; the same
 * holds in every other loop that waits for somebody who may be waiting so.
 */
static inline bool vreq_is_over(const struct dune_vcpu_page *page)
{
	/*
	 * [GT-12] Both bits in one read (acquire): what the vCPU used before
	 * its flush comes before what the caller does next; pairs with [GT-11]
	 * in vreq_flush_done().
	 */
	if (!(plat_load_acquire(&page->requests) & VREQ_FLUSHES))
		return true;
	/* It may stay outside for ever; its next run flushes. As [GT-8]. */
	return !plat_load_acquire(&page->mode);
}

/* --- a run; the module, irqs off --- */

/*
 * A run begins: before sd_enter(), and after the CPU it is on can be found by
 * who kicks it.
 */
static inline void vreq_run_begin(struct dune_vcpu_page *page)
{
	plat_store(&page->mode, 1);
}

/*
 * Are there requests? After sd_enter(), once a run. What comes later ends the
 * run by a kick.
 */
static inline u32 vreq_run_pending(const struct dune_vcpu_page *page)
{
	/*
	 * [GT-1] mode before requests, by the fence of sd_enter() [SD-1]; pairs
	 * with [GT-2] in vreq_post(). Shape: SB.
	 */
	return plat_load(&page->requests) & DUNE_REQUESTS;
}

/*
 * Take them: the caller does them all before the VM entry. VREQ_FLUSHES: flush.
 * DUNE_REQ_IRQ: inject notify_vector as soon as the guest takes interrupts. One
 * instruction, not a loop that others could hold up.
 */
static inline u32 vreq_run_take(struct dune_vcpu_page *page)
{
	u32 taken = vreq_run_pending(page);

	/*
	 * [GT-10] Requests (acquire) before the flush, or before the handler
	 * reads irr; pairs with [GT-9] in vreq_post(): else what is flushed is
	 * cached anew, as it was. Shape: MP.
	 */
	plat_andnot32(&page->requests, taken);
	return taken;
}

/* The run is over, or there was none. */
static inline void vreq_run_end(struct dune_vcpu_page *page)
{
	/*
	 * [GT-7] The guest's accesses before mode (release); pairs with [GT-8]
	 * in vreq_post(): else memory is freed that its last instructions
	 * still use. Shape: MP.
	 */
	plat_store_release(&page->mode, 0);
}

/* --- polling; the vCPU's thread in the guest --- */

/* From now on nobody kicks it: it calls vreq_take_flush() again and again. */
static inline void vreq_poll_begin(struct dune_vcpu_page *page)
{
	plat_store(&page->polling, 1);
}

/*
 * No more. Then look once again, at both: vreq_take_flush(), vreq_take_irq().
 * Whoever saw this vCPU polling waits for the one, and has not kicked it for the
 * other.
 */
static inline void vreq_poll_end(struct dune_vcpu_page *page)
{
	plat_store(&page->polling, 0);
	/*
	 * [GT-3] polling before requests; pairs with [GT-4] in vreq_post().
	 * Shape: SB.
	 */
	plat_full_mb();
}

/*
 * True: the caller flushes all translations of its guest, then calls
 * vreq_flush_done(). Exits, and nested calls from handlers, may come between.
 */
static inline bool vreq_take_flush(struct dune_vcpu_page *page)
{
	u32 old = plat_load(&page->requests);

	/* [GT-10] as in vreq_run_take(): acquire. */
	while (old & DUNE_REQ_FLUSH)
		if (plat_cas32(&page->requests, &old,
			       (old & ~DUNE_REQ_FLUSH) | DUNE_REQ_FLUSHING))
			return true;
	return false;
}

static inline void vreq_flush_done(struct dune_vcpu_page *page)
{
	/*
	 * [GT-11] The flush before the bit (release); pairs with [GT-12] in
	 * vreq_is_over(): else memory is freed while it is in use. Shape: MP.
	 */
	plat_andnot32(&page->requests, DUNE_REQ_FLUSHING);
}

/* Was an interrupt requested? True: look at irr. */
static inline bool vreq_take_irq(struct dune_vcpu_page *page)
{
	if (!(plat_load(&page->requests) & DUNE_REQ_IRQ))
		return false;
	/* [GT-10] as in vreq_run_take(): acquire. */
	plat_andnot32(&page->requests, DUNE_REQ_IRQ);
	return true;
}

#endif /* SMP_VCPU_REQUESTS_H */
