// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Changing the rights of some 4 KiB pages: pt_protect() without anything that
 * they do not need.
 */
#include "pt_page.h"

/* The leaves from *entry on; releases the table. */
static enum pt_result
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

static enum pt_result protect_one(const struct pt_table *pd, u64 addr,
				  const struct pt_change *change, struct gather *gather)
{
	const struct pt_geometry *geom = change->geom;
	struct pt_page page;

	if (!pt_page_begin(pd, addr, change, geom, &page))
		return PT_STALE;
	if (page.delta)
		pt_page_change(&page);
	if (page.takes)
		gather_reduced(gather, pt_was_cached(geom, plat_load(page.entry)));
	pt_page_end(&page);
	return PT_DONE;
}

enum pt_result pt_protect_small(const struct pt_table *pd, u64 addr, u64 end,
				const struct pt_change *change,
				struct gather *gather)
{
	struct pt_table *table;
	u64 *entry;

	if (end - addr <= 4096)
		return protect_one(pd, addr, change, gather);
	table = pt_page_table(pd, addr, change->geom, &entry);
	if (!table)
		return PT_STALE;
	return protect_more_and_unlock(table, entry, entry + ((end - addr) >> 12),
				       change, gather);
}
