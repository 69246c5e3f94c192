/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The machine's nodes as smp/fanout.h wants them, kept up to date by CPU hotplug,
 * and the kick by leaders that goes by them. A node is what Linux calls one, or a
 * package where Linux knows of one node only.
 */
#ifndef KMOD_TOPOLOGY_H
#define KMOD_TOPOLOGY_H

#include "plat.h"

#include "vm.h"

/* Module init and exit; process context. */
int topology_setup(void);
void topology_teardown(void);

/*
 * So many targets and more are kicked by leaders. Above any number of CPUs on a
 * machine of one node, and where the parameter says never.
 */
extern unsigned int fanout_from;

/*
 * Interrupt the CPUs of the mask by leaders, as plat_kick() does. False, and
 * nothing was sent: this CPU has no plan, for want of memory.
 */
bool topology_kick(const struct cpumask *mask);

/* What topology_kick() sent on this CPU since preemption is off, into the vm's counters. */
void topology_count(struct dune_vm *vm);

/* Kicks of the vm's CPUs, since preemption is off: the leaders' share of them. */
static inline void count_leaders(struct dune_vm *vm, unsigned int kicks)
{
	if (unlikely(kicks >= READ_ONCE(fanout_from)))
		topology_count(vm);
}

#endif /* KMOD_TOPOLOGY_H */
