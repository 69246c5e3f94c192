/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Copy on write. Roots that come of one another by cloning are a family; a leaf
 * with PT_COW may map the same page at the same address in others of it.
 *
 * cow_lock, by 2 MiB of the address: who resolves leaves with PT_COW. All of
 * them, in order: who clones, frees a root, or shares memory. Outside of every
 * other lock; who waits for one serves its requests. Without it PT_COW may vanish
 * with its leaf, but no leaf loses PT_COW and none gets it.
 *
 * Who keeps a page of the host's memory is the family's first root, because
 * system calls see it there: when that one writes, the others get the copy.
 */
#ifndef DUNE_VM_COW_H
#define DUNE_VM_COW_H

#include "flush.h"

#pragma GCC visibility push(hidden)

void cow_lock_all(struct vm_local *local);
void cow_unlock_all(void);

enum cow_result {
	COW_DONE,		/* try the access again */
	COW_NOT,		/* not a page to be copied */
	COW_FAILED,		/* no memory; nothing was changed */
};

/* Make addr's page the root's own. Under its lock, in an operation. */
enum cow_result cow_resolve(struct vm_op *op, u64 addr);

/*
 * Memory in [start, end) is the host's and writable again, whatever it was in
 * other roots. Under all locks. 0 or -errno
 */
int cow_share_range(struct vm_op *op, u64 start, u64 end);

#pragma GCC visibility pop

/* [addr, end) of op->root was changed: flush it now, batch or not. */
static inline void cow_flush(struct vm_op *op, u64 addr, u64 end)
{
	if (flush_is_due(op, addr, end)) {
		flush_range(op, addr, end);
		gather_flushed(&op->gather);
	}
	inval_end(&op->root->inval, addr, end);
	gather_release(&op->gather);
}

#endif /* DUNE_VM_COW_H */
