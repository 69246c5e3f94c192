/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What both stress programs have of a main() and of a round. */
#ifndef STRESS_RUN_H
#define STRESS_RUN_H

#include <argp.h>

#include "plat.h"

/* --- a program (run.c has main()) --- */

/* Options that both have; 0, or chaos -1: varies. */
struct stress_options {
	unsigned int seconds, cpus;
	u64 seed;
	int chaos;
};
extern struct stress_options options;

/* The rest is the program's. */
struct stress_program {
	const char *name, *doc;
	const struct argp_option *options;	/* besides these */
	argp_parser_t parse;			/* of them */
	void (*bits)(u64 seed);			/* first, once */
	void (*round)(u64 seed);		/* until the time is over */
	void (*describe)(void);			/* the round, for a failure */
	void (*report)(void);			/* what happened, and was it enough? */
};
extern const struct stress_program program;

unsigned int stress_number(const char *arg, unsigned int least, unsigned int most,
			   struct argp_state *state);
u32 stress_chaos(void);

/* --- a round (threads.c) --- */

struct stress_threads {
	unsigned int ms;		/* how long */
	u64 (*progress)(void);		/* changes as long as anything moves */
	unsigned int nr_cpus, nr_others;
	void *cpus;			/* argument of cpu, an array ... */
	size_t cpu_size;		/* ... of this stride */
	void *(*cpu)(void *cpu);
	void *(*other)(void *seed);
	u32 *stop_others, *stop_cpus;	/* others end first */
};

/* Ends the program when nothing moves, or a thread does not end. */
void stress_run(const struct stress_threads *threads);

/* Adds nr counters. */
void stress_add(u64 *to, const u64 *from, unsigned int nr);

#endif /* STRESS_RUN_H */
