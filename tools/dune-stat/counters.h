/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Sums of counters, read from the module. */
#ifndef DUNE_STAT_COUNTERS_H
#define DUNE_STAT_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "uapi/dune.h"

/* More than any module has; what it has beyond our names gets a number. */
#define MAX_COUNTERS 128

struct sample {
	double seconds;		/* CLOCK_MONOTONIC */
	struct dune_stat_header header;
	uint64_t vcpu[MAX_COUNTERS];
	uint64_t vm[MAX_COUNTERS];
};

/* One counter in what is shown. */
struct counter {
	const char *name;
	const char *meaning;
	bool level;		/* what is now, not a difference */
	uint64_t value;
};

/*
 * A source for sums over the caller's vms, or over one process when pid is not
 * 0. A fd, or -1 with the reason on stderr.
 */
int source_open(pid_t pid);

/* Now. False: with the reason on stderr. */
bool sample_take(int fd, struct sample *s);

/*
 * From a to b, per thread first; counters[] has room for 2 * MAX_COUNTERS.
 * Returns how many there are; *nr_vcpu: so many of them are per thread.
 */
unsigned int sample_diff(const struct sample *a, const struct sample *b,
			 struct counter *counters, unsigned int *nr_vcpu);

#endif /* DUNE_STAT_COUNTERS_H */
