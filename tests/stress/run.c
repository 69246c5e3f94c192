// SPDX-License-Identifier: GPL-2.0 OR MIT
/* main() of both stress programs. Ends with the first thing that is wrong. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "fail.h"
#include "random.h"
#include "run.h"

#define MOST_CPUS	64u	/* MAX_CPUS of both */

struct stress_options options = { .seconds = 10, .chaos = -1 };

static const struct argp_option common_options[] = {
	{ "seconds", 's', "N", 0, "how long (10)", 0 },
	{ "seed", 'S', "N", 0, "of the first round (the time)", 0 },
	{ "cpus", 'c', "N", 0, "simulated CPUs (varies)", 0 },
	{ "chaos", 'd', "N", 0,
	  "a delay after about N verbs; 0: none (varies)", 0 },
	{ 0 }
};

void fail(const char *format, ...)
{
	va_list args;

	printf("FAIL %s: ", program.name);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n# ");
	program.describe();
	fflush(stdout);
	_exit(1);
}

unsigned int stress_number(const char *arg, unsigned int least, unsigned int most,
			   struct argp_state *state)
{
	char *end;
	unsigned long value = strtoul(arg, &end, 0);

	if (*end || value < least || value > most)
		argp_error(state, "%s is not between %u and %u", arg, least, most);
	return value;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case 's':
		options.seconds = stress_number(arg, 1, 1u << 20, state);
		return 0;
	case 'S':
		options.seed = strtoull(arg, NULL, 0);
		return 0;
	case 'c':
		options.cpus = stress_number(arg, 1, MOST_CPUS, state);
		return 0;
	case 'd':
		options.chaos = stress_number(arg, 0, 1u << 20, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

u32 stress_chaos(void)
{
	static const u32 mean[] = { 0, 20, 60, 200, 1000 };

	return options.chaos >= 0 ? (u32)options.chaos : mean[rnd(5)];
}

void stress_add(u64 *to, const u64 *from, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		to[i] += from[i];
}

int main(int argc, char **argv)
{
	const struct argp common = { .options = common_options, .parser = parse };
	const struct argp_child children[] = { { &common, 0, NULL, 0 }, { 0 } };
	const struct argp argp = {
		.options = program.options, .parser = program.parse,
		.doc = program.doc, .children = children,
	};
	time_t end;

	options.seed = time(NULL);
	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	printf("# seed %llu\n", options.seed);
	fflush(stdout);
	plat_rcu_register();
	program.bits(options.seed);
	end = time(NULL) + options.seconds;
	for (u64 i = 0; time(NULL) < end; i++)
		program.round(options.seed + i);
	program.report();
	printf("ok %s\n", program.name);
	return 0;
}
