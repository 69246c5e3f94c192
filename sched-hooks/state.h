/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Life of a vCPU's VMCS: states, events, and the legal transitions, once. The
 * module's setter, the unit test and docs/residency.md (tools/residency-doc)
 * are made from these lists. Needs plat.h only.
 *
 * Who wants a VMCS that runs on the way back from a call (kmod/reenter.h) asks
 * its CPU like for any other; irqs are off there, so it is CLEARING, in the guest
 * or not, until the run is over.
 *
 * IN_GUEST and EXITING last for an entry each. In a release build they are not
 * stored a second time: they are LOADED and the shootdown mode of its CPU
 * (smp/shootdown.h). A build with lock debugging stores and checks them.
 */
#ifndef SCHED_HOOKS_STATE_H
#define SCHED_HOOKS_STATE_H

#include "plat.h"

/* X(state, "meaning") */
#define RESIDENCY_STATES(X)						\
	X(NEW,		"never loaded: the VMCS is memory, not cleared yet")	\
	X(IDLE,		"initialised, active on no CPU")		\
	X(LOADED,	"active on one CPU and in that CPU's list")	\
	X(IN_GUEST,	"LOADED, and its CPU runs it")			\
	X(EXITING,	"IN_GUEST, and a flusher has interrupted it")	\
	X(CLEARING,	"its CPU has been asked to clear it")		\
	X(DEAD,		"given back; nothing may happen to it any more")

/* X(event, "meaning") */
#define RESIDENCY_EVENTS(X)						\
	X(LOAD,		"its thread makes it active here, VMPTRLD")	\
	X(ENTER,	"VM entry")					\
	X(KICK,		"a flusher saw it in guest mode")		\
	X(EXIT,		"VM exit")					\
	X(SCHED_OUT,	"its thread leaves the CPU, inside DUNE_RUN")	\
	X(SCHED_IN,	"its thread is back on a CPU")			\
	X(MIGRATE,	"wanted on another CPU, or nowhere: its CPU is asked")	\
	X(CLEAR,	"VMCLEAR on its CPU, because it was asked")	\
	X(CPU_OFFLINE,	"VMCLEAR because its CPU leaves VMX operation")	\
	X(RETIRE,	"its thread or its fd is gone")

/* X(state, event, next state): what may happen. All else is a bug. */
#define RESIDENCY_TRANSITIONS(X)					\
	X(NEW,		LOAD,		LOADED)				\
	X(NEW,		SCHED_OUT,	NEW)				\
	X(NEW,		SCHED_IN,	NEW)				\
	X(NEW,		RETIRE,		DEAD)				\
	X(IDLE,		LOAD,		LOADED)				\
	X(IDLE,		SCHED_OUT,	IDLE)				\
	X(IDLE,		SCHED_IN,	IDLE)				\
	X(IDLE,		MIGRATE,	IDLE)				\
	X(IDLE,		RETIRE,		DEAD)				\
	X(LOADED,	ENTER,		IN_GUEST)			\
	X(LOADED,	SCHED_OUT,	LOADED)				\
	X(LOADED,	SCHED_IN,	LOADED)				\
	X(LOADED,	MIGRATE,	CLEARING)			\
	X(LOADED,	CPU_OFFLINE,	IDLE)				\
	X(IN_GUEST,	KICK,		EXITING)			\
	X(IN_GUEST,	EXIT,		LOADED)				\
	X(IN_GUEST,	MIGRATE,	CLEARING)			\
	X(EXITING,	EXIT,		LOADED)				\
	X(EXITING,	MIGRATE,	CLEARING)			\
	X(CLEARING,	ENTER,		CLEARING)			\
	X(CLEARING,	KICK,		CLEARING)			\
	X(CLEARING,	EXIT,		CLEARING)			\
	X(CLEARING,	CLEAR,		IDLE)				\
	X(CLEARING,	CPU_OFFLINE,	IDLE)

#define RESIDENCY_STATE_ENUM(name, text)	RESIDENCY_##name,
enum residency_state {
	RESIDENCY_STATES(RESIDENCY_STATE_ENUM)
	RESIDENCY_NR_STATES
};
#undef RESIDENCY_STATE_ENUM

#define RESIDENCY_EVENT_ENUM(name, text)	RESIDENCY_EV_##name,
enum residency_event {
	RESIDENCY_EVENTS(RESIDENCY_EVENT_ENUM)
	RESIDENCY_NR_EVENTS
};
#undef RESIDENCY_EVENT_ENUM

#define RESIDENCY_ILLEGAL	(-1)

/* The state after event in state, or RESIDENCY_ILLEGAL. */
static inline int residency_next(u32 state, enum residency_event event)
{
#define RESIDENCY_ENTRY(from, ev, to) \
	[RESIDENCY_##from][RESIDENCY_EV_##ev] = 1 + RESIDENCY_##to,
	static const signed char next[RESIDENCY_NR_STATES][RESIDENCY_NR_EVENTS] = {
		RESIDENCY_TRANSITIONS(RESIDENCY_ENTRY)
	};
#undef RESIDENCY_ENTRY

	if (state >= RESIDENCY_NR_STATES)
		return RESIDENCY_ILLEGAL;
	return next[state][event] - 1;
}

enum residency_verdict { RESIDENCY_DONE, RESIDENCY_REFUSED };

/*
 * The setter. Its thread and the CPU that goes offline may be in it at once:
 * by cas, so that neither overwrites what the other did. An illegal event
 * changes nothing and warns once.
 */
static inline enum residency_verdict
residency_step(u32 *state, enum residency_event event)
{
	u32 old = plat_load(state);
	int new;

	do {
		new = residency_next(old, event);
		if (new == RESIDENCY_ILLEGAL) {
			plat_warn_once("residency: illegal transition");
			return RESIDENCY_REFUSED;
		}
	} while (!plat_cas32(state, &old, new));
	return RESIDENCY_DONE;
}

#endif /* SCHED_HOOKS_STATE_H */
