/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Page-table engine: a radix table of 9-bit levels, its leaves at level 1
 * (4 KiB), 2 (2 MiB) or 3 (1 GiB). It knows how to walk, install, upgrade,
 * split and remove; what an entry's bits mean comes from a geometry.
 *
 * Role: decides. It takes no lock and never sleeps: the caller serialises
 * writers (pt_map, pt_zap, pt_age) of one table with a lock of its own.
 * Entries are written by hardware too (accessed/dirty), so every update is an
 * atomic read-modify-write. Removed tables go into a struct gather and are
 * freed only after the shootdown.
 */
#ifndef SMP_PT_H
#define SMP_PT_H

#include "plat.h"

struct gather;

#define PT_LEVELS	4
#define PT_BITS		9
#define PT_ENTRIES	(1u << PT_BITS)

/* Bytes covered by one entry of a level (1..4). */
static inline u64 pt_level_size(unsigned int level)
{
	return 1ull << (12 + PT_BITS * (level - 1));
}

/* Rights of a leaf, independent of the format. */
#define PT_R	(1u << 0)
#define PT_W	(1u << 1)
#define PT_X	(1u << 2)
#define PT_RWX	(PT_R | PT_W | PT_X)

/* Memory type of a leaf. */
enum pt_memtype { PT_MEM_WB, PT_MEM_UC };

/* A leaf to install: where it points, what it allows. */
struct pt_leaf {
	u64 pa;			/* aligned to the level's size */
	unsigned int level;	/* 1..3 */
	unsigned int rights;	/* PT_R | ... */
	enum pt_memtype memtype;
};

/* An entry format. One instance per format, constant. */
struct pt_geometry {
	u64 (*make_leaf)(const struct pt_leaf *leaf);
	u64 (*make_table)(u64 table_pa);
	unsigned int (*rights)(u64 entry);
	u64 present_mask;	/* any bit set: present */
	u64 leaf_bit;		/* set: leaf, at levels 2 and 3 */
	u64 addr_mask;		/* physical address bits */
	u64 accessed_bit;	/* 0: the format has none */
	u64 dirty_bit;
};

extern const struct pt_geometry pt_ept_ad;	/* EPT with accessed/dirty */
extern const struct pt_geometry pt_ept_plain;	/* EPT without */

/* Live figures of one table; written under the caller's writer lock. */
struct pt_counts {
	u64 leaves[4];		/* now, by level; [0] unused */
	u64 tables;		/* now, the root included */
	u64 installed;		/* leaves so far */
	u64 removed;		/* leaves so far */
	u64 upgraded;		/* leaves given more rights so far */
};

struct pt {
	const struct pt_geometry *geom;
	u64 *root;
	struct pt_counts counts;
};

/*
 * Table pages at hand, so that pt_map() never allocates. Owned by one thread.
 * pt_cache_fill() may sleep; 0 or -ENOMEM (what it got stays in the cache).
 */
#define PT_CACHE_MAX	(PT_LEVELS - 1)
struct pt_cache {
	unsigned int nr;
	void *page[PT_CACHE_MAX];
};
int pt_cache_fill(struct pt_cache *cache);
void pt_cache_drain(struct pt_cache *cache);

/* Allocates the root (may sleep): 0 or -ENOMEM. */
int pt_init(struct pt *pt, const struct pt_geometry *geom);
/* Frees every table. No CPU may use the table any more. May sleep. */
void pt_destroy(struct pt *pt);
u64 pt_root_pa(const struct pt *pt);

enum pt_map_result {
	PT_MAP_INSTALLED,	/* was absent, is present */
	PT_MAP_UPGRADED,	/* same page, more rights now: no flush needed */
	PT_MAP_SPURIOUS,	/* was there already with these rights */
	PT_MAP_REPLACED,	/* something else was there: gather must be flushed */
};

/*
 * Make addr's leaf at least as permissive as *leaf. A present smaller-grained
 * table or a leaf of another page or level in its place is removed into
 * gather (result REPLACED; after it, the new leaf is in place, but the old
 * translations live until the flush). A present *larger* leaf that maps the
 * same memory with enough rights is SPURIOUS; one with too few rights is
 * removed and replaced by the smaller leaf. cache must be full.
 */
enum pt_map_result pt_map(struct pt *pt, u64 addr, const struct pt_leaf *leaf,
			  struct pt_cache *cache, struct gather *gather);

/*
 * Remove every leaf that overlaps [start, end), a larger one as a whole, and
 * every table but the root that maps nothing outside of [start, end), into
 * gather. end may lie past the table's last address. Returns the number of
 * leaves removed; with 0, a table without leaves may still have gone: whether
 * to flush is for gather_needs_flush() to say. Absent upper levels are skipped
 * whole.
 */
u64 pt_zap(struct pt *pt, u64 start, u64 end, struct gather *gather);

/*
 * Accessed bits in [start, end). CLEAR clears them; 1 if any was set. A format
 * without accessed bits cannot tell: there, every present leaf counts as
 * accessed, always, in both modes.
 */
enum pt_age_mode { PT_AGE_TEST, PT_AGE_CLEAR };
int pt_age(struct pt *pt, u64 start, u64 end, enum pt_age_mode mode);

/*
 * Read-only lookup: the entry that maps addr (0: none) and its level. Beside a
 * writer it may still find a leaf of a table that was just unlinked.
 */
u64 pt_lookup(const struct pt *pt, u64 addr, unsigned int *level);

#endif /* SMP_PT_H */
