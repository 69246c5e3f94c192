// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "output.h"

#include <errno.h>
#include <json.h>

#include "cost.h"
#include "topology.h"

static const struct result *find(const struct report *report, enum policy policy,
				 u32 targets)
{
	for (u32 i = 0; i < report->nr_results; i++) {
		const struct result *result = &report->results[i];

		if (result->point.policy == policy && result->point.targets == targets)
			return result;
	}
	return NULL;
}

/* The fewest targets from which on, of those simulated, leaders are faster; 0: none. */
static u32 pays_from(const struct report *report)
{
	u32 from = 0;

	for (u32 i = 0; i < report->nr_results; i++) {
		const struct result *flat = &report->results[i], *leaders;

		if (flat->point.policy != POLICY_FLAT)
			continue;
		leaders = find(report, POLICY_LEADERS, flat->point.targets);
		if (!leaders || leaders->median_ns >= flat->median_ns)
			from = 0;
		else if (!from)
			from = flat->point.targets;
	}
	return from;
}

void output_table(FILE *to, const struct report *report)
{
	u32 from = pays_from(report);

	fprintf(to, "%s: %u CPUs, %u nodes, simulated\n", report->topology->name,
		report->topology->nr_cpus, report->topology->nr_nodes);
	fprintf(to, "%-10s %7s %10s %10s %8s %10s %10s\n", "policy", "targets",
		"median ns", "p99 ns", "lines", "interrupts", "ICR writes");
	for (u32 i = 0; i < report->nr_results; i++) {
		const struct result *r = &report->results[i];

		fprintf(to, "%-10s %7u %10llu %10llu %8llu %10llu %10llu\n",
			policy_names[r->point.policy], r->point.targets,
			r->median_ns, r->p99_ns, r->lines, r->interrupts,
			r->icr_writes);
	}
	if (from)
		fprintf(to, "leaders are faster than flat from %u targets on\n", from);
	fprintf(to, "\n");
}

void output_csv(FILE *to, const struct report *reports, u32 nr)
{
	fprintf(to, "topology,cpus,nodes,policy,from,targets,trials,median_ns,p99_ns,lines,interrupts,icr_writes\n");
	for (u32 i = 0; i < nr; i++)
		for (u32 j = 0; j < reports[i].nr_results; j++) {
			const struct result *r = &reports[i].results[j];

			fprintf(to, "\"%s\",%u,%u,%s,%u,%u,%u,%llu,%llu,%llu,%llu,%llu\n",
				reports[i].topology->name, reports[i].topology->nr_cpus,
				reports[i].topology->nr_nodes,
				policy_names[r->point.policy], r->point.from,
				r->point.targets, r->point.trials, r->median_ns,
				r->p99_ns, r->lines, r->interrupts, r->icr_writes);
		}
}

static void add_number(json_object *to, const char *name, u64 value)
{
	json_object_object_add(to, name, json_object_new_int64(value));
}

static void add_cost(const char *name, u64 value, const char *text, void *to)
{
	(void)text;
	add_number(to, name, value);
}

static json_object *json_of_result(const struct result *r)
{
	json_object *o = json_object_new_object();

	json_object_object_add(o, "policy",
			       json_object_new_string(policy_names[r->point.policy]));
	add_number(o, "from", r->point.from);
	add_number(o, "targets", r->point.targets);
	add_number(o, "trials", r->point.trials);
	add_number(o, "seed", r->point.seed);
	add_number(o, "median_ns", r->median_ns);
	add_number(o, "p99_ns", r->p99_ns);
	add_number(o, "lines", r->lines);
	add_number(o, "interrupts", r->interrupts);
	add_number(o, "icr_writes", r->icr_writes);
	return o;
}

static json_object *json_of_report(const struct report *report)
{
	json_object *o = json_object_new_object(), *results = json_object_new_array();

	json_object_object_add(o, "topology",
			       json_object_new_string(report->topology->name));
	add_number(o, "cpus", report->topology->nr_cpus);
	add_number(o, "nodes", report->topology->nr_nodes);
	add_number(o, "leaders_faster_from", pays_from(report));
	for (u32 i = 0; i < report->nr_results; i++)
		json_object_array_add(results, json_of_result(&report->results[i]));
	json_object_object_add(o, "results", results);
	return o;
}

int output_json(FILE *to, const struct report *reports, u32 nr)
{
	json_object *o = json_object_new_object();
	json_object *cost = json_object_new_object(), *machines = json_object_new_array();
	int err;

	json_object_object_add(o, "simulated", json_object_new_boolean(1));
	cost_each(reports[0].cost, add_cost, cost);
	json_object_object_add(o, "cost_ns", cost);
	for (u32 i = 0; i < nr; i++)
		json_object_array_add(machines, json_of_report(&reports[i]));
	json_object_object_add(o, "machines", machines);
	err = fprintf(to, "%s\n", json_object_to_json_string_ext(o,
			JSON_C_TO_STRING_PRETTY)) < 0 ? -1 : 0;
	json_object_put(o);
	return err;
}
