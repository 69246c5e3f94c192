/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Torture of guest paging. *Changers* map, unmap, protect, split, merge and scan
 * windows: addresses of a root that show frames, memory of the process. *Verifiers*
 * read and write there meanwhile, and do whatever threads do to their vCPUs: move,
 * block, poll, switch the root, leave Dune mode and come back, end.
 *
 * Each page of a window has a state, one word outside of all windows: what it shows
 * and with which rights. Who changes it has claimed the window, says before the
 * call what may be from now on, and after the call what is. A verifier reads the
 * state before and after its access; if it is the same and says one thing, the
 * access has one legal outcome, whatever the interleaving.
 */
#ifndef VM_TORTURE_H
#define VM_TORTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "dune.h"

#define PAGE		4096ul
#define MIB2		(2ul << 20)
#define GIB		(1ul << 30)
#define MAX_VERIFIERS	8
#define MAX_CHANGERS	8
#define MAX_PAGES	512u

/* ---- state of a page ---- */

/* One side of it: rights, and which of the window's frames. No rights: no access. */
#define SIDE_RIGHTS	(DUNE_R | DUNE_W | DUNE_X)
#define SIDE_SECOND	(1u << 4)
#define SIDE_NONE	0u

/* What was, what will be: the same when nothing changes; and a count. */
static inline unsigned int state_old(uint64_t state) { return state & 0xff; }
static inline unsigned int state_new(uint64_t state) { return state >> 8 & 0xff; }
static inline bool state_is_firm(uint64_t state)
{
	return state_old(state) == state_new(state);
}

/* ---- windows ---- */

enum window_kind {
	WINDOW_SMALL,	/* pages of 4 KiB, across a border of 2 MiB */
	WINDOW_LARGE,	/* 2 MiB */
	WINDOW_WHOLE,	/* some pages of a GiB that is mapped as one */
	NR_KINDS,
};

#define NR_ROOTS	2
#define NR_WINDOWS	8

struct window {
	enum window_kind kind;
	int root;			/* index in roots[] */
	char *base;			/* its first page */
	unsigned int nr_pages;
	char *frames[2];		/* WINDOW_WHOLE: the same */
	int claimed;
	uint64_t state[MAX_PAGES];
	uint32_t epoch[2][MAX_PAGES];	/* of contents: raised by who writes them anew */
};
extern struct window windows[NR_WINDOWS];
extern struct dune_root *roots[NR_ROOTS];

/* Reserves memory; then, for each round, roots and windows, all mapped. */
void windows_reserve(void);
void windows_create(void);
void windows_destroy(void);

struct window *window_claim(uint64_t *seed);
void window_release(struct window *w);

static inline uint64_t page_state(const struct window *w, unsigned int page)
{
	return __atomic_load_n(&w->state[page], __ATOMIC_ACQUIRE);
}

/* For the claimant, of [first, first + nr): this may be from now on; this is. */
void window_begin(struct window *w, unsigned int first, unsigned int nr, unsigned int side);
void window_end(struct window *w, unsigned int first, unsigned int nr);

/* Word i of a page's frame: 0 a stamp, i + 1 verifier i's. */
#define NR_WORDS	(1 + MAX_VERIFIERS)
#define POISON		0xdeadbeefdeadbeefull
volatile uint64_t *frame_word(const struct window *w, unsigned int set, unsigned int page,
			      unsigned int word);
uint64_t stamp_of(const struct window *w, unsigned int set, unsigned int page);
/* A frame that shows nowhere: poison, which nobody writes to; many: stamps. */
void frame_poison(const struct window *w, unsigned int set, unsigned int page);
void frame_check_poison(const struct window *w, unsigned int set, unsigned int page);
void frames_stamp(struct window *w, unsigned int set, unsigned int first, unsigned int nr);

/* ---- verifiers ---- */

struct tally {
	uint64_t reads, writes, firm_reads, firm_writes, faults;
};
extern struct tally tally[MAX_VERIFIERS];

/* In Dune mode, with the window's root active. */
void verify_read(int v, const struct window *w, unsigned int page);
void verify_write(int v, const struct window *w, unsigned int page);
void *verifier(void *index);
/* One byte for whom it is blocked. */
void verifiers_start(void);
void verifier_wake(int v);
/* Threads that have ended by themselves, to be joined. */
extern volatile int ended[MAX_VERIFIERS];

/* ---- changers ---- */

struct changer {
	int index;
	bool dune;		/* in Dune mode, or in plain mode */
	uint64_t seed;
};

struct act {
	const char *name;
	/* True when it did what it is for. The window is claimed. */
	bool (*fn)(struct changer *c, struct window *w);
	uint64_t runs, hits;
};
extern struct act acts[];

void *changer(void *c);

extern volatile int stop;
extern int nr_verifiers;

#endif /* VM_TORTURE_H */
