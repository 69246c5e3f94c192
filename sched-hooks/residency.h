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
 *
 * States and legal transitions are in state.h, why it is so in
 * docs/residency.md.
 */
#ifndef SCHED_HOOKS_RESIDENCY_H
#define SCHED_HOOKS_RESIDENCY_H

#include "compat.h"
#include "shootdown.h"
#include "state.h"
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

/*
 * Clear v wherever it is and never load it again. Process context; its owner
 * is not in DUNE_RUN. A run on the way back from a call (kmod/reenter.h) may be
 * going on: this waits for its end. Refused: it is in use, and may not be freed.
 */
enum residency_verdict residency_retire(struct vmx_vcpu *v);

/* Clear v, which is loaded here; residency_load() is next. Preemption off, irqs on. */
enum residency_verdict residency_unload(struct vmx_vcpu *v);

/* Clear everything active on this CPU; irqs off or hotplug context. */
void residency_clear_cpu(void);

/* The same at a crash, in any context; the list stays as it is. */
void residency_emergency_clear_cpu(void);

void residency_setup(void);

/* Active on this CPU? A hint, unless preemption is off. */
static inline bool residency_is_here(const struct vmx_vcpu *v)
{
	return READ_ONCE(v->cpu) == raw_smp_processor_id();
}

/* For events that store nothing in a release build. */
static inline void residency_check(struct vmx_vcpu *v, enum residency_event event)
{
	if (DUNE_CHECKED)
		residency_step(&v->state, event);
}

/* Around a run, irqs off; v is loaded here. */
static inline void residency_enter(struct vmx_vcpu *v)
{
	v->host_stale = true;
	if (DUNE_CHECKED && !residency_is_here(v))
		plat_warn_once("residency: entry on another CPU");
	residency_check(v, RESIDENCY_EV_ENTER);
}

static inline void residency_leave(struct vmx_vcpu *v, enum sd_end end)
{
	if (end == SD_END_KICKED)
		residency_check(v, RESIDENCY_EV_KICK);
	residency_check(v, RESIDENCY_EV_EXIT);
}

#endif /* SCHED_HOOKS_RESIDENCY_H */
