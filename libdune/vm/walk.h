/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The level-1 tables that a thread has used last, for short ways: no walk, and no
 * RCU section either. A thread remembers a descriptor, which may be dead, free, or
 * another table's meanwhile. But it is a descriptor for ever, with a lock that can
 * be taken (pool.h), and under the lock place says whether it is still the table
 * that was meant: who kills a table clears it, and no two roots have one in common.
 *
 * In the guest with interrupts off.
 */
#ifndef DUNE_VM_WALK_H
#define DUNE_VM_WALK_H

#include "op.h"
#include "pt_page.h"
#include "pt_x86.h"

#pragma GCC visibility push(hidden)

/* Nothing is remembered: a thread has no memory for it before it uses a short way. */
void walk_begin(struct vm_local *local);
void walk_end(struct vm_local *local);
/* Remember addr's table in the active root. False: there is none, or no memory. */
bool walk_fill(struct vm_local *local, u64 addr);

#pragma GCC visibility pop

/*
 * In the active root: the base is in the bits that addresses of tables leave. Those
 * of the upper half have the last bit, which no place has but the base when there
 * are no short ways.
 */
static inline u64 walk_place(const struct vm_local *local, u64 addr)
{
	return (addr & -WALK_SPAN) | local->walk_base;
}

/* The bases of two numbers differ, and are not 0; numbers are less than this. */
#define WALK_NUMBERS	(1ull << 32)

static inline u64 walk_base(u64 number)
{
	return (number & (WALK_SPAN - 1)) | number / WALK_SPAN * USER_END;
}

static inline struct vm_walk *walk_at(struct vm_local *local, u64 addr)
{
	const u64 size = sizeof(struct vm_walk);

	/* &local->walk[addr / WALK_SPAN % VM_WALKS], without a multiplication. */
	return (void *)local->walk + (addr / (WALK_SPAN / size) & (VM_WALKS - 1) * size);
}

/* walk: of addr. False: its table is another one, or somebody has the lock. */
static inline bool walk_lock(const struct vm_local *local, const struct vm_walk *walk,
			     u64 addr)
{
	u64 place = walk_place(local, addr);
	struct pt_table *table = walk->table;

	if (walk->place != place || !plat_trylock(&table->lock, 1))
		return false;
	if (plat_load(&table->place) == place)
		return true;
	plat_unlock(&table->lock);
	return false;
}

#endif /* DUNE_VM_WALK_H */
