/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The same as one JSON object. */
#ifndef DUNE_TOPO_JSON_H
#define DUNE_TOPO_JSON_H

#include <stdio.h>

#include "summary.h"

/* Whether each table is in it: a large process has hundreds of thousands. */
enum json_tables { JSON_COUNTS, JSON_EACH_TABLE };

/* s is not read when v has no process. */
void json_print(FILE *out, const struct view *v, const struct summary *s,
		enum json_tables tables);

#endif /* DUNE_TOPO_JSON_H */
