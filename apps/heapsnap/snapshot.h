/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * A snapshot of the table while threads go on changing it: in Dune mode a clone of
 * the root (dune_root_clone()), natively a forked child. Both have the memory as
 * it was, copied page by page when somebody writes.
 */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include <sys/types.h>

#include "table.h"

struct dune_root;

#define BUFFER_ROWS	1024ul

struct snapshot_way;

struct snapshot {
	const struct snapshot_way *way;
	const struct table *table;
	/*
	 * Memory that the snapshot shares with the original: what write() is to
	 * find, and what the snapshot has to tell.
	 */
	struct snapshot_shared *shared;
	int fd;			/* where the rows go */
	struct dune_root *root;
	pid_t child;
};

struct snapshot_way {
	const char *name;
	/* The memory as it is now; the threads stand. 0 or -errno. */
	int (*make)(struct snapshot *snapshot);
	/* Its rows to the file; the threads run. 0 or -errno. */
	int (*save)(struct snapshot *snapshot);
	void (*drop)(struct snapshot *snapshot);
};

extern const struct snapshot_way snapshot_clone, snapshot_fork;

/* Plain mode. Ends the program with a message when that cannot be. */
void snapshot_init(struct snapshot *snapshot, const struct snapshot_way *way,
		   const struct table *table, int fd);
void snapshot_destroy(struct snapshot *snapshot);

/* What save() found in the snapshot itself. */
const struct summary *snapshot_summary(const struct snapshot *snapshot);

/* What is in the file; 0 or -errno. */
int snapshot_read_back(const struct snapshot *snapshot, struct summary *summary);

#endif /* SNAPSHOT_H */
