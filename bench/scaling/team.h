/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Several threads that make the same kind of operation at once, each on a CPU
 * of its own: what one operation costs then.
 */
#ifndef BENCH_TEAM_H
#define BENCH_TEAM_H

#include "measure.h"

enum layout {
	LOCAL,		/* each thread in a 2 MiB region of its own, 64 MiB apart */
	NEIGHBOUR,	/* interleaved page by page in the same regions */
	SHARED,		/* all the same pages, each at the same moment */
	NR_LAYOUTS,	/* that sweeps go through */
	APART = NR_LAYOUTS	/* as LOCAL, but 1 GiB apart */
};
const char *layout_name(enum layout layout);

struct work {
	enum layout layout;
	/* Before a round, by the first thread, in plain mode: the pages. */
	void (*prepare)(volatile char *page);
	/* Before each operation, by its thread, in its mode; not measured. */
	void (*before)(volatile char *page);
	void (*op)(volatile char *page);
	/* Which operations count: all, or those no interrupt disturbed. */
	enum { UNDISTURBED, ALL } samples;
	/*
	 * Pages of one operation, contiguous; before() and op() get the first. 0: one.
	 * With NEIGHBOUR the threads' groups are interleaved.
	 */
	int group;
	/* What a cost, and an event's mean, is of. */
	enum { OF_A_PAGE, OF_AN_OPERATION } costs;
	/* Operations of a thread in a round; 0: as many as it has groups. */
	int ops;
	/*
	 * Each thread, in its mode: before its first operation, and after the last one
	 * of all. NULL: nothing.
	 */
	void (*begin)(int member);
	void (*end)(int member);
};

#define TEAM_ROUNDS 3		/* that count, after one that does not */
#define TEAM_PAGES 160		/* operations of a thread in a round */
#define TEAM_OPS (TEAM_ROUNDS * TEAM_PAGES)

/*
 * label->vcpus threads at places 0, 1, ..., in Dune mode or not as label->mode
 * says; the caller is the first of them and is in plain mode. In DUNE mode
 * after dune_on().
 */
const struct result *team_measure(const struct label *label,
				  const struct work *work);

/*
 * The same pages for one thread that is no team: its area, prepared as for a round;
 * the caller is in Dune mode then, if mode says so. team_close(): it has left it.
 */
void team_open(const struct work *work, enum mode mode, int nr);
void team_prepare(void);
void team_close(void);

/* Page i, below TEAM_PAGES, of the calling thread. */
volatile char *team_page(int i);
/* A page that stays as it is, in the first thread's GiB; in one that no thread uses. */
volatile char *team_near(void);
volatile char *team_far(void);
/* How many threads there are. */
int team_size(void);
/* Operations a thread makes in a round. */
int team_round_ops(const struct work *work);
/* The operation knows its cost better: this is it. By the thread that makes it. */
void team_cost(uint64_t cost);
/* With team_cost(): something else had its turn meanwhile; others are judged, if any. */
void team_disturbed(void);

/* 1, 2, 3, 4, then steps. */
static inline bool team_size_wanted(int n)
{
	return n <= 4 || n % 2 == 0;
}

#endif /* BENCH_TEAM_H */
