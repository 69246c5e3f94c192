/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Random numbers that are the same in every run with the same seed. */
#ifndef RAND_H
#define RAND_H

#include <stdint.h>

static inline uint64_t mix(uint64_t x)
{
	x ^= x >> 31;
	x *= 0x9e3779b97f4a7c15ull;
	x ^= x >> 29;
	x *= 0xd1342543de82ef95ull;
	return x ^ x >> 32;
}

/* Below limit. */
static inline uint32_t rand_below(uint64_t *state, uint32_t limit)
{
	*state += 0x9e3779b97f4a7c15ull;
	return (uint64_t)(uint32_t)mix(*state) * limit >> 32;
}

#endif /* RAND_H */
