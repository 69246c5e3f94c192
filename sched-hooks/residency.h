/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where a VMCS is loaded. A VMCS is active on at most one CPU; each CPU keeps
 * a list of those active on it, so that it can clear them when it goes away.
 *
 *   moving a VMCS from CPU a to CPU b
 *   a (its IPI handler, or itself)       b (irqs off)
 *     VMCLEAR, list_del
 *     write fence            [RES-1]
 *     cpu = VMX_NO_CPU                     read cpu
 *                                          read fence             [RES-2]
 *                                          list_add, VMPTRLD
 */
#ifndef SCHED_HOOKS_RESIDENCY_H
#define SCHED_HOOKS_RESIDENCY_H

#include "vmx.h"

enum residency_change {
	RESIDENCY_NONE,		/* this CPU is leaving VMX: loaded nowhere new */
	RESIDENCY_SAME,		/* was here already */
	RESIDENCY_FIRST,	/* loaded nowhere before */
	RESIDENCY_MOVED,	/* came from another CPU (it may be offline now) */
};

/*
 * Make v current on this CPU. Preemption off, irqs on (may wait for the old
 * CPU's IPI). Owner thread only. After RESIDENCY_FIRST the fields are to be
 * initialised if the VMCS is new.
 */
enum residency_change residency_load(struct vmx_vcpu *v);

/* Clear v wherever it is. Process context; its owner does not run it. */
void residency_clear(struct vmx_vcpu *v);

/* Clear everything active on this CPU; irqs off or hotplug context. */
void residency_clear_cpu(void);

/* The same at a crash, in any context; the list stays as it is. */
void residency_emergency_clear_cpu(void);

void residency_setup(void);

#endif /* SCHED_HOOKS_RESIDENCY_H */
