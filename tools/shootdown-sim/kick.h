/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * How the simulated kernel interrupts: the verbs of plat.h that fanout.c and
 * shootdown.c use, and Linux' own calls.
 */
#ifndef SHOOTDOWN_SIM_KICK_H
#define SHOOTDOWN_SIM_KICK_H

#include "fanout.h"

enum policy {
	POLICY_FLAT,		/* smp_call_function_many(): in the order of CPUs */
	POLICY_FAR_FIRST,	/* the same, farthest CPUs first */
	POLICY_NEAR_FIRST,	/* the same, nearest first */
	POLICY_DIRECT,		/* interrupts to all, and no calls */
	POLICY_LEADERS,		/* fanout.c */
	NR_POLICIES
};

extern const char *const policy_names[NR_POLICIES];

/*
 * What the next kicks do; of leaders, from so many targets on. Before the
 * simulation's programs; kick_end() frees.
 */
void kick_begin(enum policy policy, unsigned int from);
void kick_end(void);

/* On the CPU that was interrupted: the calls in its queue. */
void kick_handler(void);

#endif /* SHOOTDOWN_SIM_KICK_H */
