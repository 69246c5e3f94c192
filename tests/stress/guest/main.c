// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Guest page tables of smp/ on simulated CPUs with hostile TLBs. Rounds of a
 * second, each with its own numbers of threads, entry format and amount of
 * delays. Ends with the first thing that is wrong.
 */
#include <argp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

#define ROUND_MS	1000u
#define BITS_MS		1200u

static struct {
	unsigned int seconds, cpus, threads;
	u64 seed;
	int wild, ept, chaos;
} options = { .seconds = 10, .wild = -1, .ept = -1, .chaos = -1 };

static const struct argp_option argp_options[] = {
	{ "seconds", 's', "N", 0, "how long (10)", 0 },
	{ "seed", 'S', "N", 0, "of the first round (the time)", 0 },
	{ "cpus", 'c', "N", 0, "simulated CPUs (1 to 4, varies)", 0 },
	{ "threads", 't', "N", 0, "threads beside them (1 to 3, varies)", 0 },
	{ "wild", 'w', "0|1", 0, "without owners (varies)", 0 },
	{ "ept", 'e', "0|1", 0, "entries of an EPT (varies)", 0 },
	{ "chaos", 'd', "N", 0,
	  "a delay after about N verbs; 0: none (varies)", 0 },
	{ 0 }
};

static struct round round_now;

void fail(const char *format, ...)
{
	va_list args;

	printf("FAIL guest stress: ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n# in the round of seed %llu: %s, %s, %u cpus, %u threads, chaos %u\n",
	       round_now.seed, round_now.geom == &pt_x86 ? "x86" : "ept",
	       round_now.wild ? "wild" : "with owners", round_now.nr_cpus,
	       round_now.nr_threads, round_now.chaos);
	fflush(stdout);
	_exit(1);
}

static unsigned int number(const char *arg, unsigned int least,
			   unsigned int most, struct argp_state *state)
{
	char *end;
	unsigned long value = strtoul(arg, &end, 0);

	if (*end || value < least || value > most)
		argp_error(state, "%s is not between %u and %u", arg, least,
			   most);
	return value;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case 's':
		options.seconds = number(arg, 1, 1u << 20, state);
		return 0;
	case 'S':
		options.seed = strtoull(arg, NULL, 0);
		return 0;
	case 'c':
		options.cpus = number(arg, 1, MAX_CPUS, state);
		return 0;
	case 't':
		options.threads = number(arg, 1, MAX_THREADS, state);
		return 0;
	case 'w':
		options.wild = number(arg, 0, 1, state);
		return 0;
	case 'e':
		options.ept = number(arg, 0, 1, state);
		return 0;
	case 'd':
		options.chaos = number(arg, 0, 1u << 20, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static u32 random_chaos(void)
{
	static const u32 mean[] = { 0, 20, 60, 200, 1000 };

	return options.chaos >= 0 ? (u32)options.chaos : mean[rnd(5)];
}

static void one_round(u64 seed)
{
	struct round *round = &round_now;

	rnd_seed(seed);
	*round = (struct round){ .seed = seed, .ms = ROUND_MS };
	round->geom = rnd(6) ? &pt_x86 : &pt_ept_ad;
	if (options.ept >= 0)
		round->geom = options.ept ? &pt_ept_ad : &pt_x86;
	round->nr_cpus = options.cpus ? options.cpus : 1 + rnd(4);
	round->nr_threads = options.threads ? options.threads : 1 + rnd(3);
	round->wild = rnd(4) == 0;
	if (options.wild >= 0)
		round->wild = options.wild;
	round->chaos = random_chaos();
	round_run(round);
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
}

/* A run in which something never happened has not tested it. */
static void check_coverage(void)
{
	const struct counts *c = &totals.counts;

	if (options.seconds < 8 || options.cpus || options.threads ||
	    options.wild >= 0 || options.ept >= 0)
		return;
#define X(name) \
	if (!c->name) \
		fail("\"" #name "\" has to be tested and did not happen");
	COUNTS(X)
#undef X
	if (!totals.kicked)
		fail("no CPU was kicked");
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		argp_options, parse, NULL,
		"Range operations of smp/ on simulated CPUs.", NULL, NULL, NULL,
	};
	time_t end;

	options.seed = time(NULL);
	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	printf("# seed %llu\n", options.seed);
	fflush(stdout);
	plat_rcu_register();
	bits_run(BITS_MS, options.seed);
	end = time(NULL) + options.seconds;
	for (u64 i = 0; time(NULL) < end; i++)
		one_round(options.seed + i);
	report();
	check_coverage();
	printf("ok guest stress\n");
	return 0;
}
