/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The remembered set of barriers by page protection: which pages are written to,
 * and the order in which that is noted and rights change.
 *
 *	who writes: fault		the collector, per page
 *	1 give the right to write	A forget the page
 *	2 remember the page		B take the right away
 *
 * Whichever way two of these mix, a page that can be written to is remembered,
 * or a fault's step 2 is still to come, before which its thread does not stop. So
 * nothing is lost once all are stopped. With 2 before 1 it is: 2 A B 1 leaves a
 * page that can be written to and nobody knows.
 */
#ifndef REMEMBER_H
#define REMEMBER_H

#include <stddef.h>
#include <stdint.h>

#include "dune_trap.h"
#include "heap.h"

enum right { RIGHT_READ, RIGHT_WRITE };

struct remember {
	char *base;
	size_t len;
	unsigned char *written;		/* a byte a page; atomic */
	uint64_t traps;			/* atomic */
	int (*set)(char *base, size_t len, enum right right);
};

static inline DUNE_TRAP_FAST_FN int remember_has(const struct remember *r, const void *addr)
{
	return (size_t)((const char *)addr - r->base) < r->len;
}

/* A write of this page faulted. 0 or -errno. In handlers. */
static inline DUNE_TRAP_FAST_FN int remember_fault(struct remember *r, const void *addr)
{
	unsigned long page = ((const char *)addr - r->base) / PAGE;
	int err = r->set(r->base + page * PAGE, PAGE, RIGHT_WRITE);

	__atomic_store_n(&r->written[page], 1, __ATOMIC_RELEASE);
	__atomic_fetch_add(&r->traps, 1, __ATOMIC_RELAXED);
	return err;
}

int remember_start(struct remember *r, char *base, size_t len);
int remember_take(struct remember *r, uint64_t *pages);
void remember_stop(struct remember *r);

#endif /* REMEMBER_H */
