/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The drawing as boxes: a package a row, its nodes side by side, their CPUs inside. */
#ifndef DUNE_TOPO_LAYOUT_H
#define DUNE_TOPO_LAYOUT_H

#include <stdbool.h>

#include "summary.h"

enum box_kind {
	BOX_PACKAGE,
	BOX_NODE,
	BOX_CPU,		/* without threads */
	BOX_BUSY_CPU,		/* threads are there */
	BOX_TEXT,		/* no frame */
	BOX_SHARE,		/* a bar; filled so far as share tells */
};

struct box {
	enum box_kind kind;
	double x, y, width, height;	/* points, from the upper left corner */
	double share;			/* BOX_SHARE: 0 to 1 */
	char text[96];			/* "": none */
};

struct layout {
	struct box *boxes;	/* inner ones after those around them */
	unsigned int nr, room;
	double width, height;
};

/* False: no memory. s is not read when v has no process. */
bool layout_make(const struct view *v, const struct summary *s, struct layout *l);
void layout_free(struct layout *l);

#endif /* DUNE_TOPO_LAYOUT_H */
