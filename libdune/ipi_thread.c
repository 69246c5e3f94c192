// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Who can be sent an interrupt, and what it has counted; dune_ipi.h. */
#include <errno.h>
#include <string.h>

#include "internal.h"
#include "vm/vcpus.h"

dune_ipi_id ipi_threads[DUNE_MAX_VCPUS];

/* Not reset in a forked child: the ids of its parent are nobody's there. */
static uint32_t births;

static uint64_t dropped;

void dune_ipi_thread_begins(struct dune_thread *t)
{
	uint64_t birth = __atomic_add_fetch(&births, 1, __ATOMIC_RELAXED);

	t->page->notify_vector = DUNE_VECTOR_IPI;
	t->ipi.self = birth << 32 | t->page->id;
	__atomic_store_n(&ipi_threads[t->page->id], t->ipi.self, __ATOMIC_RELEASE);
}

/*
 * Nobody finds it any more; for who has found it before, each vector is pending
 * already. So what became pending was taken, or is counted here.
 */
void dune_ipi_thread_ends(struct dune_thread *t)
{
	uint64_t nr = 0;

	__atomic_store_n(&ipi_threads[t->page->id], 0, __ATOMIC_RELAXED);
	/*
	 * [IPI-1] No thread any more before the bits (xchg); pairs with [IPI-2]
	 * in post(): else a send that found one of these bits counts as coalesced
	 * with another that was taken. Shape: MP.
	 */
	for (unsigned int i = 0; i < IPI_WORDS; i++)
		nr += __builtin_popcountll(__atomic_exchange_n(&t->vm.irr->word[i], ~0ull,
							       __ATOMIC_SEQ_CST));
	__atomic_fetch_add(&dropped, nr, __ATOMIC_RELAXED);
}

void dune_ipi_thread_enters(struct dune_thread *t)
{
	t->ipi.service = (struct ipi_service){ 0 };
	/* Its request may have been taken by a handler that did not go on. */
	if (ipi_highest(t->vm.irr->word) != IPI_NONE)
		__atomic_fetch_or(&t->page->requests, DUNE_REQ_IRQ, __ATOMIC_SEQ_CST);
}

void dune_ipi_forget(void)
{
	memset(ipi_threads, 0, sizeof(ipi_threads));
	dropped = 0;
}

dune_ipi_id dune_ipi_self(void)
{
	struct dune_thread *t = dune_thread_current();

	return t ? t->ipi.self : 0;
}

int dune_ipi_counts(struct dune_ipi_counts *counts)
{
	struct dune_thread *t = dune_thread_current();

	if (!t)
		return -EINVAL;
	*counts = t->ipi.counts;
	counts->dropped = __atomic_load_n(&dropped, __ATOMIC_RELAXED);
	return 0;
}
