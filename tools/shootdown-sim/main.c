// SPDX-License-Identifier: GPL-2.0 OR MIT
/* shootdown-sim: what kicks of many CPUs cost on machines that are not here. */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cost.h"
#include "output.h"
#include "topology.h"

#define MAX_TOPOLOGIES	16u
#define MAX_SIZES	64u
#define MOST_TRIALS	100000u

enum { OPT_CSV = 256, OPT_JSON, OPT_PLOT, OPT_FROM, OPT_COSTS };

static struct {
	const char *topology[MAX_TOPOLOGIES];
	u32 nr_topologies;
	u32 size[MAX_SIZES];
	u32 nr_sizes;
	bool policy[NR_POLICIES], some_policy;
	unsigned int from;
	u32 trials;
	u64 seed;
	struct cost cost;
	const char *csv, *json, *plot;
} options = { .from = 1, .trials = 30, .seed = 1 };

static const struct argp_option argp_options[] = {
	{ "topology", 't', "WHAT", 0,
	  "a name (1node, 2x28, 64, 4x48, 8x60), hwloc's synthetic description, or an XML file; may be given again (all names)", 0 },
	{ "policy", 'p', "NAME", 0,
	  "flat (Linux' calls, by CPU number), far-first, near-first, direct (interrupts without calls) or leaders (smp/fanout.c); may be given again (all)", 0 },
	{ "targets", 'n', "N,N,...", 0,
	  "CPUs in guest; 0: all but the initiator (powers of 2, and 0)", 0 },
	{ "from", OPT_FROM, "N", 0, "leaders kick from so many targets on (1)", 0 },
	{ "trials", 'r', "N", 0, "random sets of targets a point (30)", 0 },
	{ "seed", 'S', "N", 0, "of the random sets (1)", 0 },
	{ "cost", 'c', "NAME=NS", 0, "change the cost model; may be given again", 0 },
	{ "costs", OPT_COSTS, NULL, 0, "print the cost model and stop", 0 },
	{ "csv", OPT_CSV, "FILE", 0, "write the results as CSV too", 0 },
	{ "json", OPT_JSON, "FILE", 0, "write the results as JSON too", 0 },
	{ "plot", OPT_PLOT, "FILE.png", 0, "draw them; needs --json", 0 },
	{ 0 }
};

static u64 number(const char *text, u64 least, u64 most, struct argp_state *state)
{
	char *end;
	u64 value = strtoull(text, &end, 10);

	if (end == text || *end || text[0] == '-' || value < least || value > most)
		argp_error(state, "%s is not between %llu and %llu", text, least, most);
	return value;
}

static void add_policy(const char *name, struct argp_state *state)
{
	for (u32 i = 0; i < NR_POLICIES; i++)
		if (!strcmp(name, policy_names[i])) {
			options.policy[i] = options.some_policy = true;
			return;
		}
	argp_error(state, "no such policy: %s", name);
}

static void add_sizes(char *list, struct argp_state *state)
{
	for (char *one = strtok(list, ","); one; one = strtok(NULL, ",")) {
		if (options.nr_sizes == MAX_SIZES)
			argp_error(state, "more than %u numbers of targets", MAX_SIZES);
		options.size[options.nr_sizes++] = number(one, 0, SIM_MAX_CPUS - 1, state);
	}
}

static void print_cost(const char *name, u64 value, const char *text, void *unused)
{
	(void)unused;
	printf("%-10s %6llu  %s\n", name, value, text);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case 't':
		if (options.nr_topologies == MAX_TOPOLOGIES)
			argp_error(state, "more than %u topologies", MAX_TOPOLOGIES);
		options.topology[options.nr_topologies++] = arg;
		return 0;
	case 'p':
		add_policy(arg, state);
		return 0;
	case 'n':
		add_sizes(arg, state);
		return 0;
	case OPT_FROM:
		options.from = number(arg, 1, SIM_MAX_CPUS, state);
		return 0;
	case 'r':
		options.trials = number(arg, 1, MOST_TRIALS, state);
		return 0;
	case 'S':
		options.seed = number(arg, 0, ~0ull, state);
		return 0;
	case 'c':
		if (cost_set(&options.cost, arg))
			argp_error(state, "no such cost, or no number: %s", arg);
		return 0;
	case OPT_COSTS:
		cost_each(&options.cost, print_cost, NULL);
		exit(0);
	case OPT_CSV:
		options.csv = arg;
		return 0;
	case OPT_JSON:
		options.json = arg;
		return 0;
	case OPT_PLOT:
		options.plot = arg;
		return 0;
	case ARGP_KEY_END:
		if (options.plot && !options.json)
			argp_error(state, "--plot needs --json");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void defaults(void)
{
	if (!options.nr_topologies)
		for (u32 i = 0; topology_presets[i]; i += 2)
			options.topology[options.nr_topologies++] = topology_presets[i];
	for (u32 i = 0; i < NR_POLICIES && !options.some_policy; i++)
		options.policy[i] = true;
	if (!options.nr_sizes) {
		for (u32 n = 1; n < SIM_MAX_CPUS; n *= 2)
			options.size[options.nr_sizes++] = n;
		options.size[options.nr_sizes++] = 0;
	}
}

/* All points of one machine; sizes that it does not have are left out. */
static struct report simulate(struct topology *topology)
{
	struct result *results = calloc(NR_POLICIES * options.nr_sizes, sizeof(*results));
	struct report report = { topology, &options.cost, results, 0 };

	if (!results)
		abort();
	sim_init(topology, &options.cost);
	for (u32 p = 0; p < NR_POLICIES; p++)
		for (u32 i = 0; options.policy[p] && i < options.nr_sizes; i++) {
			u32 targets = options.size[i] ? options.size[i] :
				      topology->nr_cpus - 1;
			struct point point = { p, options.from, targets,
					       options.trials, options.seed };

			if (targets && targets < topology->nr_cpus)
				results[report.nr_results++] = experiment_run(&point);
		}
	sim_end();
	return report;
}

static FILE *create(const char *path)
{
	FILE *to = fopen(path, "w");

	if (!to) {
		fprintf(stderr, "shootdown-sim: %s: %s\n", path, strerror(errno));
		exit(1);
	}
	return to;
}

static void finish(FILE *to, const char *path)
{
	if (ferror(to) | fclose(to)) {
		fprintf(stderr, "shootdown-sim: %s: cannot be written\n", path);
		exit(1);
	}
}

/* The script lies beside the program. */
static int plot(void)
{
	char script[4096];
	ssize_t n = readlink("/proc/self/exe", script, sizeof(script) - 16);
	int status;
	pid_t pid;

	if (n < 0)
		return 1;
	strcpy(script + n, "-plot");
	pid = fork();
	if (pid == 0) {
		execl("/usr/bin/python3", "/usr/bin/python3", script, options.json,
		      options.plot, NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status) {
		fprintf(stderr, "shootdown-sim: %s: not drawn\n", options.plot);
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		.options = argp_options, .parser = parse,
		.doc = "Simulate EPT TLB shootdowns on machines that hwloc describes: the code of smp/ on CPUs whose clocks follow a cost model.",
	};
	struct report report[MAX_TOPOLOGIES];

	options.cost = cost_default;
	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	defaults();
	for (u32 i = 0; i < options.nr_topologies; i++) {
		struct topology *topology = topology_load(options.topology[i]);

		if (!topology)
			return 1;
		report[i] = simulate(topology);
		output_table(stdout, &report[i]);
		fflush(stdout);
	}
	if (options.csv) {
		FILE *to = create(options.csv);

		output_csv(to, report, options.nr_topologies);
		finish(to, options.csv);
	}
	if (options.json) {
		FILE *to = create(options.json);

		output_json(to, report, options.nr_topologies);
		finish(to, options.json);
	}
	return options.plot ? plot() : 0;
}
