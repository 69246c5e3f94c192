/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* A layout as a file. */
#ifndef DUNE_TOPO_PAINT_H
#define DUNE_TOPO_PAINT_H

#include "layout.h"

/* False: with the reason on stderr. */
bool paint_svg(const struct layout *l, const char *file);
bool paint_png(const struct layout *l, const char *file);

#endif /* DUNE_TOPO_PAINT_H */
