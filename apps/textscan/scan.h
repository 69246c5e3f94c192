/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* One counting run: workers, their tables, what their vCPUs did. */
#ifndef SCAN_H
#define SCAN_H

#include <pthread.h>
#include <stdbool.h>

#include "dune.h"
#include "queue.h"
#include "table.h"

struct scan;

struct worker {
	struct scan *scan;
	pthread_t thread;
	struct table table;
	uint64_t files;		/* files read, or begun as a mapping */
	uint64_t bytes;
	unsigned int failed;
	bool inside;		/* was in Dune mode when it finished */
	int vcpu_fd;
	uint64_t vcpu[DUNE_NR_VCPU_COUNTERS];
};

struct scan {
	bool dune;
	unsigned int nr_workers;
	struct worker *workers;
	pthread_barrier_t start;
	struct queue queue;

	/* results */
	struct table table;
	uint64_t files;
	uint64_t bytes;
	unsigned int failed;	/* files, threads: all complained on stderr */
};

enum scan_mode { SCAN_PLAIN, SCAN_DUNE };

/* Count the words of all paths; 0 or -errno if it could not run at all. */
int scan_run(struct scan *s, char *const paths[], unsigned int nr_workers,
	     enum scan_mode mode);
int scan_print(const struct scan *s, size_t top, FILE *out);
void scan_free(struct scan *s);

#endif /* SCAN_H */
