/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * When the CPUs are in VMX operation: while at least one vm exists, on every
 * online CPU, through hotplug, suspend, reboot and crash.
 */
#ifndef SCHED_HOOKS_POWER_H
#define SCHED_HOOKS_POWER_H

#include <linux/types.h>

/* Module init/exit; process context. */
int power_setup(void);
void power_teardown(void);

/*
 * A vm comes or goes; may sleep. power_get(): 0, -EBUSY when another
 * hypervisor holds VMX (said in the log), or another errno; nothing changed.
 */
int power_get(void);
void power_put(void);

/*
 * The machine goes down (vmx_shut_down) and a guest's registers are in a VMCS
 * that nobody can read any more, so its thread cannot go on, not even outside
 * Dune mode. It stays here until it is killed or the machine is gone.
 */
int power_stay_down(void);

/* Is this CPU in VMX operation by us? Preemption off. */
bool power_on_here(void);

enum power_state {
	POWER_ON,
	POWER_GOING,	/* off because the CPU goes offline: threads are moved */
	POWER_LOST,	/* off for good: it did not come back after a suspend */
};
enum power_state power_state_here(void);

#endif /* SCHED_HOOKS_POWER_H */
