// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Guest page tables of smp/ on simulated CPUs with hostile TLBs. Rounds of a
 * second, each with its own numbers of threads, entry format and amount of
 * delays.
 */
#include <stdio.h>

#include "guest.h"
#include "../run.h"

#define ROUND_MS	1000u
#define BITS_MS		1200u

static struct {
	unsigned int threads;	/* 0: varies */
	int wild, ept;		/* -1: varies */
} only = { .wild = -1, .ept = -1 };

static const struct argp_option own_options[] = {
	{ "threads", 't', "N", 0, "threads beside them (1 to 3, varies)", 0 },
	{ "wild", 'w', "0|1", 0, "without owners (varies)", 0 },
	{ "ept", 'e', "0|1", 0, "entries of an EPT (varies)", 0 },
	{ 0 }
};

static struct round round_now;

static void describe(void)
{
	printf("in the round of seed %llu: %s, %s, %u cpus, %u threads, chaos %u\n",
	       round_now.seed, round_now.geom == &pt_x86 ? "x86" : "ept",
	       round_now.wild ? "wild" : "with owners", round_now.nr_cpus,
	       round_now.nr_threads, round_now.chaos);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case 't':
		only.threads = stress_number(arg, 1, MAX_THREADS, state);
		return 0;
	case 'w':
		only.wild = stress_number(arg, 0, 1, state);
		return 0;
	case 'e':
		only.ept = stress_number(arg, 0, 1, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void bits(u64 seed)
{
	bits_run(BITS_MS, seed);
}

static void one_round(u64 seed)
{
	struct round *round = &round_now;

	rnd_seed(seed);
	*round = (struct round){ .seed = seed, .ms = ROUND_MS };
	round->geom = rnd(6) ? &pt_x86 : &pt_ept_ad;
	if (only.ept >= 0)
		round->geom = only.ept ? &pt_ept_ad : &pt_x86;
	round->nr_cpus = options.cpus ? options.cpus : 1 + rnd(4);
	round->nr_threads = only.threads ? only.threads : 1 + rnd(3);
	round->wild = rnd(4) == 0;
	if (only.wild >= 0)
		round->wild = only.wild;
	round->chaos = stress_chaos();
	round_run(round);
}

/* A run in which something never happened has not tested it. */
static void check_coverage(void)
{
	const struct counts *c = &totals.counts;

	if (options.seconds < 8 || options.cpus || only.threads ||
	    only.wild >= 0 || only.ept >= 0)
		return;
#define X(name) \
	if (!c->name) \
		fail("\"" #name "\" has to be tested and did not happen");
	COUNTS(X)
#undef X
	if (!totals.kicked)
		fail("no CPU was kicked");
}

static void report(void)
{
	const struct counts *c = &totals.counts;

	printf("# %llu operations, %llu runs, %llu accesses, %llu walks, %llu faults, %llu kicked\n",
	       totals.ops, totals.runs, totals.accesses, totals.walks,
	       totals.faults, totals.kicked);
#define X(name) printf(" %llu " #name, c->name);
	printf("#");
	COUNTS(X)
#undef X
	printf("\n");
	check_coverage();
}

const struct stress_program program = {
	.name = "guest stress",
	.doc = "Range operations of smp/ on simulated CPUs.",
	.options = own_options, .parse = parse,
	.bits = bits, .round = one_round, .describe = describe, .report = report,
};
