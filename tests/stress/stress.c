// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The core of smp/ on simulated CPUs with hostile TLBs. Rounds of a second,
 * each with its own numbers of threads, entry format and amount of delays.
 * Ends with the first thing that is wrong.
 */
#include <argp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "stress.h"

#define ROUND_MS	1000u
#define BITS_MS		600u

static struct {
	unsigned int seconds, cpus, mm;
	u64 seed;
	const char *format;
	int chaos;
} options = { .seconds = 10, .chaos = -1 };

static const struct argp_option argp_options[] = {
	{ "seconds", 's', "N", 0, "how long (10)", 0 },
	{ "seed", 'S', "N", 0, "of the first round (the time)", 0 },
	{ "cpus", 'c', "N", 0, "simulated CPUs (1 to 6, varies)", 0 },
	{ "mm-threads", 'm', "N", 0, "threads of the mm (1 to 4, varies)", 0 },
	{ "format", 'f', "NAME", 0, "ad, plain or x86 (varies)", 0 },
	{ "chaos", 'd', "N", 0,
	  "a delay after about N verbs; 0: none (varies)", 0 },
	{ 0 }
};

static struct round round_now;

static const char *format_name(const struct pt_geometry *geom)
{
	return geom == &pt_x86 ? "x86" : geom == &pt_ept_ad ? "ad" : "plain";
}

void fail(const char *format, ...)
{
	va_list args;

	printf("FAIL stress: ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n# in the round of seed %llu: %s, %u cpus, %u vcpus, %u mm threads, chaos %u\n",
	       round_now.seed, format_name(round_now.geom), round_now.nr_cpus,
	       round_now.nr_vcpus, round_now.nr_mm, round_now.chaos);
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
	case 'm':
		options.mm = number(arg, 1, 4, state);
		return 0;
	case 'f':
		options.format = arg;
		if (strcmp(arg, "ad") && strcmp(arg, "plain") &&
		    strcmp(arg, "x86"))
			argp_error(state, "no such format: %s", arg);
		return 0;
	case 'd':
		options.chaos = number(arg, 0, 1u << 20, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct pt_geometry *random_format(void)
{
	unsigned int kind = rnd(8);

	if (options.format)
		kind = options.format[0] == 'p' ? 5 :
		       options.format[0] == 'x' ? 6 : 0;
	return kind < 5 ? &pt_ept_ad : kind == 5 ? &pt_ept_plain : &pt_x86;
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
	round->geom = random_format();
	round->nr_cpus = options.cpus ? options.cpus : 1 + rnd(4);
	round->nr_vcpus = round->nr_cpus + rnd(3);
	round->nr_mm = options.mm ? options.mm : 1 + rnd(3);
	round->chaos = random_chaos();
	round_run(round);
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
	printf("# %llu flushes, %llu deferred, %llu kicks (%llu to settle), %llu raced, %llu widened\n",
	       c->flushes, c->deferred, c->kicks, c->settled, c->raced,
	       c->widened);
}

/* A run in which something never happened has not tested it. */
static void check_coverage(void)
{
	const struct counts *c = &totals.counts;

	if (options.seconds < 8 || options.cpus || options.mm || options.format)
		return;
	if (!c->upgraded || !c->spurious || !c->stale || !c->conflicts ||
	    !c->flushes || !c->deferred || !c->kicks || !c->settled ||
	    !c->raced || !totals.kicked)
		fail("something that has to be tested did not happen");
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		argp_options, parse, NULL,
		"Invalidations, faults and flushes of smp/ on simulated CPUs.",
		NULL, NULL, NULL,
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
	printf("ok stress\n");
	return 0;
}
