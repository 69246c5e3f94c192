/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Roots: making, freeing, switching. */
#ifndef DUNE_VM_ROOT_H
#define DUNE_VM_ROOT_H

#include "op.h"

#pragma GCC visibility push(hidden)

/* NULL: no memory. In dune_init() the first is the default one. */
struct dune_root *root_alloc(struct vm_local *local, u32 pcid);
void root_link(struct dune_root *root);
/* With a PCID of its own, not linked yet. 0, -ENOSPC or -ENOMEM */
int root_make(struct vm_local *local, struct dune_root **root);
/* Everything of it, but for its link. */
void root_destroy(struct vm_local *local, struct dune_root *root);

#pragma GCC visibility pop

#endif /* DUNE_VM_ROOT_H */
