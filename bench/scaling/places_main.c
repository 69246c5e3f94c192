// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Print the CPUs of workers 0, 1, ... as the scaling programs pin them. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "places.h"

static int first_cpu;

static error_t option(int key, char *arg, struct argp_state *state)
{
	char *end;

	if (key != 'f')
		return ARGP_ERR_UNKNOWN;
	first_cpu = strtol(arg, &end, 10);
	if (*end || end == arg || first_cpu < 0)
		argp_error(state, "--from takes the number of a CPU");
	return 0;
}

int main(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "from", 'f', "CPU", 0, "worker 0 runs here (default 0)" },
		{ 0 },
	};
	static const struct argp argp = {
		options, option, NULL,
		"The CPUs of workers 0, 1, ... as the scaling programs pin them: a package is "
		"filled, a core at a time and then the cores' other hardware threads, before the "
		"next nearest is begun.\v"
		"HWLOC_XMLFILE and HWLOC_SYNTHETIC name another topology than this machine's."
	};
	static struct places places;
	int err;

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	err = places_load(&places, first_cpu);
	if (err) {
		fprintf(stderr, "places: %s\n", strerror(-err));
		return 1;
	}
	for (int i = 0; i < places.nr; i++)
		printf("%d%c", places.cpu[i], i + 1 < places.nr ? ' ' : '\n');
	return 0;
}
