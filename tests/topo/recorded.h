/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* A process on a machine of 2 packages with a node of 4 CPUs each, as it could be. */
#ifndef TESTS_TOPO_RECORDED_H
#define TESTS_TOPO_RECORDED_H

#include "summary.h"

#define TWO_NODES "pack:2 [numa(memory=1073741824)] core:2 pu:2"

/* As one line of /proc/PID/task/TID/stat. */
extern const char stat_line[];
/* As /proc/PID/numa_maps. */
extern const char numa_maps[];

/* The view of the process; recorded_free() frees it. */
void recorded_make(struct view *v);
void recorded_free(struct view *v);

#endif /* TESTS_TOPO_RECORDED_H */
