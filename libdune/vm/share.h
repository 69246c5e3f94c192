/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Memory that no clone copies: the library's, the threads', and what it is told. */
#ifndef DUNE_VM_SHARE_H
#define DUNE_VM_SHARE_H

#include "op.h"

/* Of the library and of dune_vm_share(). */
#define SHARE_MAX	96u
#define SHARE_MAX_USER	64u

#pragma GCC visibility push(hidden)

/* Memory of the library's own, from now on. In dune_init(). 0 or -ENOSPC */
int vm_share_own(u64 start, u64 end);

/*
 * The thread is about to be in Dune mode: its memory is shared in clones that are
 * made from now on, and in roots that there are. Until vcpu_end(). THREAD_SPANS
 * of them. 0 or -errno
 */
int vm_share_thread(struct vm_local *by, const struct vm_span *span);

/*
 * All of it, in order, without overlaps, into list; returns how many. Under all
 * of cow_lock.
 */
u32 share_collect(struct vm_span *list);
void share_forget(void);

#pragma GCC visibility pop

#define SHARE_LIST_MAX	(SHARE_MAX + THREAD_SPANS * DUNE_MAX_VCPUS)

#endif /* DUNE_VM_SHARE_H */
