/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Pages of the pool that are copies of the program's memory, for copy on write.
 * One reference for each leaf that maps it, in whatever root. A leaf of level 1
 * that maps memory of the library's own is one of these.
 */
#ifndef DUNE_VM_COPY_H
#define DUNE_VM_COPY_H

#include "op.h"

struct vm_copy {
	plat_rcu_t rcu;
	struct vm_copy *next;		/* in vm_local.dropped */
	void *page;
	u32 refs;
};

#pragma GCC visibility push(hidden)

/*
 * A copy of the page of the host's memory at mem, with one reference. NULL: *err
 * is -ENOMEM, or -EFAULT: the kernel cannot read it.
 */
struct vm_copy *copy_make(struct vm_local *local, const void *mem, int *err);
/* The copy that a present entry maps; NULL: none. */
struct vm_copy *copy_of(u64 entry, unsigned int level);
/* One reference more; false: it has none left. Under RCU. */
bool copy_get(struct vm_copy *copy);
/* One less; without any it is freed after the thread's next copies_release(). */
void copy_put(struct vm_local *local, struct vm_copy *copy);
/* What the thread has dropped is flushed: freed after a grace period. */
void copies_release_some(struct vm_local *local);

#pragma GCC visibility pop

static inline void copies_release(struct vm_local *local)
{
	if (local->dropped)
		copies_release_some(local);
}

#endif /* DUNE_VM_COPY_H */
