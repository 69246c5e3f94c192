/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Limits on results. Each is printed with what was measured and what plain
 * Linux took in the same run; with --check a broken one fails the program. They
 * are of instructions and events that the emulator counts; elsewhere nothing is judged.
 */
#ifndef BENCH_LIMITS_H
#define BENCH_LIMITS_H

#include "measure.h"

/* native: of the same run, for the reader; negative: there is none. */
void limit(const char *what, double measured, double most, double native);
/* What is aimed at where another limit holds until it is reached: only printed. */
void goal(const char *what, double measured, double aimed_at);
/*
 * Absolute limits are those of kernel 6.1, where plain Linux takes linux_takes
 * for the operation; on other kernels the difference is the limit.
 */
double limit_here(double most, double linux_takes, double native);
/* For operations that plain Linux does not have: 5 % more on other kernels. */
double limit_6_1(double most);
/* For what has to be exactly so. */
void limit_exact(const char *what, double measured, double want);
/* The same for an event of the operation that another limit is on. */
void limit_exact_of(const char *operation, const char *event, double measured, double want);
/* A limit that could not be judged is broken. */
void limit_unknown(const char *what, const char *why);

/* Sum of the vm's and all vCPUs' counters whose name contains part; -1: none. */
long counters_named(const struct result *r, const char *part);
/* One counter, over all vCPUs. */
long vcpus_counter(const struct result *r, enum dune_vcpu_counter i);
long vm_counter(const struct result *r, enum dune_vm_counter i);

/* The value for main() to return. */
int limits_end(void);

#endif /* BENCH_LIMITS_H */
