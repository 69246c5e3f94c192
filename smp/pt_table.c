// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Life of table pages: page and descriptor come and go together. */
#include "pt_table.h"

struct pt_table *pt_table_alloc_at(u32 place)
{
	struct pt_table *table = plat_object_alloc(sizeof(*table));

	if (!table)
		return NULL;
	table->entry = plat_page_alloc(place);
	if (!table->entry) {
		plat_object_free(table);
		return NULL;
	}
	plat_note(table, sizeof(*table), "pt_table");
	plat_note(table->entry, PT_ENTRIES * sizeof(u64), "page table");
	plat_lock_init(&table->lock);
	plat_page_set_owner(table->entry, table);
	return table;
}

void pt_table_free(struct pt_table *table)
{
	plat_page_set_owner(table->entry, NULL);
	plat_note_gone(table->entry);
	plat_note_gone(table);
	plat_page_free(table->entry);
	plat_object_free(table);
}

static void free_callback(plat_rcu_t *rcu)
{
	pt_table_free(plat_container_of(rcu, struct pt_table, rcu));
}

void pt_table_free_rcu(struct pt_table *table)
{
	plat_call_rcu(&table->rcu, free_callback);
}
