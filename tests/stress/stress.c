// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The core of smp/ on simulated CPUs with hostile TLBs. Rounds of a second,
 * each with its own numbers of threads, entry format and amount of delays.
 */
#include <stdio.h>
#include <string.h>

#include "run.h"
#include "stress.h"

#define ROUND_MS	1000u
#define BITS_MS		600u
#define FAN_MS		1500u

static struct {
	unsigned int mm, nodes;
	const char *format;
} only;			/* 0: varies */

static const struct argp_option own_options[] = {
	{ "mm-threads", 'm', "N", 0, "threads of the mm (1 to 4, varies)", 0 },
	{ "nodes", 'n', "N", 0, "NUMA nodes, with a table each (1 to 4, varies)", 0 },
	{ "format", 'f', "NAME", 0, "ad, plain or x86 (varies)", 0 },
	{ 0 }
};

static struct round round_now;

static const char *format_name(const struct pt_geometry *geom)
{
	return geom == &pt_x86 ? "x86" : geom == &pt_ept_ad ? "ad" : "plain";
}

static void describe(void)
{
	printf("in the round of seed %llu: %s, %u cpus of %u nodes, %u vcpus, %u mm threads, chaos %u\n",
	       round_now.seed, format_name(round_now.geom), round_now.nr_cpus,
	       round_now.nr_nodes,
	       round_now.nr_vcpus, round_now.nr_mm, round_now.chaos);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case 'm':
		only.mm = stress_number(arg, 1, 4, state);
		return 0;
	case 'n':
		only.nodes = stress_number(arg, 1, MAX_NODES, state);
		return 0;
	case 'f':
		only.format = arg;
		if (strcmp(arg, "ad") && strcmp(arg, "plain") && strcmp(arg, "x86"))
			argp_error(state, "no such format: %s", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct pt_geometry *random_format(void)
{
	unsigned int kind = rnd(8);

	if (only.format)
		kind = only.format[0] == 'p' ? 5 :
		       only.format[0] == 'x' ? 6 : 0;
	return kind < 5 ? &pt_ept_ad : kind == 5 ? &pt_ept_plain : &pt_x86;
}

/* One table in every other round. */
static unsigned int random_nodes(u64 seed)
{
	if (only.nodes)
		return only.nodes;
	return seed % 2 ? 1 : 2 + rnd(MAX_NODES - 1);
}

static void bits(u64 seed)
{
	bits_run(BITS_MS, seed);
	fan_run(FAN_MS, seed);
}

static void one_round(u64 seed)
{
	struct round *round = &round_now;

	rnd_seed(seed);
	*round = (struct round){ .seed = seed, .ms = ROUND_MS };
	round->geom = random_format();
	round->nr_cpus = options.cpus ? options.cpus : 1 + rnd(4);
	round->nr_nodes = random_nodes(seed);
	round->nr_vcpus = round->nr_cpus + rnd(3);
	round->nr_mm = only.mm ? only.mm : 1 + rnd(3);
	round->chaos = stress_chaos();
	round_run(round);
}

/* A run in which something never happened has not tested it. */
static void check_coverage(void)
{
	const struct counts *c = &totals.counts;

	if (options.seconds < 8 || options.cpus || only.mm || only.format ||
	    only.nodes)
		return;
	if (!c->upgraded || !c->spurious || !c->stale || !c->conflicts ||
	    !c->flushes || !c->deferred || !c->kicks || !c->settled ||
	    !c->raced || !totals.kicked || !totals.moved || !c->leaders ||
	    !c->forwarded)
		fail("something that has to be tested did not happen");
}

static void report(void)
{
	const struct counts *c = &totals.counts;

	printf("# %llu operations, %llu runs, %llu accesses, %llu walks, %llu violations\n",
	       totals.ops, totals.runs, totals.accesses, totals.walks,
	       totals.violations);
	printf("# leaves: %llu installed, %llu upgraded, %llu spurious, %llu removed; %llu stale, %llu conflicts, %llu restarts, %llu contended\n",
	       c->installed, c->upgraded, c->spurious, c->removed, c->stale,
	       c->conflicts, c->restarts, c->contended);
	printf("# %llu flushes, %llu deferred, %llu kicks (%llu to settle; %llu forwarded by %llu leaders), %llu raced, %llu widened; %llu changes of node\n",
	       c->flushes, c->deferred, c->kicks, c->settled, c->forwarded,
	       c->leaders, c->raced, c->widened, totals.moved);
	check_coverage();
}

const struct stress_program program = {
	.name = "stress",
	.doc = "Invalidations, faults and flushes of smp/ on simulated CPUs.",
	.options = own_options, .parse = parse,
	.bits = bits, .round = one_round, .describe = describe, .report = report,
};
