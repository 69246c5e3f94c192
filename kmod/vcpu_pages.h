/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ids and pages of a vm's vCPUs: page i is that of the vCPU with id i. It is made
 * when the id is used first and stays the id's until the vm ends, whoever has that:
 * mappings of it need no change when vCPUs come and go. Who gets an id finds its
 * page zeroed.
 *
 * A thread that has moved to another NUMA node has its page moved there: taken out of
 * all mappings, which waits until no CPU uses it, copied, and given to who touches
 * it next. A page that something else refers to, a pipe say, or I/O, is not moved.
 *
 * Lock card: vcpu_pages.lock. Type: mutex. Protects: which ids are in use; the pages.
 * Order: inside mmap_lock (page faults); outside of Linux' i_mmap_rwsem, and of a
 * shootdown when mappings are taken away. Nothing of this module is taken inside of it;
 * of memory only the tree's nodes, one for 64 ids, are allocated. Context: process,
 * may sleep.
 */
#ifndef KMOD_VCPU_PAGES_H
#define KMOD_VCPU_PAGES_H

#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/xarray.h>
#include <uapi/dune.h>

struct vcpu_pages {
	struct mutex lock;
	struct inode *inode;	/* constant, a reference; of all files that are mapped */
	u32 nr;			/* lock; ids below it have a page, no others do */
	unsigned long used[BITS_TO_LONGS(DUNE_MAX_VCPUS)];	/* lock; ids */
	struct xarray page;	/* lock; by id */
};

/* The inode (inode.h) is that of the vm's files. */
void vcpu_pages_init(struct vcpu_pages *p, struct inode *inode);
/* Nothing is in use any more. */
void vcpu_pages_destroy(struct vcpu_pages *p);

/*
 * An id for a vCPU of the caller, its page zeroed but for the id: the lowest that is
 * free and whose page is on the caller's node, or that has none yet; if there is no
 * such, the lowest that is free. -ENOSPC, -ENOMEM.
 */
int vcpu_pages_get(struct vcpu_pages *p, struct dune_vcpu_page **page);
/* From here on the page may be another vCPU's. */
void vcpu_pages_put(struct vcpu_pages *p, u32 id);

/*
 * The page of id, which the caller has, is to become another one. begin(): from now on,
 * to end(), nobody reads or writes it but the caller, who copies it to that and has it back
 * after end(). False, and nothing has begun: something else refers to it. The lock is held
 * between. May sleep.
 */
bool vcpu_pages_move_begin(struct vcpu_pages *p, u32 id);
void vcpu_pages_move_end(struct vcpu_pages *p, u32 id, void *to);

/*
 * A page fault in a mapping of vCPUs' pages, whose offsets are those of the vm fd.
 * An id that no vCPU has had is no memory.
 */
vm_fault_t vcpu_pages_fault(struct vcpu_pages *p, struct vm_fault *vmf);

#endif /* KMOD_VCPU_PAGES_H */
