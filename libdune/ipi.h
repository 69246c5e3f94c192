/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Interrupts between threads: what its files share. A thread's id is the number
 * of its birth and the id of its vCPU, ipi_threads[] says whether it is alive.
 */
#ifndef DUNE_IPI_INTERNAL_H
#define DUNE_IPI_INTERNAL_H

#pragma GCC visibility push(default)
#include "dune_ipi.h"
#pragma GCC visibility pop

#include "ipi_service.h"

#include "uapi/dune.h"

struct dune_thread;

/* Of a thread; it alone writes it. */
struct ipi_thread {
	dune_ipi_id self;
	struct ipi_service service;
	struct dune_ipi_counts counts;
};

#pragma GCC visibility push(hidden)

/* By id of the vCPU; 0: no thread. */
extern dune_ipi_id ipi_threads[DUNE_MAX_VCPUS];

/* ipi_thread.c: the thread has its vCPU, and others may find it; plain mode */
void dune_ipi_thread_begins(struct dune_thread *t);
/* From here on it gets none. Before vcpu_end(). */
void dune_ipi_thread_ends(struct dune_thread *t);
/* It is about to enter; whatever handlers were active will not go on. */
void dune_ipi_thread_enters(struct dune_thread *t);
/* In a forked child. */
void dune_ipi_forget(void);

/* ipi.c: the handler of DUNE_VECTOR_IPI */
enum dune_trap_action dune_ipi_notify(struct dune_trap *trap, void *arg);

#pragma GCC visibility pop

static inline uint32_t ipi_vcpu(dune_ipi_id id)
{
	return (uint32_t)id;
}

#endif /* DUNE_IPI_INTERNAL_H */
