/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The guest page table, by hand: rights of one 1 GiB region of the calling
 * thread's active table. For tests that need page faults of the guest's own.
 */
#ifndef TESTS_GUESTPT_H
#define TESTS_GUESTPT_H

#include <stdint.h>

#define GUESTPT_P	(1ull << 0)
#define GUESTPT_W	(1ull << 1)
#define GUESTPT_U	(1ull << 2)
#define GUESTPT_NX	(1ull << 63)

/* Once, in plain mode, after dune_init(). */
void guestpt_init(void);
/*
 * In Dune mode, memory there was touched in Dune mode: clear and set these bits.
 * This CPU forgets the old entry; other threads' CPUs may not.
 */
void guestpt_change(const void *addr, uint64_t clear, uint64_t set);
/* size bytes of 1 GiB aligned memory, a multiple of it; none of it is there yet. */
void *guestpt_regions(unsigned int nr);

#endif /* TESTS_GUESTPT_H */
