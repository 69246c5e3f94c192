/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Whose caches have which line of memory, and what an access of one costs. */
#ifndef SHOOTDOWN_SIM_LINES_H
#define SHOOTDOWN_SIM_LINES_H

#include "sim.h"

enum line_access { LINE_READ, LINE_WRITE, LINE_RMW };

struct line_cost {
	u64 until;	/* when the access is over */
	u32 moved;	/* 1: the line came from another core */
};

/*
 * The CPU begins to access the line that p is in. Siblings of a core share
 * their cache. A line that nobody has accessed yet is the accessor's.
 */
struct line_cost line_use(const void *p, u32 cpu, u64 now, enum line_access how);
void lines_forget(void);

#endif /* SHOOTDOWN_SIM_LINES_H */
