// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What a page fault's handler asks for with dune_trap_allow(): rights in addition,
 * for one page. Nobody loses any by it and nobody may rely on what others have lost,
 * so there are no marks and no looks at other threads. tests/guest/vm_cost has the
 * limit.
 */
#include "protect.h"
#include "walk.h"

/* A small page's leaf, in a table that this thread has used. False: nothing is done. */
static inline bool allow_page(struct vm_local *local, u64 addr, u64 prot)
{
	const struct pt_masks *masks = &vm_state.allow[prot].plain;
	const struct vm_walk *walk = walk_at(local, addr);
	struct pt_table *table = walk->table;
	u64 *entry, old;

	if (!walk_lock(local, walk, addr))
		return false;
	entry = table->entry + pt_index(addr, 1);
	old = plat_load(entry);
	/* Of a page that is to be copied hardware does not see who may write. */
	if (!(old & X86_MAPPED) || (old & X86_COW)) {
		plat_unlock(&table->lock);
		return false;
	}
	/* A sum: see pt_rights.h. */
	plat_add64_release(entry, pt_apply(masks, old) - old);
	plat_unlock(&table->lock);
	/* The fault did that; but the handler may have looked at the page. */
	hw_invlpg(addr);
	return true;
}

bool dune_vm_allow_quick(struct dune_thread *t, uint64_t addr, uint64_t prot)
{
	return allow_page(&t->vm, addr, prot & 15);
}

bool dune_vm_allow(struct dune_thread *t, uint64_t addr, uint64_t prot)
{
	prot &= 15;
	if (addr >= USER_END)
		return false;
	/* A page of another size is not among what it remembers. */
	if (walk_fill(&t->vm, addr) && allow_page(&t->vm, addr, prot))
		return true;
	return !vm_allow(addr, prot);
}
