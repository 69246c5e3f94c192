/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * How often a CPU went from one thread to another, as Linux' scheduler counts it
 * always: asking a tracer or perf would make every switch dearer.
 */
#ifndef BENCH_SWITCHES_H
#define BENCH_SWITCHES_H

#include <stdint.h>

/*
 * On the caller's CPU, to whichever thread of the machine but the idle one. In any
 * mode, by system calls. Needs CONFIG_SCHEDSTATS, which Debian's kernels have.
 */
uint64_t switches_here(void);

#endif /* BENCH_SWITCHES_H */
