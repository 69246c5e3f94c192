// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See text.h. */
#include "text.h"

void text_bytes(char *text, size_t size, uint64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB" };
	double value = bytes / 1024.0;
	unsigned int i = 0;

	while (value >= 1024 && i < 4) {
		value /= 1024;
		i++;
	}
	snprintf(text, size, "%.*f %s", i ? 1 : 0, value, units[i]);
}

static bool has_cpu(const struct machine *m, int number, int node)
{
	for (unsigned int i = 0; i < m->nr_cpus; i++)
		if (m->cpus[i].number == number)
			return m->cpus[i].node == node;
	return false;
}

static int last_cpu(const struct machine *m)
{
	int last = -1;

	for (unsigned int i = 0; i < m->nr_cpus; i++)
		if (m->cpus[i].number > last)
			last = m->cpus[i].number;
	return last;
}

void text_cpus(char *text, size_t size, const struct machine *m, int node)
{
	int last = last_cpu(m);
	size_t used = 0;

	snprintf(text, size, "-");
	for (int from = 0; from <= last && used + 1 < size; from++) {
		int to = from;

		if (!has_cpu(m, from, node))
			continue;
		while (has_cpu(m, to + 1, node))
			to++;
		used += snprintf(text + used, size - used, to > from ? "%s%d-%d" : "%s%d",
				 used ? "," : "", from, to);
		from = to;
	}
}

static void number_or_dash(FILE *out, int width, int number)
{
	if (number < 0)
		fprintf(out, "%*s", width, "-");
	else
		fprintf(out, "%*d", width, number);
}

void text_machine(FILE *out, const struct machine *m)
{
	char cpus[256], memory[32];
	int width = m->distances ? 12 : 0;
	unsigned int i, j;

	fprintf(out, "Machine: packages %u, nodes %u, CPUs %u\n\n", m->nr_packages,
		m->nr_nodes, m->nr_cpus);
	fprintf(out, "%5s %8s %12s  %-*s%s", "node", "package", "memory", width, "CPUs",
		m->distances ? " distance to" : "");
	for (j = 0; m->distances && j < m->nr_nodes; j++)
		fprintf(out, " %4d", m->nodes[j].number);
	fputc('\n', out);
	for (i = 0; i < m->nr_nodes; i++) {
		text_cpus(cpus, sizeof(cpus), m, i);
		text_bytes(memory, sizeof(memory), m->nodes[i].memory_bytes);
		fprintf(out, "%5d ", m->nodes[i].number);
		number_or_dash(out, 8, m->nodes[i].package);
		fprintf(out, " %12s  %-*s%s", memory, width, cpus, m->distances ? "            " : "");
		for (j = 0; m->distances && j < m->nr_nodes; j++)
			fprintf(out, " %4llu",
				(unsigned long long)m->distances[i * m->nr_nodes + j]);
		fputc('\n', out);
	}
}

static void row(FILE *out, const char *name, const struct use *use, bool memory_known)
{
	int local = use_local_percent(use);
	char share[16] = "-", memory[32] = "-";

	if (local >= 0)
		snprintf(share, sizeof(share), "%d %%", local);
	if (memory_known)
		text_bytes(memory, sizeof(memory), use->memory_bytes);
	fprintf(out, "%5s %8u %8u %6u %11u %11u", name, use->threads, use->running,
		use->vmcss, use->vcpu_pages, use->tables[0]);
	for (int level = EPT_LEVELS; level >= 1; level--)
		fprintf(out, " %6u", use->tables[level]);
	fprintf(out, " %7s %12s\n", share, memory);
}

static void replicas(FILE *out, const struct view *v, const struct summary *s)
{
	const struct machine *m = &v->machine;

	fprintf(out, "\n%8s %6s %6s %6s %6s %6s\n", "replica", "node", "L4", "L3", "L2", "L1");
	for (unsigned int r = 0; r < s->nr_replicas; r++)
		for (unsigned int i = 0; i < m->nr_nodes; i++) {
			fprintf(out, "%8u %6d", r, m->nodes[i].number);
			for (int level = EPT_LEVELS; level >= 1; level--)
				fprintf(out, " %6u",
					summary_tables(v, m->nodes[i].number, level, r));
			fputc('\n', out);
		}
}

void text_process(FILE *out, const struct view *v, const struct summary *s)
{
	const struct machine *m = &v->machine;
	const struct use *other = &s->nodes[m->nr_nodes];
	char name[16];

	fprintf(out, "Process %d: threads %u, vCPUs %u, EPT tables %u, replicas %u\n\n",
		(int)v->pid, s->all.threads, s->nr_vcpus, s->all.tables[0], s->nr_replicas);
	fprintf(out, "%5s %8s %8s %6s %11s %11s %6s %6s %6s %6s %7s %12s\n", "node", "threads",
		"running", "VMCSs", "vCPU pages", "EPT tables", "L4", "L3", "L2", "L1",
		"local", "memory");
	for (unsigned int i = 0; i < m->nr_nodes; i++) {
		snprintf(name, sizeof(name), "%d", m->nodes[i].number);
		row(out, name, &s->nodes[i], v->memory.known);
	}
	if (!use_is_empty(other))
		row(out, "?", other, v->memory.known);
	row(out, "all", &s->all, v->memory.known);
	if (s->nr_replicas > 1)
		replicas(out, v, s);
	if (!v->memory.known)
		fprintf(out, "\nThis kernel has no numa_maps: the program's memory is not known.\n");
}

void text_threads(FILE *out, const struct view *v)
{
	fprintf(out, "%8s %5s %5s %5s  %s\n", "thread", "state", "CPU", "node", "name");
	for (unsigned int i = 0; i < v->threads.nr; i++) {
		const struct thread *t = &v->threads.thread[i];
		int node = machine_node_of_cpu(&v->machine, t->cpu);

		fprintf(out, "%8d %5c %5d ", (int)t->tid, t->state, t->cpu);
		number_or_dash(out, 5, node == NO_NODE ? NO_NODE : v->machine.nodes[node].number);
		fprintf(out, "  %s\n", t->name);
	}
}

void text_vcpus(FILE *out, const struct summary *s)
{
	fprintf(out, "%6s %8s %8s %10s\n", "vCPU", "runs on", "VMCS on", "page on");
	for (unsigned int i = 0; i < s->nr_vcpus; i++) {
		fprintf(out, "%6u ", s->vcpus[i].id);
		number_or_dash(out, 8, s->vcpus[i].user_node);
		number_or_dash(out, 9, s->vcpus[i].vmcs_node);
		number_or_dash(out, 11, s->vcpus[i].page_node);
		fputc('\n', out);
	}
}

void text_tables(FILE *out, const struct view *v, const struct summary *s)
{
	fprintf(out, "%16s %6s %8s %6s %6s %6s\n", "address", "level", "replica", "node",
		"user", "vCPU");
	for (unsigned int i = 0; i < v->places.nr; i++) {
		const struct dune_place *place = &v->places.place[i];

		if (place->kind != DUNE_PLACE_EPT)
			continue;
		fprintf(out, "%16llx %6u %8u ", (unsigned long long)place->hva, place->level,
			place->replica);
		number_or_dash(out, 6, place->node);
		number_or_dash(out, 7, summary_user_node(s, place));
		number_or_dash(out, 7, (int)place->vcpu);
		fputc('\n', out);
	}
}
