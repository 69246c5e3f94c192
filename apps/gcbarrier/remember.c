// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "remember.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int remember_start(struct remember *r, char *base, size_t len)
{
	int err;

	r->base = base;
	r->len = len;
	r->traps = 0;
	r->written = calloc(len / PAGE, 1);
	if (!r->written)
		return -ENOMEM;
	err = r->set(base, len, RIGHT_READ);
	if (err)
		free(r->written);
	return err;
}

static unsigned int forget(struct remember *r, unsigned long page)
{
	return __atomic_load_n(&r->written[page], __ATOMIC_RELAXED) &&
	       __atomic_exchange_n(&r->written[page], 0, __ATOMIC_ACQUIRE);
}

/* Runs of pages together: one call for each. */
int remember_take(struct remember *r, uint64_t *pages)
{
	unsigned long nr = r->len / PAGE;
	int err = 0;

	memset(pages, 0, (nr + 63) / 64 * sizeof(*pages));
	for (unsigned long i = 0, first; i < nr && !err; i++) {
		for (first = i; i < nr && forget(r, i); i++)
			pages[i / 64] |= 1ull << i % 64;
		if (i > first)
			err = r->set(r->base + first * PAGE, (i - first) * PAGE, RIGHT_READ);
	}
	return err;
}

void remember_stop(struct remember *r)
{
	r->set(r->base, r->len, RIGHT_WRITE);
	free(r->written);
}
