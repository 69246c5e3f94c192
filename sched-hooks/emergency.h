/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VMX off at a crash, on every CPU, before another kernel starts: in VMX
 * operation a CPU ignores INIT, so it would never come up again.
 */
#ifndef SCHED_HOOKS_EMERGENCY_H
#define SCHED_HOOKS_EMERGENCY_H

/*
 * Module init/exit; process context. off is called on each CPU, at most a few
 * times, in any context (NMI too), whatever code it interrupted.
 */
int emergency_setup(void (*off)(void));
void emergency_teardown(void);

/* The CPUs are about to enter VMX operation; have left it. May sleep. */
void emergency_arm(void);
void emergency_disarm(void);

#endif /* SCHED_HOOKS_EMERGENCY_H */
