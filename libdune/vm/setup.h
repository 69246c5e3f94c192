/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Guest paging for the rest of libdune: dune_init(), threads, page faults. */
#ifndef DUNE_VM_SETUP_H
#define DUNE_VM_SETUP_H

#include "vcpus.h"
#include "view.h"

struct vm_setup {
	u32 caps;		/* DUNE_CAP_* */
	u32 nr_slots;
	u64 syscall_entry;	/* where SYSCALL lands in the guest */
	u64 syscall_target;	/* where it shall go on */
	u64 program;		/* an address of it; 0: no common PDPT */
	u32 placement;		/* enum dune_placement, and its nodes; numa.c */
	u64 nodes;
};

#pragma GCC visibility push(hidden)

/*
 * Once per vm, with its slot table mapped. 0 or a negative errno, after which
 * paging_undo() cleans up.
 */
int paging_init(const struct vm_setup *setup);
/* A zeroed page that every view maps; never freed. NULL: no memory. */
void *paging_page(void);
/*
 * The page fault handler touches [start, end), in every root. by is the calling
 * thread; NULL before the first vCPU. 0 or a negative errno.
 */
int vm_pin_range(struct vm_local *by, u64 start, u64 end);
/* The last of dune_init(). 0 or a negative errno */
int paging_ready(void);
void paging_undo(void);
/* In a forked child: the parent's, if it had any. */
void paging_forget(void);

#pragma GCC visibility pop

#endif /* DUNE_VM_SETUP_H */
