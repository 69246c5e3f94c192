// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See vpid.h. */
#include "vpid.h"

/* Room below it for 2^40 generations of 2^16 loads each: it never wraps. */
#define VPID_CPU_SHIFT	40

void vpid_pool_restart(struct vpid_pool *pool, u32 cpu)
{
	/* No tag has generation 0, none of one CPU is that of another. */
	if (!pool->generation)
		pool->generation = ((u64)cpu + 1) << VPID_CPU_SHIFT;
	pool->generation++;
	pool->next = 1;
}

enum vpid_use vpid_take(struct vpid_pool *pool, struct vpid_tag *tag, u32 limit)
{
	enum vpid_use use = VPID_TAKEN;

	if (vpid_is_current(pool, tag))
		return VPID_KEPT;
	if (pool->next > limit) {
		pool->generation++;
		pool->next = 1;
		use = VPID_TAKEN_FLUSH;
	}
	tag->vpid = pool->next++;
	tag->generation = pool->generation;
	return use;
}
