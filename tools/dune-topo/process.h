/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Threads and memory of a process, from /proc. */
#ifndef DUNE_TOPO_PROCESS_H
#define DUNE_TOPO_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define NODE_NUMBERS	1024	/* more than Linux can have */

struct thread {
	pid_t tid;
	char name[32];
	char state;		/* as in proc(5): R runs or wants to */
	int cpu;		/* it runs there, or ran there last */
};

struct threads {
	struct thread *thread;
	unsigned int nr;
};

/* Bytes of a process by Linux' number of the node. */
struct memory {
	bool known;		/* false: this kernel has no numa_maps */
	uint64_t bytes[NODE_NUMBERS];
};

/* One line of /proc/PID/task/TID/stat. False: it is none. */
bool thread_parse(const char *line, struct thread *t);

/* The text of numa_maps, added to what m has. */
void memory_parse(FILE *numa_maps, struct memory *m);

/*
 * All threads of pid; those that end meanwhile are left out. False: with the
 * reason on stderr. threads_free() frees them.
 */
bool threads_load(pid_t pid, struct threads *threads);
void threads_free(struct threads *threads);

/* False: with the reason on stderr. */
bool memory_load(pid_t pid, struct memory *m);

#endif /* DUNE_TOPO_PROCESS_H */
