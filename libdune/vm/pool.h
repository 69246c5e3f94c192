/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Pages and small objects for guest page tables. Each thread has a magazine of
 * both and exchanges half of it at a time with a depot: of its own NUMA node for
 * pages. The pool grows by arenas of 2 MiB (smp/plat/guest/plat.h), as long as
 * there are memory and slots, and keeps what was freed.
 */
#ifndef DUNE_VM_POOL_H
#define DUNE_VM_POOL_H

#include "vm.h"

#define POOL_CELL	128u	/* bytes of an object */
#define POOL_NODES	64u	/* that are told apart */

/*
 * POOL_TABLE: memory of a table's descriptor is never anything else, and its first
 * 8 bytes, with the lock, are never written here: walk.h.
 */

#pragma GCC visibility push(hidden)

/* Zeroed, or NULL. */
void *pool_page(struct vm_local *local);
void pool_page_put(struct vm_local *local, void *page);
void *pool_cell(struct vm_local *local, enum pool_kind kind);
void pool_cell_put(struct vm_local *local, enum pool_kind kind, void *cell);
/* The thread ends: all that its magazines have goes to the depots. */
void pool_drain(struct vm_local *local);
/* Pages that were ever made, and pages in depots; for tests. */
u64 pool_made(void);
u64 pool_idle(void);
void pool_forget(void);

/* numa.c: enum dune_placement, and the nodes it names */
void node_init(u32 placement, u64 nodes);
void node_place(void *p, u64 len);
unsigned int node_here(void);

#pragma GCC visibility pop

#endif /* DUNE_VM_POOL_H */
