// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Copies of pages; see copy.h. The kernel reads the memory: in the root that is
 * active it may be mapped elsewhere or not at all, and a page that Linux cannot
 * give is an error here, not a fault in the page fault handler.
 */
#include <sys/uio.h>

#include "copy.h"
#include "pool.h"
#include "view.h"

_Static_assert(sizeof(struct vm_copy) <= POOL_CELL, "a cell");

static bool read_page(void *page, const void *mem)
{
	const struct iovec to = { page, PAGE_SIZE }, from = { (void *)mem, PAGE_SIZE };

	return hw_syscall(SYS_process_vm_readv, vm_state.pid, (long)&to, 1, (long)&from,
			  1, 0) == PAGE_SIZE;
}

struct vm_copy *copy_make(struct vm_local *local, const void *mem, int *err)
{
	struct vm_copy *copy = pool_cell(local, POOL_OTHER);

	if (!copy)
		goto err_memory;
	copy->page = pool_page(local);
	if (!copy->page)
		goto err_cell;
	if (!read_page(copy->page, mem))
		goto err_page;
	copy->refs = 1;
	plat_page_set_owner(copy->page, copy);
	return copy;

err_page:
	pool_page_put(local, copy->page);
	pool_cell_put(local, POOL_OTHER, copy);
	*err = -EFAULT;
	return NULL;
err_cell:
	pool_cell_put(local, POOL_OTHER, copy);
err_memory:
	*err = -ENOMEM;
	return NULL;
}

struct vm_copy *copy_of(u64 entry, unsigned int level)
{
	void *page;

	if (level != 1)
		return NULL;
	page = plat_va(entry & pt_x86.addr_mask);
	return view_is_pinned(region_index((u64)page), PIN_OWN) ?
	       plat_page_owner_at(page) : NULL;
}

bool copy_get(struct vm_copy *copy)
{
	u32 refs = plat_load(&copy->refs);

	while (refs)
		if (plat_cas32(&copy->refs, &refs, refs + 1))
			return true;
	return false;
}

void copy_put(struct vm_local *local, struct vm_copy *copy)
{
	if (__atomic_sub_fetch(&copy->refs, 1, __ATOMIC_ACQ_REL))
		return;
	copy->next = local->dropped;
	local->dropped = copy;
}

static void copy_free(plat_rcu_t *rcu)
{
	struct vm_copy *copy = plat_container_of(rcu, struct vm_copy, rcu);
	struct vm_local *local = vm_local_here();

	pool_page_put(local, copy->page);
	pool_cell_put(local, POOL_OTHER, copy);
}

void copies_release_some(struct vm_local *local)
{
	while (local->dropped) {
		struct vm_copy *copy = local->dropped;

		local->dropped = copy->next;
		plat_call_rcu(&copy->rcu, copy_free);
	}
}
