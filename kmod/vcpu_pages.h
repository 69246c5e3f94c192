/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ids and pages of a vm's vCPUs: page i is that of the vCPU with id i. It is made
 * when the id is used first and stays the id's until the vm ends, whoever has that:
 * mappings of it need no change when vCPUs come and go. Who gets an id finds its
 * page zeroed.
 *
 * Lock card: vcpu_pages.lock. Type: mutex. Protects: which ids are in use, adding
 * pages. Context: process, may sleep. Inside of it memory is allocated, and nothing
 * of this module is taken. Page faults read pages without it: an entry is stored
 * once.
 */
#ifndef KMOD_VCPU_PAGES_H
#define KMOD_VCPU_PAGES_H

#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/xarray.h>
#include <uapi/dune.h>

struct vcpu_pages {
	struct mutex lock;
	u32 nr;			/* lock; ids below it have a page, no others do */
	unsigned long used[BITS_TO_LONGS(DUNE_MAX_VCPUS)];	/* lock; ids */
	struct xarray page;	/* by id */
};

void vcpu_pages_init(struct vcpu_pages *p);
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

/* NULL: no vCPU has had that id. Any context. */
struct page *vcpu_pages_at(struct vcpu_pages *p, unsigned long id);

#endif /* KMOD_VCPU_PAGES_H */
