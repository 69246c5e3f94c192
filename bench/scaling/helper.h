/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The other threads of the process: what they do while one operation is
 * measured. Each is pinned, and known to be where it should be before
 * helpers_start() and helpers_settle() return.
 */
#ifndef BENCH_HELPER_H
#define BENCH_HELPER_H

#include "common.h"
#include "dune_ipi.h"

enum helper_kind {
	HELPER_SPIN,		/* computes, makes no system call */
	HELPER_BLOCK,		/* sleeps in read() of a pipe */
	HELPER_POLL,		/* DUNE mode: looks for flushes, dune_vm_poll() */
};

#define MAX_HELPERS 15

/* What the others do, as a scenario of the table. */
struct crowd {
	const char *name;
	enum helper_kind kind;
	int nr;
	int first_cpu;		/* place; helpers go round first_cpu..last place */
	int nr_cpus;		/* on so many CPUs */
};

/*
 * What helpers that are started from now on read all the time, or before they
 * sleep; NULL: nothing.
 */
void helpers_read(const volatile char *memory);
/* In DUNE mode they do it in Dune mode. */
void helpers_start(const struct crowd *crowd, enum mode mode);
/* Of those that were started: thread id; in DUNE mode, where interrupts go. */
int helper_tid(int i);
dune_ipi_id helper_ipi_id(int i);
/* Until each spinner is seen to run since the call. Any mode. */
void helpers_settle(void);
void helpers_stop(void);

#endif /* BENCH_HELPER_H */
