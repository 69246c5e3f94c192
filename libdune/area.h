/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Threads' areas; plain code, asm.h has their layout. */
#ifndef DUNE_AREA_H
#define DUNE_AREA_H

#include "internal.h"

#pragma GCC visibility push(hidden)

/* Zeroed but for what is area.c's; its stacks may be dirty. NULL: errno, ENOSPC: too many */
struct dune_thread *area_get(void);
void area_put(struct dune_thread *t);
/* In a forked child, under dune_lock(): unmaps all of the parent's. */
void area_forget(void);

#pragma GCC visibility pop

#endif /* DUNE_AREA_H */
