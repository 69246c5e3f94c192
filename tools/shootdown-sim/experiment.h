/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* One point: a topology, a policy, a number of targets; many random sets of them. */
#ifndef SHOOTDOWN_SIM_EXPERIMENT_H
#define SHOOTDOWN_SIM_EXPERIMENT_H

#include "kick.h"

struct point {
	enum policy policy;
	unsigned int from;	/* of leaders */
	u32 targets;		/* CPUs in guest, all but the initiator at most */
	u32 trials;
	u64 seed;
};

/* Of one shootdown each; medians but for p99. */
struct result {
	struct point point;
	u64 median_ns, p99_ns;	/* shootdown_run(), for its caller */
	u64 lines, interrupts, icr_writes;
};

/*
 * After sim_init(). The same seed chooses the same initiators and targets, in
 * whatever policy.
 */
struct result experiment_run(const struct point *point);

#endif /* SHOOTDOWN_SIM_EXPERIMENT_H */
