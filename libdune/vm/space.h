/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Address space of guest paging's own: whole 1 GiB regions, so that one entry
 * of a view maps them and no root can have anything else there. Given out in
 * blocks of 2 MiB, which are contiguous in guest physical space.
 *
 * Memory comes with the first touch, as ever. A forked child gets zeroes, and
 * gives the address space back in space_forget().
 */
#ifndef DUNE_VM_SPACE_H
#define DUNE_VM_SPACE_H

#include "vm.h"

#define BLOCK_SIZE	PLAT_ARENA_SIZE

#pragma GCC visibility push(hidden)

/* nr zeroed blocks in a row (nr < 512); NULL: no memory, or no slot. */
void *space_get(struct vm_local *local, unsigned int nr);
/* The same nr. */
void space_put(void *blocks, unsigned int nr);
void space_forget(void);

#pragma GCC visibility pop

#endif /* DUNE_VM_SPACE_H */
