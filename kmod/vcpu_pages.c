// SPDX-License-Identifier: GPL-2.0-only
/* See vcpu_pages.h. */
#include <linux/bitmap.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/topology.h>

#include "plat.h"
#include "vcpu_pages.h"

void vcpu_pages_init(struct vcpu_pages *p, struct inode *inode)
{
	mutex_init(&p->lock);
	ihold(inode);
	p->inode = inode;
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
	iput(p->inode);
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

/* The next id, which gets *fresh, or an errno. */
static int add(struct vcpu_pages *p, void **fresh)
{
	int err = xa_err(xa_store(&p->page, p->nr, *fresh, GFP_KERNEL_ACCOUNT));

	if (err)
		return err;
	plat_note(*fresh, PAGE_SIZE, "dune_vcpu_page");
	*fresh = NULL;
	return p->nr++;
}

/* *fresh: a page for a new id, NULL when there is none. */
static int choose(struct vcpu_pages *p, int node, void **fresh)
{
	u32 id = find_near(p, node), far;

	if (id < p->nr)
		return id;
	far = find_first_zero_bit(p->used, p->nr);
	/* No better than one that is there: a node that is full costs no ids. */
	if (far < p->nr && (p->nr == DUNE_MAX_VCPUS || !*fresh || node_of(*fresh) != node))
		return far;
	if (p->nr == DUNE_MAX_VCPUS)
		return -ENOSPC;
	return *fresh ? add(p, fresh) : -ENOMEM;
}

/* No page of that node is free. Lets the lock go: page faults do not wait for memory. */
static int make_or_choose(struct vcpu_pages *p, int node)
{
	void *fresh = NULL;
	int id;

	lockdep_assert_held(&p->lock);
	if (p->nr < DUNE_MAX_VCPUS) {
		mutex_unlock(&p->lock);
		fresh = plat_page_alloc(node + 1);
		mutex_lock(&p->lock);
	}
	id = choose(p, node, &fresh);
	if (fresh)
		plat_page_free(fresh);
	return id;
}

int vcpu_pages_get(struct vcpu_pages *p, struct dune_vcpu_page **page)
{
	int node = numa_mem_id(), id;

	mutex_lock(&p->lock);
	id = find_near(p, node);
	if (id == p->nr)
		id = make_or_choose(p, node);
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

/*
 * Out of all mappings: the notifiers have run, so no EPT has it either. False: it may
 * be in one again, or is in use elsewhere. References come from mappings and, under
 * the lock, from page faults, one of which may be about to map it.
 */
static bool take_out(struct vcpu_pages *p, u32 id, void *page)
{
	unmap_mapping_range(p->inode->i_mapping, DUNE_MMAP_VCPU_PAGES + ((loff_t)id << PAGE_SHIFT),
			    PAGE_SIZE, 0);
	return page_count(virt_to_page(page)) == 1;
}

bool vcpu_pages_move_begin(struct vcpu_pages *p, u32 id)
{
	mutex_lock(&p->lock);
	if (take_out(p, id, xa_load(&p->page, id)))
		return true;
	mutex_unlock(&p->lock);
	return false;
}

void vcpu_pages_move_end(struct vcpu_pages *p, u32 id, void *to)
{
	/* It has an entry: nothing is allocated. */
	void *from = xa_store(&p->page, id, to, GFP_KERNEL_ACCOUNT);

	WARN_ON(xa_is_err(from));
	plat_note_gone(from);
	plat_note(to, PAGE_SIZE, "dune_vcpu_page");
	mutex_unlock(&p->lock);
}

vm_fault_t vcpu_pages_fault(struct vcpu_pages *p, struct vm_fault *vmf)
{
	unsigned long id = vmf->pgoff - (DUNE_MMAP_VCPU_PAGES >> PAGE_SHIFT);
	void *page;

	mutex_lock(&p->lock);
	page = xa_load(&p->page, id);
	if (page) {
		vmf->page = virt_to_page(page);
		get_page(vmf->page);
	}
	mutex_unlock(&p->lock);
	return page ? 0 : VM_FAULT_SIGBUS;
}
