// SPDX-License-Identifier: GPL-2.0-only
/* See vcpu_pages.h. */
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/topology.h>

#include "plat.h"
#include "vcpu_pages.h"

void vcpu_pages_init(struct vcpu_pages *p)
{
	mutex_init(&p->lock);
	xa_init_flags(&p->page, XA_FLAGS_ACCOUNT);
}

void vcpu_pages_destroy(struct vcpu_pages *p)
{
	unsigned long id;
	void *page;

	WARN_ON(!bitmap_empty(p->used, DUNE_MAX_VCPUS));
	xa_for_each(&p->page, id, page) {
		plat_note_gone(page);
		plat_page_free(page);
	}
	xa_destroy(&p->page);
}

static int node_of(const void *page)
{
	return page_to_nid(virt_to_page(page));
}

/* The lowest free id with a page on that node; p->nr: there is none. */
static u32 find_near(struct vcpu_pages *p, int node)
{
	u32 id = find_first_zero_bit(p->used, p->nr);

	while (id < p->nr && node_of(xa_load(&p->page, id)) != node)
		id = find_next_zero_bit(p->used, p->nr, id + 1);
	return id;
}

/* The next id gets this page, which is freed if not. The id or an errno. */
static int add(struct vcpu_pages *p, void *page)
{
	int err = xa_err(xa_store(&p->page, p->nr, page, GFP_KERNEL_ACCOUNT));

	if (err) {
		plat_page_free(page);
		return err;
	}
	plat_note(page, PAGE_SIZE, "dune_vcpu_page");
	return p->nr++;
}

static int choose(struct vcpu_pages *p, int node)
{
	u32 id = find_near(p, node), far;
	void *page;

	lockdep_assert_held(&p->lock);
	if (id < p->nr)
		return id;
	far = find_first_zero_bit(p->used, p->nr);
	if (p->nr == DUNE_MAX_VCPUS)
		return far < p->nr ? far : -ENOSPC;
	page = plat_page_alloc(node + 1);
	/* No better than one that is there: a node that is full costs no ids. */
	if (far < p->nr && (!page || node_of(page) != node)) {
		if (page)
			plat_page_free(page);
		return far;
	}
	return page ? add(p, page) : -ENOMEM;
}

int vcpu_pages_get(struct vcpu_pages *p, struct dune_vcpu_page **page)
{
	int id;

	mutex_lock(&p->lock);
	id = choose(p, numa_mem_id());
	if (id >= 0)
		__set_bit(id, p->used);
	mutex_unlock(&p->lock);
	if (id < 0)
		return id;
	*page = xa_load(&p->page, id);
	/* What the last one left, and what others have written to it since. */
	clear_page(*page);
	(*page)->id = id;
	return id;
}

void vcpu_pages_put(struct vcpu_pages *p, u32 id)
{
	mutex_lock(&p->lock);
	__clear_bit(id, p->used);
	mutex_unlock(&p->lock);
}

struct page *vcpu_pages_at(struct vcpu_pages *p, unsigned long id)
{
	void *page = xa_load(&p->page, id);

	return page ? virt_to_page(page) : NULL;
}
