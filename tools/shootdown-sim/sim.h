/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Discrete-event simulation of CPUs that run real code. Each has a clock in ns;
 * the one that is furthest behind runs next, so what they do to memory happens in
 * the order of time. Accesses of one line take turns. A CPU does one thing at a
 * time: no store buffer, no two misses at once.
 */
#ifndef SHOOTDOWN_SIM_H
#define SHOOTDOWN_SIM_H

#include <stdbool.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef unsigned long long u64;

#define SIM_MAX_CPUS	1024u
#define SIM_NOBODY	(~0u)

struct cost;
struct topology;

/* What happened since sim_count_reset(). */
struct sim_counts {
	u64 lines;		/* moved from one core's cache to another's */
	u64 interrupts;		/* that CPUs got */
	u64 icr_writes;		/* by which those were sent */
};

/* --- the world --- */

/* Both live as long as the simulation. */
void sim_init(const struct topology *topology, const struct cost *cost);
void sim_end(void);
const struct topology *sim_topology(void);
const struct cost *sim_cost(void);
u32 sim_nr_cpus(void);

/* Forget clocks, caches and programs. */
void sim_reset(void);
/* fn(arg) is what the CPU does from time 0 on. */
void sim_program(u32 cpu, void (*fn)(void *arg), void *arg);
/* Run until a CPU calls sim_finish(). */
void sim_run(void);

/* --- from here on by the code that runs on a simulated CPU --- */

u32 sim_self(void);
u64 sim_now(void);
void sim_spend(u64 ns);
void sim_finish(void);
/* Until all others wait in sim_guest(); the clock is then that of the last one. */
void sim_wait_for_others(void);

/* One access of the line that p is in: this spends its time. */
void sim_read(const void *p);
void sim_write(const void *p);
void sim_rmw(const void *p);
void sim_fence(void);
void sim_relax(void);

/* The interrupt reaches the CPU so many ns from now. */
void sim_interrupt(u32 cpu, u64 ns);
/* In guest: until an interrupt comes, or one that has come meanwhile. */
void sim_guest(void);

void sim_count_reset(void);
struct sim_counts *sim_count(void);

#endif /* SHOOTDOWN_SIM_H */
