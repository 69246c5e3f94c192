/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Interrupting many CPUs of several nodes: the initiator calls one leader of
 * each other node, and the leaders interrupt the rest of theirs, next to them.
 *
 *   initiator (preemption off, irqs on)    leader (interrupt: fanout_forward())
 *     others = its node's targets but it     read others
 *     awaited = number of leaders            interrupt them
 *     call the leaders, farthest first       awaited-- (release)     [FO-1]
 *     interrupt the near ones
 *     wait: awaited == 0 (acquire)  [FO-2]
 *     wait for the targets' modes (shootdown.c, kick.c)
 *
 * Nobody is lost. A leader is one of the targets, so it is online as long as the
 * initiator has preemption off. What it does is the function of an interrupt: it
 * runs whether or not the leader has left the guest meanwhile, and as soon as its
 * CPU takes interrupts. The list is the initiator's, of the moment when it made
 * the targets EXITING; a leader decides nothing. The initiator waits until
 * all of them have forwarded: its lists are used again by its next kick. That says
 * nothing of the targets: only their modes say that they have left.
 *
 * A leader that the initiator waits for may itself be waiting for others: it does
 * so with interrupts on.
 *
 * Farthest first: calls are sent one after the other, and what follows a call
 * takes longer the farther it goes. The last one is over earliest when the longest
 * tails begin first.
 */
#ifndef SMP_FANOUT_H
#define SMP_FANOUT_H

#include "plat.h"

#define FANOUT_MAX_NODES	64u

/*
 * Of the machine. A node is any group of CPUs whose lines and interrupts are
 * cheap among themselves. Which CPU counts to which decides what is fast, never
 * what is right: node_of may change at any time.
 */
struct fanout_topology {
	u32 nr_nodes;		/* constant, 1 to FANOUT_MAX_NODES */
	u32 *node_of;		/* by CPU; below nr_nodes */
	/* Of each node: all others, farthest first; constant. */
	u8 order[FANOUT_MAX_NODES][FANOUT_MAX_NODES];
};

struct fanout_plan;

/* What goes to one node. */
struct fanout_leg {
	plat_call_t call;		/* the leader's from the call until it runs */
	plat_cpumask_t *others;		/* the leader's until it has forwarded */
	struct fanout_plan *plan;	/* constant */
	u32 nr, leader;			/* the initiator's */
};

/* How many interrupts went which way. */
struct fanout_sent {
	u32 leaders;		/* CPUs that were called to forward */
	u32 forwarded;		/* interrupts left to them */
};

/* Of one initiating CPU, with all it needs: a kick allocates nothing. */
struct fanout_plan {
	u64 awaited;			/* leaders that have not forwarded yet */
	plat_cpumask_t *direct;		/* those that the initiator interrupts */
	struct fanout_leg leg[];	/* by node */
};

/* Bytes of a plan for so many nodes, its masks included. */
size_t fanout_plan_bytes(u32 nr_nodes);
/* plan: zeroed memory of that size, aligned as the platform's calls need it. */
void fanout_plan_init(struct fanout_plan *plan, u32 nr_nodes);

/*
 * distance(from, to): any scale, larger is farther, below 256. Fills order; nr_nodes is
 * set, nobody uses it yet.
 */
void fanout_topology_sort(struct fanout_topology *topo,
			  u32 (*distance)(u32 from, u32 to));

/*
 * Interrupt every CPU of the mask; self, which is not in it, does so. On return
 * each interrupt has been sent; the caller waits for what it wants of them. The
 * plan is self's own. Preemption off, irqs on. No memory, no lock.
 */
struct fanout_sent fanout_kick(const struct fanout_topology *topo,
			       struct fanout_plan *plan, unsigned int self,
			       const plat_cpumask_t *mask);

#endif /* SMP_FANOUT_H */
