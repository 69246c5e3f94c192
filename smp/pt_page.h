/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Changing the rights of one 4 KiB page, step by step and inline, for callers to
 * whom an instruction counts: a write barrier does it twice per fault. Nothing
 * here calls or waits.
 *
 *	if (pt_page_begin(pd, addr, change, geom, &page))	the table is locked
 *		if (page.takes)
 *			...			tell others, first
 *		pt_page_change(&page)
 *		seen = plat_load(page.entry)	was it cached?
 *		pt_page_end(&page)
 *
 * pt_rights.h says why rights are added, and why it is asked afterwards whether
 * the leaf was cached.
 */
#ifndef SMP_PT_PAGE_H
#define SMP_PT_PAGE_H

#include "pt_entry.h"
#include "pt_rights.h"

struct pt_page {
	struct pt_table *table;
	u64 *entry;
	u64 delta;		/* from the old leaf to the new one; 0: the same */
	bool takes;		/* it loses a right */
};

/* The table that has addr's leaf, locked; NULL: none, or somebody has the lock. */
static inline struct pt_table *pt_page_table(const struct pt_table *pd, u64 addr,
					     const struct pt_geometry *geom, u64 **entry)
{
	struct pt_table *table;
	u64 value;

	/* [PT-2] See [PT-1] in pt_link.h. */
	value = plat_load_acquire(&pd->entry[pt_index(addr, 2)]);
	if (!pt_is_table(geom, value, 2))
		return NULL;
	*entry = pt_child(geom, value);
	table = pt_table_at(*entry);
	*entry += pt_index(addr, 1);
	if (!plat_trylock(&table->lock, 1))
		return NULL;
	if (!table->dead)
		return table;
	plat_unlock(&table->lock);
	return NULL;
}

/*
 * Of page->table, which is locked. geom: the change's, or as much of it as is
 * constant. False: there is no such leaf, and the table is not locked any more.
 */
static inline bool pt_page_look(struct pt_page *page, u64 addr,
				const struct pt_change *change,
				const struct pt_geometry *geom)
{
	const struct pt_masks *masks;
	u64 old;

	page->entry = page->table->entry + pt_index(addr, 1);
	old = plat_load(page->entry);
	if (!pt_is_present(geom, old)) {
		plat_unlock(&page->table->lock);
		return false;
	}
	masks = pt_masks_for(change, geom, old);
	page->delta = pt_apply(masks, old) - old;
	page->takes = pt_takes(geom->perm_inverted, masks, old);
	return true;
}

/*
 * pd: the level-2 table, under RCU. False: there is no such leaf, or the lock is
 * taken; nothing is held.
 */
static inline bool pt_page_begin(const struct pt_table *pd, u64 addr,
				 const struct pt_change *change,
				 const struct pt_geometry *geom, struct pt_page *page)
{
	page->table = pt_page_table(pd, addr, geom, &page->entry);
	return page->table && pt_page_look(page, addr, change, geom);
}

static inline void pt_page_change(const struct pt_page *page)
{
	/* [GT-6] The entry before members: in place of members_fence(). */
	plat_add64_full(page->entry, page->delta);
}

static inline void pt_page_end(const struct pt_page *page)
{
	plat_unlock(&page->table->lock);
}

#endif /* SMP_PT_PAGE_H */
