/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Page-table engine: operations on ranges, for whoever owns a table's content
 * (guest page tables), in contrast to pt.h's pt_map() and pt_zap(), which
 * follow a mapping that changes elsewhere.
 *
 * Common to all:
 * - Any number of threads at once, also with pt_map(), pt_age(), pt_lookup().
 *   Each page changes atomically, a range page by page; pt_map_range() alone
 *   is all or nothing.
 * - Process context; takes RCU and table locks (docs/locking.md) itself, spins,
 *   never sleeps, never allocates.
 * - Work goes on from range.addr, which says how far it got: everything before
 *   it is done. PT_NEED_TABLES: fill the cache, which may sleep, and call again
 *   with the same struct. Give up instead, and what is done stays done.
 * - range.gather collects what a CPU may still use. The caller flushes when
 *   gather_needs_flush(), after any number of operations, before it relies on a
 *   loss of rights or reuses memory; then gather_release(). Nothing that only
 *   adds rights needs a flush: a CPU that missed it takes one fault more.
 * - Who finds nothing to do, or nothing that was cached, knows nothing of the
 *   flush of another thread that did it before: inval.h's begin, pending and
 *   end around operation and flush tell.
 * - A leaf that no CPU can have cached (accessed clear, never aged) is changed
 *   and removed without a flush. Where hardware does not walk the entries
 *   themselves but copies of them, as for level 3 of shared guest tables, map
 *   leaves PT_YOUNG or PT_DIRTY.
 * - Rights are those of supervisor and user with CR0.WP = 1, CR4.SMEP = 0 and
 *   SMAP = 0: with PT_U a page allows more, never less.
 */
#ifndef SMP_PT_RANGE_H
#define SMP_PT_RANGE_H

#include "gather.h"
#include "pt.h"

enum pt_result {
	PT_DONE,		/* range.addr is range.end */
	PT_NEED_TABLES,		/* the cache is empty: fill it, call again */
	PT_EXISTS,		/* something is at range.addr */
	PT_STALE,		/* not what was expected: nothing was changed */
	PT_STOPPED,		/* the callback said so, at range.addr */
	PT_INVALID,		/* arguments break the contract; warned */
};

/* Where, and with what. Zero what is not used. */
struct pt_range {
	u64 addr;		/* in: first address; out: progress */
	u64 end;		/* first one past it; both of 4 KiB */
	/*
	 * Work inside of this table, which holds the range and stays linked
	 * while the operation runs; neither it nor anything above is changed:
	 * with a table of level 2, 1 GiB leaves and level-2 tables are left to
	 * their owner. NULL: the root.
	 */
	struct pt_table *top;
	struct pt_cache *cache;	/* one owner; NULL: as if empty */
	struct gather *gather;
	u32 tables;		/* out, added: table pages linked */
};

/* Fill up to nr table pages, or more than PT_CACHE_MAX; as pt_cache_fill(). */
int pt_cache_fill_to(struct pt_cache *cache, unsigned int nr);

/* --- rights --- */

/*
 * What to do to a leaf's rights: keep & old | set. Made once, used often.
 * A leaf with PT_COW is never writable for hardware, whatever PT_W says: PT_W
 * there means "may be written, after a copy". So protecting keeps PT_COW, and
 * a clone's first half is keep = PT_RIGHTS, set = PT_COW. Who keeps PT_W
 * keeps PT_COW as well; to take that away from a leaf use pt_replace(). EPT: set
 * has PT_R.
 */
struct pt_change {
	struct pt_masks {
		u64 keep, set;	/* bits of an entry */
		u64 takes;	/* rights that are lost, if they were there */
	} plain, cow;		/* of a leaf without and with PT_COW */
	u64 forbids;		/* bits that are a right when clear */
	const struct pt_geometry *geom;
};
void pt_change_init(struct pt_change *change, const struct pt_geometry *geom,
		    unsigned int keep, unsigned int set);

struct pt_protect {
	struct pt_range range;
	const struct pt_change *change;
	/* Out, added, in pages of 4 KiB. */
	u64 changed;		/* with other rights than before */
	u64 reduced;		/* of these: some right was lost */
	u64 holes;		/* nothing was mapped */
};

/*
 * Change the rights of what is mapped in the range; holes are passed. Accessed,
 * dirty and software bits stay, also those that hardware sets meanwhile. A
 * large leaf that sticks out of the range is split. Into the gather goes what
 * lost a right and may be cached. PT_DONE, PT_NEED_TABLES.
 *
 * Without PT_R a leaf of pt_x86 is not present for hardware and stays known to
 * software.
 */
enum pt_result pt_protect(struct pt *pt, struct pt_protect *op);

/*
 * The same, the fast way, for 4 KiB pages inside of one aligned 2 MiB, [addr,
 * end) not empty, below pd, the level-2 table that they are in. The caller is
 * under RCU. PT_DONE; PT_STALE: there is a hole or a larger leaf, or the lock
 * was taken; call pt_protect() for all of it, with the same gather.
 */
enum pt_result pt_protect_small(const struct pt_table *pd, u64 addr, u64 end,
				const struct pt_change *change,
				struct gather *gather);

/* --- sizes --- */

/*
 * Split leaves that overlap the range until none is larger than this level (1
 * or 2). Same memory, rights, memory type, accessed, dirty and software bits;
 * no flush is needed. PT_DONE, PT_NEED_TABLES.
 */
enum pt_result pt_split(struct pt *pt, struct pt_range *range,
			unsigned int level);

struct pt_merge {
	struct pt_range range;
	unsigned int level;	/* of the leaves to make: 2 or 3 */
	u32 merged;		/* out, added: leaves made */
};

/*
 * Wherever the range holds all of a table whose 512 leaves are contiguous,
 * aligned and equal but for accessed and dirty, put one large leaf in its
 * place. It is accessed when one of them was, dirty when one of them was or
 * could become so meanwhile (writable), and counts as cached. At no time is an
 * address not mapped. The table goes into the gather. Level 3: level-2 leaves
 * only; merge to level 2 first. PT_DONE.
 */
enum pt_result pt_merge(struct pt *pt, struct pt_merge *op);

/* --- removing --- */

struct pt_unmap {
	struct pt_range range;
	/*
	 * NULL, or called for each leaf (or part of one, after a split) right
	 * after its removal, under its table's lock: short, no engine, no lock.
	 * The memory may still be in use until the flush.
	 */
	void (*removed)(void *arg, u64 addr, u64 entry, unsigned int level);
	void *arg;
	u64 pages;		/* out, added: 4 KiB pages that were mapped */
};

/*
 * Remove what is mapped in the range and nothing else: a large leaf that sticks
 * out is split first. Tables below range.top that the range covers are
 * unlinked. PT_DONE, PT_NEED_TABLES.
 */
enum pt_result pt_unmap(struct pt *pt, struct pt_unmap *op);

/*
 * Unlink tables below range.top that lie in the range and map nothing. PT_DONE.
 */
enum pt_result pt_trim(struct pt *pt, struct pt_range *range);

/* --- installing --- */

struct pt_map_range {
	struct pt_range range;
	u64 delta;		/* physical address - address, mod 2^64 */
	unsigned int level;	/* largest leaves: 1..3, of those that fit */
	unsigned int rights;
	enum pt_memtype memtype;
	enum pt_age age;
	u64 private;		/* 0 before the first call */
};

/*
 * Map the range, if nothing is mapped in it; else PT_EXISTS, with range.addr
 * where, and no leaf is changed. Of two that overlap at most one succeeds, and
 * one does unless something else was in its way. Missing tables are linked
 * first, and stay linked whatever comes of it; an empty level-1 table where a
 * large leaf fits goes into the gather, an empty larger one counts as
 * something: pt_trim() first. PT_DONE, PT_NEED_TABLES, PT_EXISTS.
 */
enum pt_result pt_map_range(struct pt *pt, struct pt_map_range *op);

struct pt_replace {
	u64 addr;
	struct pt_table *top;	/* as in struct pt_range */
	u64 old;		/* the entry, as looked up */
	struct pt_leaf leaf;	/* instead of it; of the same level */
	struct gather *gather;
};

/*
 * One leaf for another, if it is still the one that was looked up (accessed and
 * dirty do not count). Goes into the gather unless it maps the same memory with
 * no less rights. Accessed and dirty are kept if the memory is the same, else
 * they are the new leaf's. PT_DONE, PT_STALE.
 *
 * Copy on write, with all CPUs agreeing on the content at any time: copy;
 * replace by the copy, still PT_COW; flush; replace by the same without PT_COW.
 */
enum pt_result pt_replace(struct pt *pt, struct pt_replace *op);

/* --- reading --- */

/* Which bits, and where to tell. */
#define PT_SCAN_ACCESSED	(1u << 0)
#define PT_SCAN_DIRTY		(1u << 1)
enum pt_scan_mode { PT_SCAN_TEST, PT_SCAN_CLEAR };

struct pt_scan {
	struct pt_range range;
	unsigned int what;	/* PT_SCAN_...: a hit has any of these bits */
	enum pt_scan_mode mode;
	/* NULL, or one bit per 4 KiB page from base on: set for hits. */
	u64 *bitmap;
	u64 base;
	/* NULL, or called for each hit; CLEAR: under its table's lock. */
	void (*hit)(void *arg, u64 addr, unsigned int level);
	void *arg;
	u64 pages;		/* out, added: 4 KiB pages of hits in the range */
};

/*
 * Accessed and dirty bits of a range. CLEAR clears the bits asked for of each
 * hit that lies in the range whole; a larger leaf that sticks out is a hit and
 * keeps them (pt_split() first). Cleared leaves go into the gather: without the
 * flush, a CPU that has one cached need not set the bit again. Who does not
 * mind passes no gather. A bit set by hardware is never lost: it is found, or
 * still there. A format without these bits: everything mapped is a hit. PT_DONE.
 */
enum pt_result pt_scan(struct pt *pt, struct pt_scan *op);

/*
 * Call fn for each leaf that overlaps the range, without a lock; not 0: stop
 * there. Under RCU: fn does not sleep. It may meet leaves of a table that was
 * just unlinked. addr is in the range and in the leaf. PT_DONE, PT_STOPPED.
 */
typedef int (*pt_leaf_fn)(void *arg, u64 addr, u64 entry, unsigned int level);
enum pt_result pt_walk_range(const struct pt *pt, struct pt_range *range,
			     pt_leaf_fn fn, void *arg);

/* PT_EXISTS when anything is mapped in the range, with range->addr where. */
enum pt_result pt_check_absent(const struct pt *pt, struct pt_range *range);

/* What an entry of pt_lookup() or a callback says. */
void pt_decode(const struct pt_geometry *geom, u64 entry, unsigned int level,
	       struct pt_leaf *leaf);

/* --- tables --- */

/*
 * The table of this level (1..3) that holds addr's entry, for struct pt_range;
 * NULL: none. Under RCU, or whoever could unlink it is kept away.
 */
struct pt_table *pt_find_table(const struct pt *pt, u64 addr,
			       unsigned int level);

/*
 * The same, linked when missing. PT_DONE, PT_NEED_TABLES, PT_EXISTS: a larger
 * leaf is there.
 */
enum pt_result pt_make_table(struct pt *pt, u64 addr, unsigned int level,
			     struct pt_cache *cache, struct pt_table **table);

#endif /* SMP_PT_RANGE_H */
