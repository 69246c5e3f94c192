// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The two barriers of Dune mode. */
#include <errno.h>
#include <string.h>

#include "barrier.h"
#include "dune.h"
#include "remember.h"

/* --- fault: the page table's right to write, a handler of #PF --- */

static DUNE_TRAP_FAST_FN int set_rights(char *base, size_t len, enum right right)
{
	return dune_vm_protect(NULL, base, len, right == RIGHT_WRITE ? DUNE_R | DUNE_W : DUNE_R);
}

static struct remember remember = { .set = set_rights };

/*
 * Runs on the thread that writes, in some hundred instructions from the faulting
 * store to its repetition, without Linux.
 */
static DUNE_TRAP_FAST_FN enum dune_trap_action on_page_fault(struct dune_trap *trap, void *arg)
{
	struct remember *r = arg;
	const void *addr = (const void *)trap->fault_addr;

	if (!remember_has(r, addr) || !(trap->error_code & DUNE_PF_WRITE))
		return DUNE_TRAP_DELIVER;
	return remember_fault(r, addr) ? DUNE_TRAP_DELIVER : DUNE_TRAP_RESUME;
}

static int fault_start(char *base, size_t len)
{
	int err = dune_vm_split(NULL, base, len, DUNE_PAGE_4K);

	if (!err)
		err = remember_start(&remember, base, len);
	if (!err)
		err = dune_trap_register(DUNE_VECTOR_PF, on_page_fault, &remember, DUNE_TRAP_FAST);
	return err;
}

/* One shootdown for all runs of pages. */
static int fault_take(uint64_t *pages)
{
	int err;

	dune_vm_batch_begin();
	err = remember_take(&remember, pages);
	dune_vm_batch_end();
	return err;
}

static void fault_stop(void)
{
	dune_trap_unregister(DUNE_VECTOR_PF);
	dune_trap_sync();
	remember_stop(&remember);
}

static uint64_t fault_traps(void)
{
	return remember.traps;
}

const struct barrier barrier_fault = {
	.name = "fault",
	.start = fault_start,
	.take = fault_take,
	.stop = fault_stop,
	.traps = fault_traps,
};

/* --- dirty: hardware's dirty bits, no faults at all --- */

static struct {
	char *base;
	size_t len;
} watched;

static int dirty_take(uint64_t *pages)
{
	long n;

	memset(pages, 0, (watched.len / PAGE + 63) / 64 * sizeof(*pages));
	n = dune_vm_scan(NULL, watched.base, watched.len, DUNE_SCAN_DIRTY | DUNE_SCAN_CLEAR,
			 pages);
	return n < 0 ? (int)n : 0;
}

static int dirty_start(char *base, size_t len)
{
	watched.base = base;
	watched.len = len;
	return dune_vm_split(NULL, base, len, DUNE_PAGE_4K);
}

static void dirty_stop(void)
{
}

static uint64_t dirty_traps(void)
{
	return 0;
}

const struct barrier barrier_dirty = {
	.name = "dirty",
	.start = dirty_start,
	.take = dirty_take,
	.stop = dirty_stop,
	.traps = dirty_traps,
};
