// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "fuzz.h"

/* splitmix64 */
uint64_t rng_next(struct rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint32_t rng_below(struct rng *r, uint32_t n)
{
	return (rng_next(r) >> 32) * n >> 32;
}

bool rng_one_in(struct rng *r, uint32_t n)
{
	return rng_below(r, n) == 0;
}

uint64_t rng_weird(struct rng *r)
{
	static const uint64_t borders[] = {
		0, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
		1ull << 47, 1ull << 48, 1ull << 63, ~0ull,
		0xffff800000000000ull, 0xffff888000000000ull,
		0xffffffff81000000ull, 0x7ffffffff000ull, 0x7fffffffffffffffull,
		ARENA, ARENA + ARENA_SIZE, ARENA + ARENA_DATA,
		ARENA + ARENA_SCRATCH, ARENA + ARENA_CODE, 1ull << 40, 1ull << 39,
	};

	switch (rng_below(r, 8)) {
	case 0: return rng_next(r);
	case 1: return (uint32_t)rng_next(r);
	case 2: return rng_below(r, 64);
	case 3: return 1ull << rng_below(r, 64);
	case 4: return (1ull << rng_below(r, 64)) - 1;
	case 5: return ARENA + rng_below(r, ARENA_SIZE);
	default:
		return borders[rng_below(r, sizeof(borders) / 8)] +
		       (rng_one_in(r, 2) ? rng_below(r, 17) - 8ull : 0);
	}
}

uint64_t case_seed(uint64_t seed, uint64_t i)
{
	struct rng r = { seed + i * 0xd1342543de82ef95ull };

	return rng_next(&r);
}

void case_make(struct fuzz_case *c, uint64_t seed, unsigned int engines)
{
	struct rng r = { seed };

	__builtin_memset(c, 0, sizeof(*c));
	if (engines == 1u << ENGINE_IOCTL ||
	    (engines != 1u << ENGINE_GUEST && rng_one_in(&r, 3))) {
		c->engine = ENGINE_IOCTL;
		ioctl_make(&c->ioctl, &r);
	} else {
		c->engine = ENGINE_GUEST;
		guest_make(&c->guest, &r);
	}
}

void source_get(const struct source *s, uint64_t i, struct fuzz_case *c)
{
	if (s->list)
		*c = s->list[i];
	else
		case_make(c, case_seed(s->seed, i), s->engines);
}
