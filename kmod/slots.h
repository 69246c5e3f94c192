/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guest physical space: slot i <-> one 1 GiB region of host virtual space,
 * given on first use and kept. Both directions are one array access; the
 * arrays are made of pages that exist once something is in them. The forward
 * one is mapped read-only into the process.
 *
 * Lock card: slots.lock. Type: mutex. Protects: allocation of slots and table
 * pages. Context: process, may sleep; inside mmap_lock (page fault of the
 * mapped table). Readers take no lock: entries are written once, released.
 */
#ifndef KMOD_SLOTS_H
#define KMOD_SLOTS_H

#include <linux/mutex.h>
#include <linux/nospec.h>
#include <linux/types.h>
#include <uapi/dune.h>

#define SLOTS_PER_PAGE	(PAGE_SIZE / sizeof(u32))
#define SLOTS_MAX	65536u

struct slots {
	struct mutex lock;
	u32 nr, max;
	u32 *forward[DUNE_NR_REGIONS / SLOTS_PER_PAGE];	/* region -> slot */
	u32 *reverse[SLOTS_MAX / SLOTS_PER_PAGE];	/* slot -> region */
};

u32 slots_limit(void);	/* slots that this CPU's physical space has */
void slots_init(struct slots *s);
void slots_destroy(struct slots *s);

/* GPA of hva, allocating its slot; 0, -EINVAL, -ENOSPC, -ENOMEM. May sleep. */
int slots_get(struct slots *s, u64 hva, u64 *gpa);
/* Slot of a 1 GiB region (address >> DUNE_SLOT_SHIFT); 0 or -ENOENT. Any context. */
static inline int slots_find(const struct slots *s, u64 region, u32 *slot)
{
	const u32 *page;
	u32 entry;

	if (region >= DUNE_NR_REGIONS)
		return -ENOENT;
	page = smp_load_acquire(&s->forward[region / SLOTS_PER_PAGE]);
	entry = page ? READ_ONCE(page[region % SLOTS_PER_PAGE]) : 0;
	if (!(entry & DUNE_SLOT_VALID))
		return -ENOENT;
	*slot = entry & ~DUNE_SLOT_VALID;
	return 0;
}

static inline u32 slots_nr(const struct slots *s)
{
	/* [SLOT-2] See [SLOT-1]. */
	return smp_load_acquire(&s->nr);
}

/* Region of a slot in use, for iterating 0..nr-1. Any context. */
static inline u64 slots_region_base(const struct slots *s, u32 slot)
{
	const u32 *page = READ_ONCE(s->reverse[slot / SLOTS_PER_PAGE]);

	return (u64)READ_ONCE(page[slot % SLOTS_PER_PAGE]) << DUNE_SLOT_SHIFT;
}

/* For slots_hva(): is there such a slot, when all that are under way are. */
bool slots_wait(struct slots *s, u64 slot);

/* HVA of gpa; 0 or -ENOENT. May sleep. */
static inline int slots_hva(struct slots *s, u64 gpa, u64 *hva)
{
	u64 slot = gpa >> DUNE_SLOT_SHIFT;

	if (unlikely(slot >= slots_nr(s)) && !slots_wait(s, slot))
		return -ENOENT;
	/* The guest chose it: not even mispredicted past the table's end. */
	slot = array_index_nospec(slot, SLOTS_MAX);
	*hva = slots_region_base(s, slot) |
	       (gpa & ((1ull << DUNE_SLOT_SHIFT) - 1));
	return 0;
}
/* The i-th page of the forward table, made if missing. May sleep. */
struct page *slots_table_page(struct slots *s, unsigned long i);

#endif /* KMOD_SLOTS_H */
