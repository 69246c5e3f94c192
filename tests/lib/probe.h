/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Accesses in Dune mode that may fault: the handler of page faults that
 * probe_start() registers ends them with the error code. Other faults become
 * signals, as without it.
 */
#ifndef TESTS_PROBE_H
#define TESTS_PROBE_H

#include <stdint.h>

#define PROBE_OK	(-1)

/* Registers the handler of #PF, for the process. */
void probe_start(void);

/* PROBE_OK, or the error code of the page fault: DUNE_PF_... */
int probe_read(const volatile void *p, uint64_t *value);
int probe_write(volatile void *p, uint64_t value);
int probe_call(void *fn);	/* a function without arguments */

/* Page faults of probes on this thread so far. */
uint64_t probe_faults(void);
/* Where the last one was. */
uint64_t probe_fault_addr(void);

#endif /* TESTS_PROBE_H */
