/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Members of a region: the vCPUs whose view has a copy of the region's entry,
 * and so may have cached what it leads to. A set of vCPU ids, written under the
 * region's lock, read by anybody. Regions of which there is one copy for all views of a
 * root have one set, who has a view: written under the lock of views, a vCPU joins
 * before its CR3 is loaded, and nobody empties it.
 *
 *   first use of the region              change inside the region
 *     (under the region's lock)            change entries
 *     member bit = 1                       full fence              [GT-6]
 *     full fence              [GT-5]       read members
 *     copy the entry                       they hear of it
 *
 * Either the new member's copy leads to the changed entries, or it is asked to
 * forget. Who changes the region's own entry does that under the lock, because
 * it also takes the copies away and empties the set.
 *
 * A member that leaves has flushed before it is taken off.
 */
#ifndef SMP_MEMBERS_H
#define SMP_MEMBERS_H

#include "plat.h"

#include "uapi/dune.h"

#define MEMBERS_WORDS	(DUNE_MAX_VCPUS / 64)

struct members {
	u64 word[MEMBERS_WORDS];
};

/* Under the set's lock, before the vCPU can reach a copy of the entry. */
static inline void members_join(struct members *members, u32 id)
{
	u64 *word = &members->word[id / 64];

	plat_store(word, plat_load(word) | 1ull << id % 64);
	/*
	 * [GT-5] The bit before the entry, and whatever it leads to; pairs with
	 * [GT-6] in members_fence(): else a vCPU caches an entry that is being
	 * changed, and is not asked. Shape: SB.
	 */
	plat_full_mb();
}

/*
 * Under the set's lock: after a flush of this vCPU that follows its last use
 * of the region; the caller takes its own copy away as well, if it has one.
 */
static inline void members_leave(struct members *members, u32 id)
{
	u64 *word = &members->word[id / 64];

	plat_store(word, plat_load(word) & ~(1ull << id % 64));
}

/* Between a change of entries and the look at the members. */
static inline void members_fence(void)
{
	/* [GT-6] Entries before members; pairs with [GT-5]. Shape: SB. */
	plat_full_mb();
}

static inline u64 members_word(const struct members *members, u32 i)
{
	return plat_load(&members->word[i]);
}

#endif /* SMP_MEMBERS_H */
