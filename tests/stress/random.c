// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Random numbers of a thread. */
#include "random.h"

static _Thread_local u64 random_state = 1;

u64 rnd(u64 limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 11) % limit;
}

void rnd_seed(u64 seed)
{
	random_state = seed * 0x9e3779b97f4a7c15ull | 1;
}
