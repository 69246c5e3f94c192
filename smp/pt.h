/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Page-table engine: a radix table of 9-bit levels, its leaves at level 1
 * (4 KiB), 2 (2 MiB) or 3 (1 GiB). It knows how to walk, install, upgrade and
 * remove, from any number of threads at once; what an entry's bits mean comes
 * from a geometry.
 *
 * Role: decides; it never sleeps. Each table page has a lock of its own
 * (pt_table.h); there is none of the whole table. Software walks run under
 * RCU. Entries are written by hardware too (accessed/dirty), so every change
 * of a present one is an atomic read-modify-write. What is removed goes into a
 * struct gather and is freed only after the shootdown.
 *
 * An entry is absent (0), present, or FROZEN: not present for hardware, being
 * installed or dismantled for software, which starts again.
 */
#ifndef SMP_PT_H
#define SMP_PT_H

#include "inval.h"
#include "pt_table.h"

struct gather;

#define PT_LEVELS	4

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
/* pt_x86 only. */
#define PT_U	(1u << 3)	/* ring 3 may use it */
#define PT_COW	(1u << 4)	/* not writable yet: PT_W holds after a copy */
#define PT_RIGHTS	(PT_RWX | PT_U | PT_COW)

/* Memory type of a leaf. */
enum pt_memtype { PT_MEM_WB, PT_MEM_UC };

/*
 * Is the leaf about to be used? An installed YOUNG leaf has its accessed bit
 * set, which spares the CPU a locked update. An OLD one has not: as long as it
 * stays clear no CPU has cached the leaf, and its removal needs no flush. A
 * DIRTY one is young and counts as written to (pt_x86; EPT: as YOUNG).
 */
enum pt_age { PT_YOUNG, PT_OLD, PT_DIRTY };

/* A leaf to install: where it points, what it allows. */
struct pt_leaf {
	u64 pa;			/* aligned to the level's size */
	unsigned int level;	/* 1..3 */
	unsigned int rights;	/* PT_R | ... */
	enum pt_memtype memtype;
	enum pt_age age;
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
	u64 aged_bit;		/* software: accessed was cleared without a flush */
	u64 cached_mask;	/* any bit set in a leaf: a CPU may have cached it */
	u64 cow_bit;		/* software: PT_COW; 0: the format has none */
	u64 rights_mask;	/* every bit that rights() looks at */
	u64 perm_mask;		/* of these: what hardware heeds */
	u64 perm_inverted;	/* of these: forbids when set */
	/*
	 * Each right has bits of its own. Without PT_R the result is not
	 * present for hardware; when it keeps a bit of present_mask it stays a
	 * leaf for software.
	 */
	u64 (*set_rights)(u64 entry, unsigned int rights);
};

extern const struct pt_geometry pt_ept_ad;	/* EPT with accessed/dirty */
extern const struct pt_geometry pt_ept_plain;	/* EPT without */
extern const struct pt_geometry pt_x86;		/* x86-64 page tables */

struct pt {
	const struct pt_geometry *geom;	/* constant */
	struct pt_table *root;		/* constant */
	u64 root_pa;			/* constant */
};

/*
 * A magazine of table pages, so that pt_map() never allocates. Owned by one
 * thread. place: 1 + the NUMA node that pages are to come from (from elsewhere when
 * that has none), or 0: the platform's choice, the node where the thread runs.
 * pt_cache_fill() may sleep; 0 or -ENOMEM (what it got stays).
 */
#define PT_CACHE_MAX	(PT_LEVELS - 1)
struct pt_cache {
	unsigned int nr;
	u32 place;
	u32 user;		/* goes into the tables that are linked */
	struct pt_table *tables;
};
int pt_cache_fill(struct pt_cache *cache);
void pt_cache_drain(struct pt_cache *cache);

/* Allocates the root (may sleep): 0 or -ENOMEM. place: as pt_cache.place. */
int pt_init_at(struct pt *pt, const struct pt_geometry *geom, u32 place);
static inline int pt_init(struct pt *pt, const struct pt_geometry *geom)
{
	return pt_init_at(pt, geom, 0);
}
/* Frees every table. No CPU and no thread may use the table any more. */
void pt_destroy(struct pt *pt);
static inline u64 pt_root_pa(const struct pt *pt)
{
	return pt->root_pa;
}

enum pt_map_result {
	PT_MAP_INSTALLED,	/* was absent, is present */
	PT_MAP_UPGRADED,	/* same memory, more rights now: no flush needed */
	PT_MAP_SPURIOUS,	/* was there already with these rights */
	PT_MAP_STALE,		/* an invalidation came in between: look again */
	PT_MAP_CONFLICT,	/* something else is there: pt_zap() it first */
};

/* One pt_map(): what to do and what it cost. */
struct pt_map_op {
	u64 addr;
	struct pt_leaf leaf;
	const struct inval *inval;	/* NULL: no invalidation can happen */
	struct inval_snap snap;		/* taken before *leaf was looked up */
	struct pt_cache *cache;		/* full */
	/* Out; add to what is there. */
	u32 tables;		/* table pages linked */
	u32 contended;		/* table locks that were taken already */
	u32 restarts;		/* walks begun anew: table dead or FROZEN */
};

/*
 * Make addr's leaf at least as permissive as op->leaf, which is already true
 * (SPURIOUS) when a larger leaf maps the same memory with enough rights. A
 * finer table, another page or a larger leaf of less use in its place is a
 * CONFLICT: nothing was changed; the caller invalidates the leaf's range as
 * for any removal and tries again. Any context that may spin; process context.
 */
enum pt_map_result pt_map(struct pt *pt, struct pt_map_op *op);

enum pt_zap_result {
	PT_ZAP_DONE,
	/*
	 * Only part of the range is done: a 1 GiB leaf sticks out of it. Mark
	 * all of the address space (inval.h) and zap the leaf's whole range.
	 */
	PT_ZAP_WIDEN,
};

/*
 * Remove every leaf that overlaps [start, end), a 2 MiB one as a whole, and
 * every table but the root that maps nothing outside of [start, end), into
 * gather. end may lie past the table's last address. What another thread is
 * removing at the same time is left to that: whoever finds nothing has to ask
 * inval_pending() before it may rely on that. Absent upper levels are skipped
 * whole; absent leaves are passed without a lock.
 */
enum pt_zap_result pt_zap(struct pt *pt, u64 start, u64 end,
			  struct gather *gather);
/* The same for a range inside of 2 MiB that are aligned so. */
enum pt_zap_result pt_zap_small(struct pt *pt, u64 start, u64 end,
				struct gather *gather);

/*
 * Accessed bits in [start, end). CLEAR clears them; 1 if any was set. A format
 * without accessed bits cannot tell: there, every present leaf counts as
 * accessed, always, in both modes.
 */
enum pt_age_mode { PT_AGE_TEST, PT_AGE_CLEAR };
int pt_age(struct pt *pt, u64 start, u64 end, enum pt_age_mode mode);

/*
 * Read-only lookup: the entry that maps addr (0: none) and its level. It may
 * find a leaf of a table that was just unlinked.
 */
u64 pt_lookup(const struct pt *pt, u64 addr, unsigned int *level);

#endif /* SMP_PT_H */
