/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What main() puts together. */
#ifndef STRESS_STRESS_H
#define STRESS_STRESS_H

#include "world.h"

/* One round in a fresh world (round.c), and what must be true after it. */
struct round {
	const struct pt_geometry *geom;
	unsigned int nr_cpus, nr_nodes, nr_vcpus, nr_mm;
	u32 chaos;		/* 0: none; else mean number of verbs between */
	unsigned int ms;
	u64 seed;
};
void round_run(const struct round *round);

/* What happened in all rounds. */
struct totals {
	struct counts counts;
	u64 ops, runs, accesses, walks, violations, kicked, moved;
};
extern struct totals totals;

/* Accessed and dirty bits against upgrades and aging (bits.c). */
void bits_run(unsigned int ms, u64 seed);

/* Kicks of many CPUs at once, by leaders (fan.c). */
void fan_run(unsigned int ms, u64 seed);

#endif /* STRESS_STRESS_H */
