/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Guest page tables on simulated CPUs: the owner of a table's content changes
 * it while CPUs with hostile TLBs use it. The core of smp/ is the real one.
 *
 *   cpu.c     a CPU: software TLB, walks, accesses and what they must not see
 *   memory.c  physical memory, its reuse
 *   ops.c     operations of threads, and what each must have done; rights.c
 *   range.c   which pages an operation is about, who owns them
 *   round.c   one round, and the balance after it
 *   bits.c    accessed and dirty bits against operations, counted one by one
 *
 * Address space: two slots of 1 GiB beside a 512 GiB seam, cut into units. A
 * unit begins with a hot page, the one that CPUs use, and ends where the next
 * one begins. In a round with owners, each unit belongs to one thread while
 * that changes it, so that what CPUs may do is known exactly; splits, merges,
 * ageing, walks and others' units in the same tables go on meanwhile. In a wild
 * round nobody owns anything.
 */
#ifndef STRESS_GUEST_H
#define STRESS_GUEST_H

#include "pt_range.h"
#include "../fail.h"
#include "../random.h"
#include "shootdown.h"

#define MAX_CPUS	64
#define MAX_THREADS	4
#define NR_REGIONS	6u		/* 2 MiB each, three on each side */
#define NR_HOT		8u
#define NR_UNITS	(NR_REGIONS * NR_HOT + 2)
#define NR_SLOTS	2u
#define SLOT_SIZE	(1ull << 30)
#define REGION_SIZE	(1ull << 21)
#define PAGE		4096ull
#define BASE		(511ull << 30)
#define END		(BASE + NR_SLOTS * SLOT_SIZE)

/* --- physical memory (memory.c) --- */

#define NR_MEMORIES	192u		/* each has a page for every unit */

/*
 * What is behind a hot page. Plain fields but where it says atomic, so that the
 * thread sanitizer judges every access of a CPU against the reuse.
 */
struct cell {
	u32 used;			/* atomic */
	u64 stamp;			/* new at each allocation; poison when free */
	u64 content;			/* the same after a copy */
	u64 data[MAX_CPUS];		/* counters that CPUs write */
	u64 version;			/* atomic: number of writes */
};

/* Memory m maps address a at m's base + a: contiguous, aligned like a. */
static inline u64 memory_delta(unsigned int memory)
{
	return (u64)(memory + 1) << 40;
}

void memory_init(void);
/* A memory whose cells of these units were free and now are the caller's. */
unsigned int memory_alloc(unsigned int first, unsigned int last);
void memory_free(unsigned int memory, unsigned int unit);
u64 memory_used(void);
/* The cell at pa, which unit uses; ends the program when it is another's. */
struct cell *cell_at(u64 pa, unsigned int unit);
struct cell *cell_of(unsigned int memory, unsigned int unit);
void cell_copy(unsigned int to, unsigned int from, unsigned int unit);
u64 stamp_now(void);

/* --- units (range.c) --- */

/*
 * What CPUs must not do to a hot page, with a number that changes whenever that
 * does: the same before and after an access means that it held all along.
 */
#define NO_READ		1ull
#define NO_WRITE	2ull
#define STATE_CHANGE	4ull

struct unit {
	u64 addr;		/* constant */
	u64 state;		/* atomic */
	u32 owned;		/* atomic; what follows is the owner's */
	bool mapped;
	unsigned int memory, rights;
	u64 known;		/* version up to which dirty was found */
} __attribute__((aligned(64)));

struct span {
	unsigned int first, last;	/* units */
	u64 start, end;
};

void units_init(void);
struct span span_of(unsigned int first, unsigned int last);
struct span random_span(void);
/* False: somebody else owns one of them. In a wild round always true. */
bool span_own(const struct span *span);
void span_disown(const struct span *span);
unsigned int unit_at(u64 addr);
/* Before a right is given, and after it was taken away. */
void unit_allow(struct unit *unit, u64 what);
void unit_forbid(struct unit *unit, u64 what);

/* --- CPUs (cpu.c) --- */

struct tlb_leaf {
	bool valid, write;	/* write: dirty is set */
	u64 pa;
	u64 born;		/* stamp at that time */
};

/* Whatever it has seen since the last flush. */
struct tlb {
	struct tlb_leaf page[NR_UNITS], large[NR_REGIONS + 2], giant[NR_SLOTS];
	u64 *pt[NR_REGIONS + 2], *pd[NR_SLOTS], *pdpt[NR_SLOTS];
};

struct written {
	u64 content, value;
};

struct cpu {
	struct tlb tlb;
	struct written written[NR_UNITS];
	unsigned int number;
	u64 runs, accesses, walks, faults, kicked;
	u64 irq_raised __attribute__((aligned(64)));	/* by others */
	u64 irq_handled;		/* by the owner, outside of the guest */
} __attribute__((aligned(64)));

void *cpu_thread(void *cpu);
void cpu_relax_hook(void);
void cpu_kick_hook(const plat_cpumask_t *mask);

/* --- threads (ops.c) --- */

void op_random(struct pt_cache *cache);
/* Everything goes: the last one. */
void op_unmap_all(struct pt_cache *cache);

/* --- the world --- */

#define COUNTS(X) \
	X(mapped) X(exists) X(unmapped) X(reduced) X(upgraded) X(unflushed) \
	X(small_done) X(small_stale) X(splits) X(merges) X(trimmed) \
	X(marked_cow) X(copied) X(stale) X(scans) X(dirty) X(clean) X(aged) \
	X(gave_up) X(owned_by_others) X(flushes) X(kicks) X(verified)

struct counts {
#define X(name) u64 name;
	COUNTS(X)
#undef X
};

struct world {
	struct pt pt;
	struct sd_vm sd __attribute__((aligned(64)));
	struct sd_cpu sd_cpu[MAX_CPUS];
	plat_cpumask_t cpus;
	struct cpu cpu[MAX_CPUS];
	struct unit unit[NR_UNITS];
	bool wild;
	u32 stop_threads, stop_cpus, nr_parked;
	unsigned int nr_cpus, nr_threads;
	u32 chaos;
	u64 ops;			/* atomic */
	struct counts counts;		/* atomic */
};

extern struct world w;
extern _Thread_local struct cpu *this_cpu;	/* NULL: no CPU */

#define count(field, n) \
	__atomic_fetch_add(&w.counts.field, (n), __ATOMIC_RELAXED)

struct round {
	const struct pt_geometry *geom;
	unsigned int nr_cpus, nr_threads;
	bool wild;
	u32 chaos;
	unsigned int ms;
	u64 seed;
};
void round_run(const struct round *round);

struct totals {
	struct counts counts;
	u64 ops, runs, accesses, walks, faults, kicked;
};
extern struct totals totals;

void bits_run(unsigned int ms, u64 seed);

#endif /* STRESS_GUEST_H */
