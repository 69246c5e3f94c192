/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Views: the upper two levels of a root, once for each vCPU that uses it. So a
 * vCPU becomes a member of a region when it first touches it, and what happens
 * in a region concerns its members only.
 */
#ifndef DUNE_VM_VIEW_H
#define DUNE_VM_VIEW_H

#include "op.h"

/* Why a region has to be in every view, always. */
enum pin {
	PIN_OWN,	/* all of it is the library's: no root may change it */
	PIN_SOME,	/* some of it is: it may not be unmapped as one */
};

#pragma GCC visibility push(hidden)

/* Address space for views, ahead of time: 0 or -ENOMEM. */
int view_reserve(struct vm_local *local);

/* local's vCPU gets a view of root, with what is pinned in it. NULL: no memory. */
struct dune_view *view_create(struct dune_root *root, struct vm_local *local);
/*
 * Some view of this thread's own, which ends; the view that a vCPU has of a root,
 * which is not active there and whose PCID is flushed before it is used again. by
 * is the calling thread. False: there is none (any more).
 */
bool view_destroy_own(struct vm_local *owner);
bool view_destroy_of(struct dune_root *root, u32 id, struct vm_local *by);

/*
 * Copy a region's entry into the view: 1, or 0 when it maps nothing for
 * hardware; -errno: no slot. by is the calling thread. For the #PF handler.
 */
int view_fill(struct dune_view *view, struct vm_local *by, u64 index);

/* Guest physical address of a region of the host's; 0 or -errno. */
int view_slot(u64 index, u64 *gpa);

/*
 * All views have this region from now on. 0 or -errno; PIN_OWN: -EADDRINUSE, a
 * root has something else there.
 */
int view_pin(struct vm_local *by, u64 index, enum pin pin);
bool view_is_pinned(u64 index, enum pin pin);
/* Pinned, and not only about to be put into the views there are. */
bool view_is_everywhere(u64 index);
/*
 * Before the first view: it finds all memory that pins need to be there, so the
 * page faults are dune_init()'s. 0 or -errno
 */
int view_prepare(struct dune_root *root);
void view_forget(void);

#pragma GCC visibility pop

#endif /* DUNE_VM_VIEW_H */
