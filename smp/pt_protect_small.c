// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Changing the rights of some 4 KiB pages: pt_protect() without anything that
 * they do not need. A write barrier does this twice per fault. For one page
 * nothing calls or waits, so that no registers are saved.
 */
#include "pt_entry.h"
#include "pt_rights.h"

/* The leaves from *entry on; releases the table. */
static plat_noinline enum pt_result
protect_more_and_unlock(struct pt_table *table, u64 *entry, const u64 *end,
			const struct pt_change *change, struct gather *gather)
{
	enum pt_run what;

	while (entry < end) {
		u64 value = plat_load(entry);

		if (!pt_is_present(change->geom, value))
			break;
		entry = pt_change_run(change, entry, end, value, gather, &what);
	}
	plat_unlock(&table->lock);
	return entry < end ? PT_STALE : PT_DONE;
}

static inline enum pt_result protect_one_locked(u64 *entry,
						const struct pt_change *change,
						struct gather *gather)
{
	const struct pt_geometry *geom = change->geom;
	u64 value = plat_load(entry), new;
	const struct pt_masks *masks;

	if (!pt_is_present(geom, value))
		return PT_STALE;
	masks = pt_masks_for(change, value);
	new = pt_apply(masks, value);
	if (new == value)
		return PT_DONE;
	/* See pt_rights.h. */
	plat_add64_release(entry, new - value);
	if (pt_takes(change, masks, value))
		gather_reduced(gather, pt_was_cached(geom, plat_load(entry)));
	return PT_DONE;
}

enum pt_result pt_protect_small(const struct pt_table *pd, u64 addr, u64 end,
				const struct pt_change *change,
				struct gather *gather)
{
	const struct pt_geometry *geom = change->geom;
	enum pt_result result = PT_STALE;
	struct pt_table *table;
	u64 *entry, value;

	/* [PT-2] See [PT-1] in pt_link.h. */
	value = plat_load_acquire(&pd->entry[pt_index(addr, 2)]);
	if (!pt_is_table(geom, value, 2))
		return PT_STALE;
	entry = pt_child(geom, value);
	table = pt_table_at(entry);
	if (!plat_trylock(&table->lock, 1))
		return PT_STALE;
	entry += pt_index(addr, 1);
	if (!table->dead && end - addr > 4096)
		return protect_more_and_unlock(table, entry,
					       entry + ((end - addr) >> 12),
					       change, gather);
	if (!table->dead)
		result = protect_one_locked(entry, change, gather);
	plat_unlock(&table->lock);
	return result;
}
