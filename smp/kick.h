/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Kick: end the guest runs of some vCPUs, because there is something that a
 * run looks at when it begins: their requests. When it is over, each of them
 * is outside, or in a run that began later and has seen it.
 *
 *   CPU, about to run a vCPU (irqs off)   sender
 *     who = the vCPU, run++                 request |= ...
 *     mode = ENTERING                       full fence              [KI-2]
 *     full fence            [KI-1]          read mode, who; ENTERING: wait
 *     read its requests                     IN_GUEST and wanted:
 *     mode = IN_GUEST, VM entry ...           -> EXITING, kick (one for all)
 *     mode = OUTSIDE (release) [SD-3]         wait until that run has ended
 *
 * Modes and kicks are those of shootdown.h: one kick ends a run for all who
 * want that. Nobody looks at a vCPU, only at what CPUs say of themselves: so a
 * vCPU may go away at any time, and an id may be anybody's or nobody's.
 */
#ifndef SMP_KICK_H
#define SMP_KICK_H

#include "shootdown.h"

/* Between a request and the look at a CPU's mode. */
static inline void kick_fence(void)
{
	/*
	 * [KI-2] The request before mode; pairs with [KI-1] in sd_enter(): else
	 * a vCPU counts as outside and enters without having seen it. Shape: SB.
	 */
	plat_full_mb();
}

/*
 * ids: bit n % 64 of word n / 64 is vCPU n, below nr_ids. What was requested
 * was written before the call. Preemption off, irqs on: it waits for other
 * CPUs' exits, not for a vCPU to stay outside. Returns the number of kicks.
 */
unsigned int kick_vcpus(struct sd_vm *vm, const u64 *ids, u32 nr_ids);

#endif /* SMP_KICK_H */
