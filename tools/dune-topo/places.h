/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The pages that Dune needs for a process, as the module tells. */
#ifndef DUNE_TOPO_PLACES_H
#define DUNE_TOPO_PLACES_H

#include <stdbool.h>
#include <sys/types.h>

#include "uapi/dune.h"

struct places {
	struct dune_place *place;
	unsigned int nr;
};

/*
 * Asks the module for one page after the other, while the process goes on:
 * what changes meanwhile is there, or not. False: with the reason, and what to
 * do, on stderr. places_free() frees them.
 */
bool places_load(pid_t pid, struct places *places);
void places_free(struct places *places);

/* What to do about an errno of opening /dev/dune, and of DUNE_STAT_OPEN. */
const char *places_open_advice(int err);
const char *places_process_advice(int err);

#endif /* DUNE_TOPO_PLACES_H */
