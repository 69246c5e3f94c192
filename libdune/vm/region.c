// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Level-3 entries; see region.h.
 *
 *   change, under the region's lock      fill of a view, under the lock
 *     l3 = new                             member                   [GT-5]
 *     fence                 [GT-6]         copy l3
 *     members' copies = new, or 0
 *     shootdown, if it takes something away
 *     no copies left: no members
 *
 * A common region has one copy, and its members are not the fills' to change: who
 * gets a view is one before its PML4 leads there. So of a change only the order
 * counts: the copy, the fence of the shootdown, the members.
 *
 * A leaf that becomes a PD of the same content is replaced in place, in every
 * copy: the page fault handler's own memory may be in it.
 */
#include "region.h"

static void touch(struct dune_root *root, u64 index)
{
	vm_will_write(&root->touched[index / 64]);
	if (root->touched[index / 64] & 1ull << index % 64)
		return;
	touched_set(&root->touched[index / 64], 1ull << index % 64);
}

void region_settle_locked(struct dune_root *root, u64 index, u64 gpa)
{
	struct dune_region *region = &root->region[index];
	unsigned int rights;

	if (!region_is_untouched(root, region->l3, &rights))
		return;
	touch(root, index);
	region_is_untouched(root, region->l3, &rights);
	/* The library's own is everybody's, in copies of a root too. */
	if (view_is_pinned(index, PIN_OWN))
		rights = PT_RWX | PT_U;
	plat_store_release(&region->l3, region_leaf(gpa, rights));
}

static void set_copies_locked(struct vm_op *op, u64 index, u64 copy)
{
	struct dune_region *region = &op->root->region[index];
	u32 nr;

	members_fence();
	nr = plat_load(&vm_state.nr_words);
	for (u32 i = 0; i < nr; i++)
		for (u64 word = members_word(&region->members, i); word; word &= word - 1) {
			u32 id = i * 64 + __builtin_ctzll(word);

			plat_xchg64(view_entry(op->root->view[id], index), copy);
		}
}

static void set_common_locked(struct vm_op *op, u64 index, u64 copy)
{
	u64 *entry = &op->root->common[index % PT_ENTRIES];

	/* Nobody has used it: the first page fault takes what there is. */
	if (plat_load(entry))
		plat_xchg64(entry, copy);
}

/* The entry, and what members have of it. Without the shootdown. */
static void set_locked(struct vm_op *op, u64 index, u64 l3)
{
	u64 copy = region_in_use(l3) ? l3 : 0;

	touch(op->root, index);
	plat_store_release(&op->root->region[index].l3, l3);
	if (region_is_common(index))
		set_common_locked(op, index, copy);
	else
		set_copies_locked(op, index, copy);
}

/* The same, and nobody uses what it was. */
static void set_and_flush_locked(struct vm_op *op, u64 index, u64 l3)
{
	struct dune_region *region = &op->root->region[index];

	set_locked(op, index, l3);
	vm_mark_begin(op->root, region_start(index), region_start(index + 1), region);
	flush_region(op, region, region_start(index), region_start(index + 1));
	vm_mark_end(region);
	if (!region_in_use(l3) && !region_is_common(index))
		for (u32 i = 0; i < MEMBERS_WORDS; i++)
			plat_store(&region->members.word[i], 0);
}

/* --- a PD --- */

static struct pt_table *table_get(struct vm_local *local)
{
	struct pt_cache *cache = &local->cache;
	struct pt_table *table = cache->tables;

	if (!cache->nr)
		return pt_table_alloc();
	cache->tables = table->next;
	cache->nr--;
	return table;
}

/* What the leaf maps, in leaves of 2 MiB; nothing, if it is none. */
static void fill_table(struct pt_table *table, u64 l3)
{
	table->level = 2;
	if (!(l3 & pt_x86.present_mask))
		return;
	for (unsigned int i = 0; i < PT_ENTRIES; i++)
		table->entry[i] = l3 + i * pt_level_size(2);
	table->nr_leaves = PT_ENTRIES;
}

/* Somebody merges it: not any more. NULL: there is none. */
static struct pt_table *pd_locked(struct dune_region *region)
{
	if (!region->pd && region_is_table(region->l3)) {
		region->merging = 0;
		plat_store_release(&region->pd,
				   pt_table_of(region->l3 & pt_x86.addr_mask));
	}
	return region->pd;
}

static struct pt_table *make_pd_locked(struct vm_op *op, u64 index, u64 gpa,
				       struct pt_table *table)
{
	struct dune_region *region = &op->root->region[index];

	region_settle_locked(op->root, index, gpa);
	fill_table(table, region->l3);
	set_locked(op, index, pt_x86.make_table(pt_table_pa(table)));
	plat_store_release(&region->pd, table);
	return table;
}

static int slot_if_untouched(const struct dune_root *root, u64 index, u64 *gpa)
{
	unsigned int rights;

	*gpa = 0;
	if (!region_is_untouched(root, plat_load(&root->region[index].l3), &rights))
		return 0;
	return view_slot(index, gpa);
}

struct pt_table *region_pd(struct vm_op *op, u64 index)
{
	struct dune_region *region = &op->root->region[index];
	struct pt_table *pd = plat_load_acquire(&region->pd);

	if (pd || !region_is_table(plat_load(&region->l3)))
		return pd;
	region_lock(region, op->local);
	pd = pd_locked(region);
	region_unlock(region);
	return pd;
}

struct pt_table *region_make_pd(struct vm_op *op, u64 index, int *err)
{
	struct dune_region *region = &op->root->region[index];
	struct pt_table *table, *pd;
	u64 gpa;

	pd = region_pd(op, index);
	if (pd)
		return pd;
	*err = slot_if_untouched(op->root, index, &gpa);
	if (*err)
		return NULL;
	table = table_get(op->local);
	if (!table) {
		*err = -ENOMEM;
		return NULL;
	}
	region_lock(region, op->local);
	pd = pd_locked(region);
	if (!pd)
		pd = make_pd_locked(op, index, gpa, table);
	region_unlock(region);
	if (pd != table)
		pt_table_free(table);
	return pd;
}

enum pt_result region_replace(struct vm_op *op, u64 addr, u64 old, unsigned int level,
			      u64 gpa, unsigned int rights)
{
	struct pt_replace r = {
		.addr = addr,
		.top = region_pd(op, region_index(addr)),
		.old = old,
		.leaf = { .pa = gpa, .level = level, .rights = rights, .age = PT_YOUNG },
		.gather = &op->gather,
	};

	return r.top ? pt_replace(&op->root->pt, &r) : PT_STALE;
}

/* --- all of a region --- */

/* Does hardware allow less with the second entry? */
static bool is_reduced(u64 old, u64 new)
{
	return ((old ^ pt_x86.perm_inverted) & ~(new ^ pt_x86.perm_inverted) &
		pt_x86.perm_mask) != 0;
}

static int change_locked(struct vm_op *op, u64 index, unsigned int keep, unsigned int set)
{
	u64 l3 = op->root->region[index].l3, new;
	unsigned int old;

	if (region_is_table(l3))
		return -EAGAIN;
	if (l3 == REGION_EMPTY)
		return 0;
	if (region_is_untouched(op->root, l3, &old)) {
		/* Nobody has it cached. */
		set_locked(op, index, region_lazy((old & keep) | set));
		return 0;
	}
	new = pt_x86.set_rights(l3, (pt_x86.rights(l3) & keep) | set);
	if (is_reduced(l3, new))
		set_and_flush_locked(op, index, new);
	else if (new != l3)
		set_locked(op, index, new);
	return 0;
}

int region_change(struct vm_op *op, u64 index, unsigned int keep, unsigned int set)
{
	struct dune_region *region = &op->root->region[index];
	int err;

	region_lock(region, op->local);
	err = change_locked(op, index, keep, set);
	region_unlock(region);
	return err;
}

int region_unmap(struct vm_op *op, u64 index)
{
	struct dune_region *region = &op->root->region[index];
	int err = 0;

	region_lock(region, op->local);
	if (region_is_table(region->l3))
		err = -EAGAIN;
	else if (region->l3 != REGION_EMPTY)
		set_and_flush_locked(op, index, REGION_EMPTY);
	region_unlock(region);
	return err;
}

int region_map(struct vm_op *op, u64 index, u64 gpa, unsigned int rights)
{
	struct dune_region *region = &op->root->region[index];
	int err = -EEXIST;

	region_lock(region, op->local);
	if (region->l3 == REGION_EMPTY) {
		set_locked(op, index, region_leaf(gpa, rights));
		err = 0;
	}
	region_unlock(region);
	return err;
}

/* --- merging --- */

/* The level-3 leaf that does what all of the PD does; 0: there is none. */
static u64 uniform(const struct pt_table *pd)
{
	const u64 history = pt_x86.accessed_bit | pt_x86.dirty_bit | pt_x86.aged_bit;
	u64 first = plat_load(&pd->entry[0]) | history;

	if (!(first & pt_x86.present_mask) || !(first & pt_x86.leaf_bit) ||
	    (first & pt_x86.addr_mask & (pt_level_size(3) - 1)))
		return 0;
	for (u64 i = 1; i < PT_ENTRIES; i++)
		if ((plat_load(&pd->entry[i]) | history) != first + i * pt_level_size(2))
			return 0;
	return first & ~pt_x86.aged_bit;
}

/* From now on operations come to the lock first. 0: they do so already. */
static u32 take_pd(struct vm_op *op, struct dune_region *region, struct pt_table **pd)
{
	u32 ticket = 0;

	region_lock(region, op->local);
	*pd = region->pd;
	if (*pd) {
		ticket = ++region->tickets ? region->tickets : ++region->tickets;
		region->merging = ticket;
		plat_store_release(&region->pd, NULL);
	}
	region_unlock(region);
	return ticket;
}

int region_merge(struct vm_op *op, u64 index)
{
	struct dune_region *region = &op->root->region[index];
	struct pt_table *pd;
	int merged = 0, err;
	u32 ticket;
	u64 leaf;

	ticket = take_pd(op, region, &pd);
	if (!ticket)
		return 0;
	err = op_synchronize(op);
	region_lock(region, op->local);
	if (region->merging != ticket)
		goto out;	/* somebody needed it: not now */
	leaf = err ? 0 : uniform(pd);
	if (leaf) {
		region->merging = 0;
		set_and_flush_locked(op, index, leaf);
		pt_table_free_rcu(pd);
		merged = 1;
	} else {
		pd_locked(region);
	}
out:
	region_unlock(region);
	return err ? err : merged;
}
