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
	 * Pages of one operation, contiguous but for NEIGHBOUR; before() and op()
	 * get the first. The cost is divided by it. 0: one.
	 */
	int group;
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

/* 1, 2, 3, 4, then steps. */
static inline bool team_size_wanted(int n)
{
	return n <= 4 || n % 2 == 0;
}

#endif /* BENCH_TEAM_H */
