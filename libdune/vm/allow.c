// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What a page fault's handler asks for with dune_trap_allow(): rights in addition,
 * for one page. Nobody loses any by it and nobody may rely on what others have lost,
 * so there are no marks and no looks at other threads. bench/scaling/appel.c has the
 * limit.
 */
#include "region.h"
#include "range.h"
#include "walk.h"

/* A small page's leaf, in a table that this thread has used. False: nothing is done. */
static inline __attribute__((always_inline)) bool allow_page(struct vm_local *local, u64 addr, u64 prot)
{
	const struct vm_walk *walk = walk_at(local, addr);
	struct pt_table *table = walk->table;
	u64 *entry, old, new;

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
	new = (old & vm_state.allow.keep[prot]) | vm_state.allow.set[prot];
	plat_add64_release(entry, new - old);
	plat_unlock(&table->lock);
	/* The fault did that; but the handler may have looked at the page. */
	hw_invlpg(addr);
	return true;
}

/* The page, of whatever size it is now: others may split, merge, protect it. */
static int allow_any(struct vm_op *op, u64 addr, unsigned int prot)
{
	for (;;) {
		struct dune_vm_entry entry;
		unsigned int level;
		u64 value;
		int err;

		if (vm_lookup(op->root, addr, &entry))
			return -ENOENT;
		if (entry.size == DUNE_PAGE_1G) {
			err = region_change(op, region_index(addr), PT_RIGHTS, prot);
			if (err != -EAGAIN)
				return err;
			continue;
		}
		value = vm_entry(op->root, addr, &level);
		if (value && level < 3 &&
		    region_replace(op, addr, value, level,
				   value & X86_ADDR & ~(pt_level_size(level) - 1),
				   pt_x86.rights(value) | prot) == PT_DONE)
			return 0;
	}
}

static plat_noinline enum dune_allowed allow_slowly(struct dune_thread *t, u64 addr, u64 prot)
{
	struct vm_op op;
	int err;

	if (addr >= USER_END)
		return ALLOW_FAILED;
	/* A page of another size is not among what it remembers. */
	if (walk_fill(&t->vm, addr) && allow_page(&t->vm, addr, prot))
		return ALLOW_SLOWLY;
	if (vm_op_begin(&op, t->vm.view->root))
		return ALLOW_FAILED;
	err = allow_any(&op, addr, prot ? prot | PT_R : 0);
	hw_invlpg(addr);
	vm_op_end(&op);
	return err ? ALLOW_FAILED : ALLOW_SLOWLY;
}

enum dune_allowed dune_vm_allow(struct dune_thread *t, uint64_t addr, uint64_t prot)
{
	return allow_page(&t->vm, addr, prot) ? ALLOW_QUICKLY : allow_slowly(t, addr, prot);
}
