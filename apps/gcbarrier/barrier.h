/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The write barrier: which pages of the heap were written to. Three ways, one
 * contract, so the collector does not know which one it has.
 */
#ifndef BARRIER_H
#define BARRIER_H

#include <stddef.h>
#include <stdint.h>

struct barrier {
	const char *name;
	/* Watch [base, base + len); 0 or -errno. Plain mode. */
	int (*start)(char *base, size_t len);
	/*
	 * Set bit i of pages, if page i was written to since the last call, and
	 * clear the others. What is written after the return, the next call
	 * tells. Mutators may run. 0 or -errno.
	 */
	int (*take)(uint64_t *pages);
	/* Nobody writes any more. Plain mode. */
	void (*stop)(void);
	/* Faults that the barrier took. */
	uint64_t (*traps)(void);
};

/* In Dune mode: #PF handler and dune_vm_protect(); dirty bits of dune_vm_scan(). */
extern const struct barrier barrier_fault, barrier_dirty;
/* In Linux: SIGSEGV handler and mprotect(). */
extern const struct barrier barrier_mprotect;

#endif /* BARRIER_H */
