/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Store-buffering tests on real cores. Two threads on two CPUs run the two
 * sides of a pair of fences at the same moment, over and over, on one instance
 * of the protocol's own data after another:
 *
 *   side 0: store A; fence; load B        side 1: store B; fence; load A
 *
 * The bad outcome is that both loads miss the other's store. The strong form
 * calls the code of smp/ and must never show it. The weak twin is the same
 * with a fence missing, and must show it within the time: else the test would
 * not see a missing fence either.
 */
#ifndef LITMUS_H
#define LITMUS_H

#include <stdbool.h>

#define LITMUS_BATCH	1024	/* instances between two resets */

/* One pair. Each side returns true when its load missed the other's store. */
struct litmus {
	const char *name;
	const char *labels;
	/* Weak twins say which side has no fence. */
	const char *weak_side[2];
	void (*reset)(unsigned int i);
	bool (*side[2])(unsigned int i);
	bool (*weak[2])(unsigned int i);
};

/* 0; 1: failed; 77: this machine cannot run it. Takes --help. */
int litmus_main(const struct litmus *litmus, int argc, char **argv);

#endif /* LITMUS_H */
