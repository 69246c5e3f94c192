/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Where worker 0, 1, ... run: a package is filled before the next one is begun,
 * so that a curve over workers shows where it crosses to another package.
 */
#ifndef BENCH_PLACES_H
#define BENCH_PLACES_H

#define PLACES_MAX 4096

struct places {
	int nr;
	int cpu[PLACES_MAX];	/* the CPU number of each place */
};

/*
 * All CPUs this process may use, in the order of places:
 *  1. the package of CPU first, one hardware thread of each core, those cores
 *     before others that share more caches with first;
 *  2. the other hardware threads of these cores, in the same order;
 *  3. the same of the other packages, the nearest first.
 * A package without distances (of its NUMA nodes) is as far as its number says.
 * first itself is place 0; where it is no CPU of the machine, the first that is.
 *
 * hwloc looks at the machine, or at what HWLOC_XMLFILE or HWLOC_SYNTHETIC name
 * (hwloc(7)). Takes some milliseconds. Context: one thread, plain mode.
 * Result: 0 or a negative errno: -EIO when hwloc cannot read the topology,
 * -E2BIG for more than PLACES_MAX CPUs.
 */
int places_load(struct places *places, int first);

#endif /* BENCH_PLACES_H */
