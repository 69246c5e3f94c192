// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Views; see view.h. A view's entry of a region is not 0 exactly when its vCPU is
 * a member; both change under the region's lock. Of common regions it is a member
 * as long as it has a view, by root->viewers.
 *
 * A page fault in the guest fills its own view. Only what is pinned is put into
 * views of other threads, too.
 */
#include "marks.h"
#include "pool.h"
#include "region.h"
#include "space.h"
#include "view.h"

#define VIEW_TABLES	(NR_REGIONS / PT_ENTRIES)	/* PDPTs */
#define VIEW_BLOCKS	(VIEW_GROUP * NR_REGIONS * sizeof(u64) / BLOCK_SIZE)

_Static_assert(VIEW_BLOCKS * BLOCK_SIZE == VIEW_GROUP * NR_REGIONS * sizeof(u64), "whole blocks");
_Static_assert(sizeof(struct dune_view) <= POOL_CELL, "a cell");

/* What a free half is linked by: in a page that every view uses, libc is there. */
#define HALF_LINK	((VIEW_TABLES - 1) * VIEW_STRIDE + PT_ENTRIES - 1)

/* Lower halves of views, by the node of who uses them. views_lock */
static struct half_depot {
	u64 *free;
	u64 *fresh;		/* never used */
	u32 nr_fresh;
} half_depots[POOL_NODES];

static u64 own[NR_REGIONS / 64], some[NR_REGIONS / 64];
static u64 everywhere[NR_REGIONS / 64];	/* of these: all views have the region */
static u64 pinned_words[NR_REGIONS / 64 / 64];	/* words of these that are not 0 */

static bool bit_get(const u64 *bits, u64 i)
{
	return plat_load(&bits[i / 64]) >> i % 64 & 1;
}

static void bit_set(u64 *bits, u64 i)
{
	plat_or64(&bits[i / 64], 1ull << i % 64);
}

bool view_is_pinned(u64 index, enum pin pin)
{
	return bit_get(own, index) || (pin == PIN_SOME && bit_get(some, index));
}

bool view_is_everywhere(u64 index)
{
	return bit_get(everywhere, index);
}

int view_slot(u64 index, u64 *gpa)
{
	u32 slot = hw_slot_entry(index);
	u64 *hva;

	if (slot & DUNE_SLOT_VALID) {
		*gpa = (u64)(slot & ~DUNE_SLOT_VALID) << REGION_SHIFT;
	} else {
		long base = hw_slot(region_start(index));

		if (base < 0)
			return base;
		*gpa = base;
	}
	hva = &vm_state.slot_hva[*gpa >> REGION_SHIFT];
	/* Everybody writes the same, and only once: slots of others are in its line. */
	if (plat_load(hva) != region_start(index))
		plat_store(hva, region_start(index));
	return 0;
}

/* Others may be about to fault by it, and find it there: fault.c asks for these counts. */
static void fill_common_locked(struct dune_root *root, u64 index)
{
	__atomic_fetch_add(&root->fills_begun, 1, __ATOMIC_SEQ_CST);
	plat_store_release(&root->common[index % PT_ENTRIES], root->region[index].l3);
	__atomic_fetch_add(&root->fills_done, 1, __ATOMIC_SEQ_CST);
}

static void copy_locked(struct dune_view *view, struct dune_region *region,
			u64 index)
{
	plat_note(region, sizeof(*region), "dune_region");
	if (region_is_common(index)) {
		fill_common_locked(view->root, index);
		return;
	}
	members_join(&region->members, view->id);
	plat_store_release(view_entry(view, index), region->l3);
	if (bit_get(view->used, index / PT_ENTRIES))
		return;
	bit_set(view->used, index / PT_ENTRIES);
	plat_note(view_entry(view, index & ~(u64)(PT_ENTRIES - 1)), PAGE_SIZE, "PDPT");
}

/*
 * REGION_MINE: this is a page fault of the operation that has the lock. It takes
 * what it finds; members and views are read after the entry has changed, so it is
 * seen.
 */
int view_fill(struct dune_view *view, struct vm_local *by, u64 index)
{
	struct dune_region *region = &view->root->region[index];
	enum region_locked locked;
	unsigned int rights;
	u64 gpa = 0;
	bool used;

	vm_will_write(view_entry(view, index));
	vm_will_write(&region->l3);
	/* May wait in the module, so without the lock. */
	if (region_is_untouched(view->root, plat_load(&region->l3), &rights)) {
		int err = view_slot(index, &gpa);

		if (err)
			return err;
	}
	locked = region_lock(region, by);
	/* A region that was used stays so: there is a slot. */
	region_settle_locked(view->root, index, gpa);
	used = region_in_use(region->l3);
	if (used && !*view_entry(view, index))
		copy_locked(view, region, index);
	if (locked == REGION_LOCKED)
		region_unlock(region);
	return used;
}

/* The upper half of what a CR3 points to is the same for all. */
static void pml4_init(struct dune_view *view)
{
	u64 gpa = plat_pa(view->l3);

	for (unsigned int i = 0; i < VIEW_TABLES; i++)
		view->pml4[i] = pt_x86.make_table(gpa + i * VIEW_STRIDE * sizeof(u64));
	if (view->root->common)
		view->pml4[vm_state.common] = pt_x86.make_table(plat_pa(view->root->common));
	for (unsigned int i = 0; i < PT_ENTRIES / 2; i++)
		view->pml4[PT_ENTRIES / 2 + i] = vm_state.kernel_half[i];
}

static u64 *half_take(u32 node)
{
	struct half_depot *depot = &half_depots[node];
	u64 *half;

	vm_lock(&vm_state.views_lock);
	half = depot->free;
	if (half) {
		depot->free = (u64 *)half[HALF_LINK];
		half[HALF_LINK] = 0;
	} else if (depot->nr_fresh) {
		half = depot->fresh;
		depot->fresh += PT_ENTRIES;
		depot->nr_fresh--;
	}
	vm_unlock(&vm_state.views_lock);
	return half;
}

static void half_put(u64 *half, u32 node)
{
	struct half_depot *depot = &half_depots[node];

	vm_lock(&vm_state.views_lock);
	half[HALF_LINK] = (u64)depot->free;
	depot->free = half;
	vm_unlock(&vm_state.views_lock);
}

static int reserve(struct vm_local *local, u32 node)
{
	struct half_depot *depot = &half_depots[node];
	u64 *halves = space_get(local, VIEW_BLOCKS);

	if (!halves)
		return -ENOMEM;
	node_place(halves, VIEW_BLOCKS * BLOCK_SIZE);
	vm_lock(&vm_state.views_lock);
	/* Somebody else may have done it meanwhile. */
	if (!depot->nr_fresh) {
		depot->fresh = halves;
		depot->nr_fresh = VIEW_GROUP;
		halves = NULL;
	}
	vm_unlock(&vm_state.views_lock);
	if (halves)
		space_put(halves, VIEW_BLOCKS);
	return 0;
}

int view_reserve(struct vm_local *local)
{
	return reserve(local, node_here() % POOL_NODES);
}

static u64 *half_get(struct vm_local *local, u32 node)
{
	u64 *half;

	while (!(half = half_take(node)))
		if (reserve(local, node))
			return NULL;
	return half;
}

static struct dune_view *view_alloc(struct vm_local *local)
{
	struct dune_view *view = pool_cell(local, POOL_OTHER);

	if (!view)
		return NULL;
	view->pml4 = pool_page(local);
	if (!view->pml4)
		goto err_cell;
	view->node = node_here() % POOL_NODES;
	view->l3 = half_get(local, view->node);
	if (!view->l3)
		goto err_pml4;
	plat_note(view, sizeof(*view), "dune_view");
	plat_note(view->pml4, PAGE_SIZE, "PML4");
	return view;

err_pml4:
	pool_page_put(local, view->pml4);
err_cell:
	pool_cell_put(local, POOL_OTHER, view);
	return NULL;
}

static void view_free(struct vm_local *by, struct dune_view *view)
{
	plat_note_gone(view->pml4);
	plat_note_gone(view);
	half_put(view->l3, view->node);
	pool_page_put(by, view->pml4);
	pool_cell_put(by, POOL_OTHER, view);
}

static int fill_word_locked(struct dune_view *view, u64 i)
{
	int err = 0;

	for (u64 bits = plat_load(&own[i]) | plat_load(&some[i]); bits && err >= 0;
	     bits &= bits - 1)
		err = view_fill(view, view->owner, i * 64 + __builtin_ctzll(bits));
	return err;
}

/* Whatever the page fault handler touches; the image may straddle regions. */
static int fill_pinned_locked(struct dune_view *view)
{
	int err = 0;

	for (u64 i = 0; i < NR_REGIONS / 64 && err >= 0; i++) {
		if (i % 64 == 0 && !plat_load(&pinned_words[i / 64]))
			i += 63;
		else
			err = fill_word_locked(view, i);
	}
	return err;
}

static void link_locked(struct dune_view *view)
{
	view->next = view->owner->views;
	view->owner->views = view;
	view->root->view[view->id] = view;
	/* [GT-5] Before its CR3 can be loaded, which leads to the common regions. */
	members_join(&view->root->viewers, view->id);
}

static void unlink_locked(struct dune_view *view)
{
	struct dune_view **p = &view->owner->views;

	while (*p != view)
		p = &(*p)->next;
	*p = view->next;
	view->root->view[view->id] = NULL;
	members_leave(&view->root->viewers, view->id);
}

struct dune_view *view_create(struct dune_root *root, struct vm_local *local)
{
	struct dune_view *view = view_alloc(local);
	int err;

	if (!view)
		return NULL;
	view->root = root;
	view->owner = local;
	view->id = local->id;
	view->flush_gen = local->flush_gen - 1;
	view->cr3 = plat_pa(view->pml4);
	/* Made in the guest, when it is switched to. */
	if (root->pcid && hw_has_pcid())
		view->cr3 |= root->pcid;
	pml4_init(view);
	vm_mark_view(view);
	vm_lock(&vm_state.views_lock);
	link_locked(view);
	err = fill_pinned_locked(view);
	vm_unlock(&vm_state.views_lock);
	if (err >= 0)
		return view;
	view_destroy_of(root, local->id, local);
	return NULL;
}

static void leave_region(struct dune_view *view, struct vm_local *by, u64 index)
{
	struct dune_region *region = &view->root->region[index];

	region_lock(region, by);
	members_leave(&region->members, view->id);
	plat_store(view_entry(view, index), 0);
	region_unlock(region);
}

/* Most of its entries are 0, and nobody sets one meanwhile. */
static void leave_table(struct dune_view *view, struct vm_local *by, u64 first)
{
	const u64 *entry = view_entry(view, first);

	for (u64 i = 0; i < PT_ENTRIES; i += 4) {
		if (!(plat_load(&entry[i]) | plat_load(&entry[i + 1]) |
		      plat_load(&entry[i + 2]) | plat_load(&entry[i + 3])))
			continue;
		for (u64 k = i; k < i + 4; k++)
			if (plat_load(&entry[k]))
				leave_region(view, by, first + k);
	}
}

/* Off the members of each region that it has been a member of. */
static void leave_regions(struct dune_view *view, struct vm_local *by)
{
	for (u64 i = 0; i < sizeof(view->used) / sizeof(view->used[0]); i++)
		for (u64 bits = plat_load(&view->used[i]); bits; bits &= bits - 1)
			leave_table(view, by, (i * 64 + __builtin_ctzll(bits)) * PT_ENTRIES);
}

/* The lock is taken; *found may be another one's as soon as it is not. */
static bool destroy_and_unlock(struct dune_view *const *found, struct vm_local *by)
{
	struct dune_view *view = *found;

	if (view) {
		leave_regions(view, by);
		unlink_locked(view);
	}
	vm_unlock(&vm_state.views_lock);
	if (!view)
		return false;
	vm_mark_gone(view);
	view_free(by, view);
	return true;
}

bool view_destroy_own(struct vm_local *owner)
{
	vm_lock(&vm_state.views_lock);
	return destroy_and_unlock(&owner->views, owner);
}

bool view_destroy_of(struct dune_root *root, u32 id, struct vm_local *by)
{
	vm_lock(&vm_state.views_lock);
	return destroy_and_unlock(&root->view[id], by);
}

static int fill_views_locked(struct vm_local *by, u64 index)
{
	u32 ids = plat_load(&vm_state.nr_words) * 64;

	for (struct dune_root *root = vm_state.roots; root; root = root->next)
		for (u32 id = 0; id < ids; id++) {
			int err = root->view[id] ?
				view_fill(root->view[id], by, index) : 0;

			if (err < 0)
				return err;
		}
	return 0;
}

/* Has the program given it another meaning than the host's memory, in some root? */
static bool is_changed_locked(u64 index, u64 gpa)
{
	u64 leaf = region_leaf(gpa, PT_RWX | PT_U);

	for (const struct dune_root *root = vm_state.roots; root; root = root->next) {
		u64 l3 = plat_load(&root->region[index].l3);

		if (l3 && l3 != leaf)
			return true;
	}
	return false;
}

/* A view that is made meanwhile finds the bit, or is found. */
int view_pin(struct vm_local *by, u64 index, enum pin pin)
{
	u64 *bits = pin == PIN_OWN ? own : some, gpa = 0;
	int err = pin == PIN_OWN ? view_slot(index, &gpa) : 0;

	if (err)
		return err;
	bit_set(bits, index);
	bit_set(pinned_words, index / 64);
	vm_lock(&vm_state.views_lock);
	if (pin == PIN_OWN && is_changed_locked(index, gpa))
		err = -EADDRINUSE;
	else
		err = fill_views_locked(by, index);
	if (!err)
		bit_set(everywhere, index);
	vm_unlock(&vm_state.views_lock);
	if (err == -EADDRINUSE)
		__atomic_fetch_and(&bits[index / 64], ~(1ull << index % 64), __ATOMIC_RELAXED);
	return err;
}

/* Of what is pinned: the region's entry, and where the view has its copy. */
static int prepare_region(struct dune_root *root, u64 *half, u64 index)
{
	const struct dune_view view = { .root = root, .l3 = half };
	struct dune_region *region = &root->region[index];
	u64 gpa;
	int err = view_slot(index, &gpa);

	if (err)
		return err;
	region_lock(region, vm_local_here());
	region_settle_locked(root, index, gpa);
	region_unlock(region);
	plat_store(view_entry(&view, index), 0);
	return 0;
}

int view_prepare(struct dune_root *root)
{
	u32 node = node_here() % POOL_NODES;
	u64 *half = half_get(vm_local_here(), node);
	int err = half ? 0 : -ENOMEM;

	for (u64 i = 0; i < NR_REGIONS && !err; i++) {
		if (i % 4096 == 0 && !plat_load(&pinned_words[i / 4096]))
			i += 4095;
		else if (view_is_pinned(i, PIN_SOME))
			err = prepare_region(root, half, i);
	}
	if (half)
		half_put(half, node);
	return err;
}

void view_forget(void)
{
	__builtin_memset(half_depots, 0, sizeof(half_depots));
	__builtin_memset(own, 0, sizeof(own));
	__builtin_memset(some, 0, sizeof(some));
	__builtin_memset(everywhere, 0, sizeof(everywhere));
	__builtin_memset(pinned_words, 0, sizeof(pinned_words));
}
