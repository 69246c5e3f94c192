/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Coherence torture: verifiers look at pages while antagonists change the
 * mappings below them. The rules by which a verifier judges what it sees are
 * exact: none raises a false alarm, whatever the scheduling.
 *
 * Every page has a *state*, one word in memory that is not under test. Only
 * the antagonist that claimed the page's block writes it, and it does so
 * around its system calls: what a call may do is announced before the call,
 * what it has done is announced when the call has returned. A verifier reads
 * the state before and after its access.
 */
#ifndef TORTURE_H
#define TORTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PAGE		4096ul
#define HUGE		(2ul << 20)
#define MAX_VERIFIERS	16
#define MAX_ANTAGONISTS	16
#define MAX_PAGES	2048
#define MAX_BLOCKS	64

/* ---- state of a page: lowest legal generation | change count | bits ---- */

#define ST_ZERO		1u	/* may read as zero */
#define ST_FAULT	2u	/* any access may fault */
#define ST_WFAULT	4u	/* a write may fault */
#define ST_GONE		8u	/* any access must fault */
#define ST_RDONLY	16u	/* a write must fault */
#define ST_BITS		0xffu
#define ST_MIN(state)	((uint32_t)((state) >> 32))

/* A page that nobody changes reads the same state before and after. */
uint64_t page_state(unsigned int page);

/* ---- words of a page ---- */

/* Stamps are the antagonists', the words behind them one verifier's each. */
#define NR_STAMPS	3
#define NR_WORDS	(NR_STAMPS + MAX_VERIFIERS)
/* No stamp and no counter looks like this. */
#define POISON		0xdeadbeefdeadbeefull

/* What word i of a page holds; the address inside a page at base. */
uint64_t stamp_of(unsigned int page, unsigned int i, uint32_t gen);
volatile uint64_t *word_in(char *base, unsigned int i);
volatile uint64_t *word_of(unsigned int page, unsigned int i);

/* ---- areas, blocks, claims ---- */

enum area_kind {
	AREA_SMALL = 1,		/* private, 4 KiB pages, across a 1 GiB border */
	AREA_HUGE = 2,		/* private, huge pages where the kernel can */
	AREA_FILE = 4,		/* shared, a memfd of its own for each block */
	AREA_TWIN = 8,		/* private, pages of equal contents, for KSM */
};
#define AREA_PRIVATE	(AREA_SMALL | AREA_HUGE)
#define AREA_ANY	(AREA_PRIVATE | AREA_FILE)

struct area {
	enum area_kind kind;
	char *base;
	unsigned int first_page, nr_pages, block_pages;
};

struct block {
	struct area *area;
	char *base;
	unsigned int first_page, nr_pages;
	int fd;			/* AREA_FILE */
	int claimed;
};

#define NR_AREAS	4
extern struct area areas[NR_AREAS];
extern struct block blocks[MAX_BLOCKS];
extern unsigned int nr_pages, nr_blocks;

void areas_map(void);
void areas_unmap(void);
char *page_address(unsigned int page);
static inline size_t block_size(const struct block *b)
{
	return b->nr_pages * PAGE;
}

/*
 * Claim a block of these kinds for the calling antagonist; NULL when a number
 * of tries found only claimed ones. Verifiers look at claimed blocks more.
 */
struct block *block_claim(int antagonist, unsigned int kinds, uint64_t *seed);
void block_release(struct block *b);
/* A page to look at: every second one from a claimed block. */
unsigned int pick_page(unsigned int kinds, uint64_t *seed);

/* For the claimant: new bits; contents stay. */
void block_state(struct block *b, unsigned int bits);
/* The contents are gone: no stamp written so far is legal any more. */
void block_forget(struct block *b, unsigned int bits);
/* Write the next stamps, then announce them with these bits. */
void block_stamp(struct block *b, unsigned int bits);
/* Generation of the stamps of the page. */
uint32_t page_gen(unsigned int page);
/* Map the block where it was unmapped. */
void block_map(struct block *b);

/*
 * Fresh pages, as likely as not the frames freed last: fill what a stale
 * reader would look at with poison, wait, and see that nobody writes there.
 */
void poison_fresh(unsigned int pages, unsigned long wait);

/* ---- verifiers ---- */

/* What verifier v wrote to its word of each page last, and in which state. */
struct kept {
	uint64_t value;
	uint64_t state;
};
extern struct kept kept[MAX_VERIFIERS][MAX_PAGES];

struct tally {
	uint64_t reads, writes;		/* accesses judged */
	uint64_t firm_reads, firm_writes; /* of those, in an unchanging state */
	uint64_t faults;		/* signals taken */
};
extern struct tally tally[MAX_VERIFIERS + MAX_ANTAGONISTS];

void verify_setup(void);
/* Verifier v reads or writes one page and judges it; tally[who]. */
void verify_read(int who, unsigned int page, uint64_t *seed);
void verify_write(int v, unsigned int page);
void verify_twin(int v, unsigned int page);
/* A number of reads by a thread that is no verifier. */
void verify_some(int who, int n, uint64_t *seed);
/* In a block whose pages nobody may write: they stay, nothing was lost. */
void verify_frozen(struct block *b, char *base, const char *how);

/* ---- antagonists ---- */

struct antagonist {
	int index;		/* its number, 0.. */
	int who;		/* its tally */
	uint64_t seed;
	bool dune;		/* stays in Dune mode */
	char *aside;		/* address where it may map a block */
};

struct act {
	const char *name;
	/* True when it did what it is for. */
	bool (*fn)(struct antagonist *a);
	/* NULL when the machine has what it takes, else what it lacks. */
	const char *(*lacks)(void);
	unsigned int one_in;	/* how often it is run when it is its turn */
	bool enabled;
	uint64_t runs, hits;
};
extern struct act map_acts[], move_acts[], thread_acts[];


extern volatile int stop;
extern volatile pid_t verifier_tid[MAX_VERIFIERS];
extern int nr_verifiers;
/* Machine-wide knobs may be turned: this is an emulated machine. */
bool may_turn_knobs(void);
bool write_knob(const char *path, const char *value);
/* Swap, KSM, a memory cgroup, NUMA balancing: before and after everything. */
void move_setup(void);
void move_finish(void);
/* A process that takes, fills with poison, checks and frees memory. */
void hog_start(void);
void hog_stop(void);

#endif /* TORTURE_H */
