/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * VPIDs: the tags of what a CPU has cached of the guests' own page tables.
 *
 * Each CPU gives them out by itself, one after the other, to the vCPUs that
 * come to it. A VPID stands for one stay: a vCPU that was on another CPU in
 * between gets a new one, because there it may have changed its page tables
 * and flushed only that CPU. So no move needs a flush. When a CPU has given out
 * all it has, it flushes everything once and begins a new generation; a vCPU
 * with a VPID of an older one takes a new one when it is loaded next. There is
 * no lock, nothing shared between CPUs, and always a VPID.
 */
#ifndef SCHED_HOOKS_VPID_H
#define SCHED_HOOKS_VPID_H

#include "plat.h"

#define VPID_LAST	0xffffu		/* 0 is the host's */
#define VPID_FEWEST	2u		/* a smaller pool would flush at each switch */

/* Of a CPU; touched by it alone, preemption off. */
struct vpid_pool {
	u64 generation;		/* which CPU, and how often it began anew */
	u32 next;
};

/* Of a vCPU; touched by its thread alone. Zeroed: none yet. */
struct vpid_tag {
	u64 generation;		/* that of the pool which gave vpid */
	u32 vpid;
};

/* This CPU has nothing cached under any VPID: after VMXON. cpu: its number. */
void vpid_pool_restart(struct vpid_pool *pool, u32 cpu);

/* Is it a VPID of this CPU that only this vCPU has? */
static inline bool vpid_is_current(const struct vpid_pool *pool,
				   const struct vpid_tag *tag)
{
	return tag->generation == pool->generation;
}

enum vpid_use {
	VPID_KEPT,
	VPID_TAKEN,		/* the VMCS needs the new one; nothing is cached */
	VPID_TAKEN_FLUSH,	/* the same, after a flush of all VPIDs here */
};

/* Before the vCPU enters here. limit: the last VPID to give out. */
enum vpid_use vpid_take(struct vpid_pool *pool, struct vpid_tag *tag, u32 limit);

#endif /* SCHED_HOOKS_VPID_H */
