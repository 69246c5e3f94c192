/* SPDX-License-Identifier: GPL-2.0-only */
/* What the host's page table says of one user address right now. */
#ifndef KMOD_HOST_PT_H
#define KMOD_HOST_PT_H

#include <linux/mm_types.h>
#include "pt.h"

/*
 * The leaf that maps hva in mm, with its level, physical address (of the
 * leaf's first byte), rights and memory type. PT_W only where the leaf is
 * marked dirty as well. 0, or -ENOENT when nothing that
 * user space may access is present. Takes no lock and no reference: the answer
 * is worth something only with a snapshot of the invalidations (smp/inval.h).
 * Interrupts on.
 */
int host_pt_leaf(struct mm_struct *mm, unsigned long hva, struct pt_leaf *leaf);

#endif /* KMOD_HOST_PT_H */
