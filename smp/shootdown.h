/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * EPT TLB shootdown: when shootdown_run() returns, no CPU can use a
 * translation that was removed before the call.
 *
 * vCPU (irqs off)                    flusher
 *   mode = IN_GUEST                    entries = 0
 *   full fence            [SD-1]       gen++
 *   read gen; behind: INVEPT           full fence               [SD-2]
 *   VM entry ... VM exit               read mode; IN_GUEST: -> EXITING, kick
 *   mode = OUTSIDE (release) [SD-3]    wait until it left (acquire) [SD-4]
 *
 * Either the vCPU sees the new generation or the flusher sees IN_GUEST. A
 * vCPU outside the guest gets no interrupt: the generation catches it. "seen"
 * belongs to (vm, physical CPU), because cached translations do.
 */
#ifndef SMP_SHOOTDOWN_H
#define SMP_SHOOTDOWN_H

#include "plat.h"

struct gather;

enum sd_mode { SD_OUTSIDE, SD_IN_GUEST, SD_EXITING };

/* One line per vCPU; flushers read it, the owner writes it. */
struct sd_vcpu {
	u32 mode;	/* enum sd_mode */
	s32 cpu;	/* where it is loaded; valid while mode != OUTSIDE */
	u64 kicked;	/* flushers' kicks that ended a guest run */
} __attribute__((aligned(64)));

struct sd_vm {
	u64 gen;	/* bumped by each flush; never wraps (64 bits) */
	u64 flushes;
	u64 kicks;
};

void sd_vm_init(struct sd_vm *vm);
void sd_vcpu_init(struct sd_vcpu *vcpu);

/*
 * About to enter the guest on cpu; irqs off. Returns the generation that a
 * flush now would bring this CPU to, or 0 when *seen is up to date. When it is
 * not 0 the caller flushes this CPU by EPT root, then calls sd_flushed().
 */
u64 sd_enter(const struct sd_vm *vm, struct sd_vcpu *vcpu, s32 cpu,
	     const u64 *seen);
void sd_flushed(u64 *seen, u64 gen);
/* Left the guest, or did not enter after sd_enter(). irqs off. */
void sd_exit(struct sd_vcpu *vcpu);

/*
 * The flusher's view of the vm's vCPUs: next() iterates them (NULL: end; the
 * caller keeps them alive, e.g. RCU); kick() makes every CPU in the set that
 * add_cpu() built leave the guest and returns when it has.
 */
struct sd_targets {
	struct sd_vcpu *(*next)(struct sd_targets *t, struct sd_vcpu *prev);
	void (*add_cpu)(struct sd_targets *t, s32 cpu);
	void (*kick)(struct sd_targets *t);
};

/*
 * Preemption must be off from before the caller's first add_cpu to the end.
 * Does nothing when the gather holds nothing. Returns the number of kicks.
 */
unsigned int shootdown_run(struct sd_vm *vm, struct sd_targets *t,
			   struct gather *gather);

#endif /* SMP_SHOOTDOWN_H */
