/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * libdune: interrupts between the threads of a process in Dune mode. Included by
 * dune.h; docs/ipi.md tells the story.
 *
 * A thread sends a vector from 32 to 254 to a thread that has a vCPU. The handler
 * is the process's for that vector, by dune_trap_register(): it runs in Dune mode
 * on the thread it was sent to, with the registers of the interrupted code in
 * *trap and trap->vector the vector. A thread that is in the guest is interrupted
 * at once, wherever it runs; one in a system call, in a Linux signal handler or in
 * plain mode takes it when it is back in the guest.
 *
 * Exactly once: a vector is pending at a thread or it is not. A send that makes it
 * pending gives one run of the handler; a send while it is pending gives no other,
 * and says so. After each send a run of the handler begins.
 *
 * Priorities: a vector's class is vector / 16. The highest pending vector is
 * taken first. While a handler runs, pending vectors of a higher class interrupt
 * it, others wait until it has returned; that is its end of interrupt. Handlers of
 * interrupts run with interrupts on for that, unless DUNE_IPI_NESTING of them are
 * active: the last one is not interrupted. What they return counts as
 * DUNE_TRAP_RESUME.
 *
 * In ring 3 (dune_user_run()) the handler runs, then dune_user_run() returns.
 *
 * Context: any thread of a process that called dune_init(), in either mode, also
 * in handlers of traps and interrupts; not in Linux signal handlers.
 */
#ifndef DUNE_IPI_H
#define DUNE_IPI_H

#include <stdint.h>

#include "dune_trap.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A thread that has a vCPU, from its first dune_enter() to its end. No id is
 * used twice in a process, nor is one of a process valid in another one. 0 is none.
 */
typedef uint64_t dune_ipi_id;

/* Handlers that are active at a time: each is of a higher class than the one below. */
#define DUNE_IPI_NESTING	4

/* The vector was pending already; dune_ipi_send(). */
#define DUNE_IPI_COALESCED	1

/*
 * The id of the calling thread.
 *
 * Result: its id; 0: it has never been in Dune mode.
 */
dune_ipi_id dune_ipi_self(void);

/*
 * Send an interrupt to a thread, the calling one included.
 *
 * What the caller wrote before, the handler sees. The call does not wait for the
 * handler. What is pending at a thread that ends is dropped, and counted. Without a
 * handler for vector it is taken and nothing happens, which is counted as well.
 *
 * Result: 0: it is pending now, and was not before; DUNE_IPI_COALESCED: it was; or
 * a negative errno.
 *
 * -ESRCH: that thread has ended, or there never was one; -EINVAL: no such vector,
 * or no dune_init() here; -ENOMEM: in plain mode only.
 */
int dune_ipi_send(dune_ipi_id to, unsigned int vector);

/*
 * Send an interrupt to n threads, at most DUNE_MAX_VCPUS. All that have to be
 * interrupted are so with one call of the module. results, if not NULL, has for
 * each what dune_ipi_send() would have returned; it must be writable without a page
 * fault handler of the program, and to readable.
 *
 * Result: 0 or a negative errno.
 *
 * -ESRCH: at least one has ended, the others got it; -EINVAL: no such vector, n too
 * large, or no dune_init() here; -ENOMEM: in plain mode only.
 */
int dune_ipi_multicast(const dune_ipi_id *to, unsigned int n, unsigned int vector,
		       int *results);

/*
 * Turn interrupts of the calling thread off and on: the interrupt flag. While
 * they are off they stay pending; system calls keep the flag. dune_enter() turns
 * them on.
 *
 *	int on = dune_ipi_disable();
 *	...
 *	if (on > 0)
 *		dune_ipi_enable();
 *
 * A thread between dune_vm_poll_begin() and dune_vm_poll_end() is not interrupted
 * by the sender: it takes what is pending in dune_vm_poll(), or earlier if it
 * leaves the guest for another reason.
 *
 * Context: Dune mode only.
 *
 * Result: 1: they were on before; 0: they were off; or a negative errno.
 *
 * -EINVAL: not in Dune mode.
 */
int dune_ipi_disable(void);
int dune_ipi_enable(void);

/* Since the calling thread has its vCPU, dropped apart. */
struct dune_ipi_counts {
	uint64_t sent;		/* sends that made a vector pending */
	uint64_t coalesced;	/* sends that found it pending */
	uint64_t kicks;		/* threads that had to be interrupted for that */
	uint64_t notified;	/* times this thread was interrupted, or polled */
	uint64_t taken;		/* vectors it took */
	uint64_t unhandled;	/* of these, without a handler */
	uint64_t dropped;	/* pending at threads of this process that ended */
};

/*
 * What the calling thread has sent and taken so far.
 *
 * -EINVAL: the thread has never been in Dune mode.
 */
int dune_ipi_counts(struct dune_ipi_counts *counts);

#ifdef __cplusplus
}
#endif

#endif /* DUNE_IPI_H */
