/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The collector: one thread beside the mutators.
 *
 * A *minor* collection keeps the marks of the last one. What is marked is old and
 * stays; only what hangs on roots and on pages that were written to since can be
 * new. A *full* one forgets all marks. Both mark while the mutators run, then
 * stop them to scan what was written to meanwhile, and give the rest back.
 */
#ifndef COLLECT_H
#define COLLECT_H

#include "../common/world.h"
#include "barrier.h"
#include "heap.h"

struct collect_stats {
	unsigned long minors, fulls;
	unsigned long pages_beside;	/* scanned while mutators ran */
	unsigned long pages_stopped;	/* scanned while they were stopped */
	unsigned long freed;		/* objects, as minor collections saw them */
	unsigned long lost;		/* reachable, not marked: must be 0 */
	unsigned long checked;		/* objects reached by the checks */
};

struct collector {
	struct heap *heap;
	struct world *world;
	const struct barrier *barrier;
	unsigned long operations;	/* between two collections */
	struct object **stack;
	unsigned long depth;
	uint64_t *pages;		/* of barrier->take() */
	uint64_t *check;		/* marks of collect_check() */
	struct collect_stats stats;
};

#define FULL_EVERY	4	/* collections */

/* The rest of *collector is set. Ends the program when there is no memory. */
void collect_init(struct collector *collector);
void collect_destroy(struct collector *collector);

/* Collect until all mutators have ended. */
void collect_loop(struct collector *collector);

#endif /* COLLECT_H */
