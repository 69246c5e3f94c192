/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * A table page and its descriptor. The descriptor is a separate object, so
 * that a lock does not share a line with entries that hardware reads; it is
 * found from the page's physical address, which every upper entry holds.
 *
 * Lock card: pt_table.lock. Type: spinlock, rank = level. Protects: entries of
 * this table that are present or being installed as leaves, nr_leaves, dead, place.
 * Not protected by it: linking a table into an absent entry (cmpxchg). Order:
 * a table of a higher level first. Context: process, interrupts on; a leaf of
 * the lock order: nothing but another table's lock is taken inside.
 */
#ifndef SMP_PT_TABLE_H
#define SMP_PT_TABLE_H

#include "plat.h"

#define PT_BITS		9
#define PT_ENTRIES	(1u << PT_BITS)

struct pt_table {
	plat_lock_t lock;
	u32 level;		/* constant once linked */
	u32 user;		/* constant once linked: whose cache it comes from */
	bool dead;		/* unlinked: installers start again */
	u32 nr_leaves;		/* present leaves in it */
	u64 *entry;		/* the page: PT_ENTRIES entries; constant */
	/*
	 * For who remembers tables without being an RCU reader, where descriptors
	 * are never used for anything else: what it maps, in a code of the
	 * platform's own. 0: nobody remembers it, or it is dead. While it is not
	 * and the lock is held, the table is linked there, if it is one of a top
	 * that is never dismantled itself (pt_range.top).
	 */
	u64 place;
	struct pt_table *next;	/* in a cache or a gather; owned by that */
	plat_rcu_t rcu;
};

/*
 * Zeroed, linked nowhere; NULL without memory. May sleep. place: as pt_cache.place,
 * or 0: where the platform takes pages from by itself.
 */
struct pt_table *pt_table_alloc_at(u32 place);
static inline struct pt_table *pt_table_alloc(void)
{
	return pt_table_alloc_at(0);
}
/* No one else may know it. */
void pt_table_free(struct pt_table *table);
/* After a grace period of software walkers. Needs no memory, never sleeps. */
void pt_table_free_rcu(struct pt_table *table);

/* The lock is held. */
static inline void pt_table_kill(struct pt_table *table)
{
	table->dead = true;
	plat_store(&table->place, 0);
}

static inline u64 pt_table_pa(const struct pt_table *table)
{
	return plat_pa(table->entry);
}

static inline struct pt_table *pt_table_of(u64 pa)
{
	return plat_page_owner(pa);
}

/* The same, of a page at hand. */
static inline struct pt_table *pt_table_at(const u64 *entry)
{
	return plat_page_owner_at(entry);
}

#endif /* SMP_PT_TABLE_H */
