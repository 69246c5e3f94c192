// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Roots; see dune_vm.h. */
#include "copy.h"
#include "cow.h"
#include "pool.h"
#include "pt_entry.h"
#include "region.h"
#include "root.h"
#include "space.h"
#include "walk.h"

#define REGIONS_SIZE	(NR_REGIONS * sizeof(struct dune_region))
#define ROOT_BLOCKS	((REGIONS_SIZE + sizeof(struct dune_root) + BLOCK_SIZE - 1) / BLOCK_SIZE)

#define NR_PCIDS	4096u	/* 0 is the default root's */

/* A forked child goes on counting: it may remember tables of its parent's roots. */
static u64 next_walk_base(void)
{
	static u64 nr;
	u64 mine = __atomic_add_fetch(&nr, 1, __ATOMIC_RELAXED);

	return mine < WALK_NUMBERS ? walk_base(mine) : WALK_NOWHERE;
}

static bool common_init(struct vm_local *local, struct dune_root *root)
{
	root->common_regions = (u64)&root->region[NR_REGIONS];
	if (vm_state.common == COMMON_NONE)
		return true;
	root->common = pool_page(local);
	if (!root->common)
		return false;
	root->common_regions = (u64)&root->region[vm_state.common * PT_ENTRIES];
	plat_note(root->common, PAGE_SIZE, "PDPT");
	return true;
}

static void common_end(struct vm_local *local, struct dune_root *root)
{
	if (!root->common)
		return;
	plat_note_gone(root->common);
	pool_page_put(local, root->common);
}

struct dune_root *root_alloc(struct vm_local *local, u32 pcid)
{
	char *blocks = space_get(local, ROOT_BLOCKS);
	struct dune_root *root;

	if (!blocks)
		return NULL;
	root = (struct dune_root *)(blocks + REGIONS_SIZE);
	root->region = (struct dune_region *)blocks;
	if (!common_init(local, root)) {
		space_put(blocks, ROOT_BLOCKS);
		return NULL;
	}
	root->pt.geom = &pt_x86;
	root->pcid = pcid;
	root->walk_base = next_walk_base();
	root->base_rights = PT_RWX | PT_U;
	plat_note(root, offsetof(struct dune_root, view), "dune_root");
	return root;
}

void root_link(struct dune_root *root)
{
	vm_lock(&vm_state.views_lock);
	root->next = vm_state.roots;
	/* Who has a cow_lock goes through the list without views_lock. */
	plat_store_release(&vm_state.roots, root);
	vm_unlock(&vm_state.views_lock);
}

static void root_unlink(struct dune_root *root)
{
	struct dune_root **p = &vm_state.roots;

	vm_lock(&vm_state.views_lock);
	while (*p != root)
		p = &(*p)->next;
	*p = root->next;
	vm_unlock(&vm_state.views_lock);
}

/* 0: all are taken. Views flush a PCID when they are first loaded. */
static u32 pcid_get(void)
{
	for (u32 i = 0; i < NR_PCIDS / 64; i++) {
		u64 taken = plat_load(&vm_state.pcids[i]);

		while (~taken) {
			u32 bit = __builtin_ctzll(~taken);

			if (plat_cas64(&vm_state.pcids[i], &taken, taken | 1ull << bit))
				return i * 64 + bit;
		}
	}
	return 0;
}

static void pcid_put(u32 pcid)
{
	__atomic_fetch_and(&vm_state.pcids[pcid / 64], ~(1ull << pcid % 64), __ATOMIC_RELEASE);
}

struct dune_root *dune_root_default(void)
{
	return hw_in_guest() || hw_alive() ? vm_state.base : NULL;
}

struct dune_root *dune_root_current(void)
{
	struct vm_local *local = hw_in_guest() ? hw_local() : hw_local_plain();

	return local && local->view ? local->view->root : NULL;
}

int root_make(struct vm_local *local, struct dune_root **root)
{
	u32 pcid = pcid_get();

	if (!pcid)
		return -ENOSPC;
	*root = root_alloc(local, pcid);
	if (!*root) {
		pcid_put(pcid);
		return -ENOMEM;
	}
	return 0;
}

int dune_root_create(struct dune_root **root)
{
	struct dune_root *made;
	struct vm_op op;
	int err = vm_op_begin(&op, NULL);

	if (err)
		return err;
	err = root_make(op.local, &made);
	if (!err)
		root_link(made);
	vm_op_end(&op);
	/* The program's memory: it may fault. */
	if (!err)
		*root = made;
	return err;
}

/* --- switching --- */

static u64 cr3_of(struct vm_local *local, struct dune_view *view)
{
	bool stale = view->flush_gen != local->flush_gen ||
		     (plat_load(&local->page->requests) & (DUNE_REQ_FLUSH | DUNE_REQ_FLUSHING));

	view->flush_gen = local->flush_gen;
	return view->cr3 | (stale || !hw_has_pcid() ? 0 : HW_CR3_NOFLUSH);
}

static void load(struct vm_local *local, struct dune_view *view)
{
	struct vm_vcpu *vcpu = &vm_vcpus[local->id];

	/* Until CR3 has changed either root's translations may be in use. */
	active_leave(&vcpu->active);
	hw_set_cr3(cr3_of(local, view));
	local->view = view;
	vm_quick_update(local);
	plat_store_release(&vcpu->active, (u64)view->root);
}

/* The code and the stack of this very call, as far as libdune can know. */
static int fill_here(struct vm_local *local, struct dune_view *view)
{
	int err = view_fill(view, local, region_index((u64)__builtin_frame_address(0)));

	if (err >= 0)
		err = view_fill(view, local, region_index(hw_thread_pointer()));
	return err < 0 ? err : 0;
}

static int switch_to(struct vm_op *op)
{
	struct dune_view *view = op->root->view[op->local->id];
	int err;

	if (!view)
		view = view_create(op->root, op->local);
	if (!view)
		return -ENOMEM;
	err = fill_here(op->local, view);
	if (!err)
		load(op->local, view);
	return err;
}

int dune_root_switch(struct dune_root *root)
{
	struct vm_op op;
	int err = 0;

	if (!hw_in_guest())
		return -EINVAL;
	vm_op_begin(&op, root);
	if (op.local->view->root != op.root)
		err = switch_to(&op);
	vm_op_end(&op);
	return err;
}

/* --- freeing --- */

static bool is_active(const struct dune_root *root)
{
	u32 ids = plat_load(&vm_state.nr_words) * 64;

	for (u32 id = 0; id < ids; id++) {
		u64 active = plat_load_acquire(&vm_vcpus[id].active);

		if (active == (u64)root || (active == ACTIVE_ANY && root->view[id]))
			return true;
	}
	return false;
}

static void free_leaf(struct vm_local *local, u64 value)
{
	struct vm_copy *copy = pt_is_present(&pt_x86, value) ? copy_of(value, 1) : NULL;

	if (copy)
		copy_put(local, copy);
}

static void free_table(struct vm_local *local, struct pt_table *table)
{
	for (unsigned int i = 0; i < PT_ENTRIES; i++) {
		u64 value = table->entry[i];

		if (table->level == 1)
			free_leaf(local, value);
		else if (pt_is_table(&pt_x86, value, table->level))
			free_table(local, pt_table_of(value & pt_x86.addr_mask));
	}
	pt_table_free(table);
}

/* Nobody uses it, and no vCPU has it active: PCIDs are flushed when reused. */
void root_destroy(struct vm_local *local, struct dune_root *root)
{
	u32 ids = plat_load(&vm_state.nr_words) * 64;

	for (u32 id = 0; id < ids; id++)
		view_destroy_of(root, id, local);
	for (u64 i = root_next_touched(root, 0); i < NR_REGIONS;
	     i = root_next_touched(root, i + 1)) {
		if (region_is_table(root->region[i].l3))
			free_table(local, pt_table_of(root->region[i].l3 & pt_x86.addr_mask));
		plat_note_gone(&root->region[i]);
	}
	copies_release(local);
	common_end(local, root);
	pcid_put(root->pcid);
	plat_note_gone(root);
	space_put(root->region, ROOT_BLOCKS);
}

int dune_root_free(struct dune_root *root)
{
	struct vm_op op;
	int err;

	if (!root || root == vm_state.base)
		return -EINVAL;
	err = vm_op_begin(&op, root);
	if (err)
		return err;
	batch_flush(&op);
	/* Nobody looks for those that share its pages. */
	cow_lock_all(op.local);
	if (is_active(root)) {
		err = -EBUSY;
	} else {
		root_unlink(root);
		root_destroy(op.local, root);
	}
	cow_unlock_all();
	vm_op_end(&op);
	return err;
}
