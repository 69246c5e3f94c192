/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Rights of one 1 GiB region of the calling thread's active root. For tests that
 * need page faults of the guest's own.
 */
#ifndef TESTS_GUESTPT_H
#define TESTS_GUESTPT_H

#include <stdint.h>

#define GUESTPT_W	(1ull << 1)
#define GUESTPT_U	(1ull << 2)

/* In Dune mode: clear and set these bits; no thread uses what was cleared. */
void guestpt_change(const void *addr, uint64_t clear, uint64_t set);
/* size bytes of 1 GiB aligned memory, a multiple of it; none of it is there yet. */
void *guestpt_regions(unsigned int nr);

#endif /* TESTS_GUESTPT_H */
