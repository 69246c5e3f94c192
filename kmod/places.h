/* SPDX-License-Identifier: GPL-2.0-only */
/* DUNE_GET_PLACES: on which NUMA node each page of a vm is. */
#ifndef KMOD_PLACES_H
#define KMOD_PLACES_H

#include <uapi/dune.h>

struct dune_vm;
struct stats_vm;

#define PLACES_MAX	256u	/* a call */

/*
 * The next places from req->cursor on, at most PLACES_MAX, into out; sets nr and the
 * cursor. The vm may not end meanwhile: its user's lock is held (stats.h). May sleep.
 */
void places_collect(struct stats_vm *stats, struct dune_places *req, struct dune_place *out);

/* The same of tables alone, req->nr of them; {0, 0} begins. Any process context. */
void places_collect_tables(struct dune_vm *vm, struct dune_places *req,
			   struct dune_place *out);

#endif /* KMOD_PLACES_H */
