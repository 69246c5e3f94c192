/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Demand paging by the program itself: a file seen through a window of memory,
 * with few frames of real memory behind it. The window exists in a root of its
 * own; threads switch to that root and just read and write.
 *
 * A page's *lock* is held by who moves the page in or out. A frame belongs to one
 * page, or to the thread that is about to fill it.
 */
#ifndef PAGER_H
#define PAGER_H

#include <stddef.h>
#include <stdint.h>

#include "dune.h"

#define PAGE	4096ul

struct pager_stats {		/* atomic */
	uint64_t faults;	/* of threads in the window */
	uint64_t reads;		/* pages from the file */
	uint64_t writes;	/* pages to the file: dirty ones only */
	uint64_t evictions;
	uint64_t spared;	/* pages the clock's hand found accessed */
	uint64_t rounds;	/* of the hand */
};

struct pager_page {
	uint32_t lock;		/* 1: somebody moves it */
	uint32_t frame;		/* + 1; 0: not in memory; under lock */
};

struct pager {
	int fd;
	struct dune_root *root;
	char *window;
	struct pager_page *page;
	unsigned long nr_pages;
	/* frames.c */
	char *frames;
	uint32_t *page_of;	/* a frame's page + 1, FRAME_FREE, FRAME_TAKEN; atomic */
	unsigned long nr_frames;
	uint64_t hand;		/* of the clock; atomic */
	struct pager_stats stats;
};

#define FRAME_FREE	0u
#define FRAME_TAKEN	0xffffffffu

/* Plain mode. These end the program with a message when they cannot. */
void pager_create(struct pager *pager, int fd, unsigned long nr_pages, unsigned long nr_frames);
/* Write back what is dirty. No thread uses the window. */
void pager_sync(struct pager *pager);
void pager_destroy(struct pager *pager);

/* In Dune mode: the calling thread sees the window, or does not any more. */
void pager_enter(struct pager *pager);
void pager_leave(void);

/* --- between pager.c and frames.c --- */

int page_try_lock(struct pager *pager, unsigned long page);
void page_unlock(struct pager *pager, unsigned long page);

/* Out of memory, to the file if it is dirty. The page is locked and in a frame. */
void page_out(struct pager *pager, unsigned long page);

/* A frame for the caller alone, by CLOCK. The caller has at most one page locked. */
unsigned long frame_get(struct pager *pager);

static inline char *page_addr(const struct pager *pager, unsigned long page)
{
	return pager->window + page * PAGE;
}

static inline char *frame_addr(const struct pager *pager, unsigned long frame)
{
	return pager->frames + frame * PAGE;
}

static inline void pager_count(uint64_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

#endif /* PAGER_H */
