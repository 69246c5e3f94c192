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
 * Order: inside mmap_lock (page faults); outside stats_vm.lock and, in Linux,
 * i_mmap_rwsem. Context: process, may sleep. Inside of it memory is allocated.
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
 * The page of id is to be on that node. begin(): a page to copy it to, which nobody
 * writes to until end(), when the copy becomes the id's and the old one is freed.
 * The lock is held between. The caller has the id. May sleep.
 * ERR_PTR: -ENOMEM, not there; -EBUSY, it is referred to. Then nothing is held.
 */
struct dune_vcpu_page *vcpu_pages_move_begin(struct vcpu_pages *p, u32 id, int node);
void vcpu_pages_move_end(struct vcpu_pages *p, u32 id, struct dune_vcpu_page *to);

/*
 * A page fault in a mapping of vCPUs' pages, whose offsets are those of the vm fd.
 * An id that no vCPU has had is no memory.
 */
vm_fault_t vcpu_pages_fault(struct vcpu_pages *p, struct vm_fault *vmf);

#endif /* KMOD_VCPU_PAGES_H */
