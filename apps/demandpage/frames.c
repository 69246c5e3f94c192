// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * CLOCK: one hand for all threads goes round the frames. When it passes the first
 * one, the accessed bits of all pages are cleared, with one flush; what it finds
 * accessed on its way was used since then, and is spared. That look costs no
 * flush.
 */
#include <sched.h>

#include "cli.h"
#include "pager.h"

static int second_chance(struct pager *pager, unsigned long page)
{
	struct dune_vm_entry entry;

	return !dune_vm_lookup(pager->root, page_addr(pager, page), &entry) &&
	       (entry.flags & DUNE_VM_ACCESSED);
}

static void begin_round(struct pager *pager)
{
	if (dune_vm_scan(pager->root, pager->window, pager->nr_pages * PAGE,
			 DUNE_SCAN_ACCESSED | DUNE_SCAN_CLEAR, NULL) < 0)
		cli_die("no memory for page tables\n  next: fewer --pages");
	pager_count(&pager->stats.rounds);
}

/* 0: now the frame is the caller's. A page that somebody moves is passed. */
static int frame_take(struct pager *pager, unsigned long frame)
{
	uint32_t owner = __atomic_load_n(&pager->page_of[frame], __ATOMIC_ACQUIRE);
	unsigned long page = owner - 1;
	int ret = -1;

	if (owner == FRAME_TAKEN)
		return -1;
	if (owner == FRAME_FREE)
		return !__atomic_compare_exchange_n(&pager->page_of[frame], &owner, FRAME_TAKEN,
						    0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED) ?
			       -1 :
			       0;
	if (!page_try_lock(pager, page))
		return -1;
	if (pager->page[page].frame != frame + 1)
		goto out;
	if (second_chance(pager, page)) {
		pager_count(&pager->stats.spared);
		goto out;
	}
	__atomic_store_n(&pager->page_of[frame], FRAME_TAKEN, __ATOMIC_RELAXED);
	page_out(pager, page);
	ret = 0;
out:
	page_unlock(pager, page);
	return ret;
}

unsigned long frame_get(struct pager *pager)
{
	for (unsigned long turn = 1;; turn++) {
		unsigned long frame = __atomic_fetch_add(&pager->hand, 1, __ATOMIC_RELAXED) %
				      pager->nr_frames;

		if (!frame)
			begin_round(pager);
		if (!frame_take(pager, frame))
			return frame;
		if (turn % pager->nr_frames == 0)
			sched_yield();
	}
}
