// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See json.h. */
#include "json.h"

#include <json-c/json.h>

typedef struct json_object json;

static void add_number(json *o, const char *name, uint64_t value)
{
	json_object_object_add(o, name, json_object_new_uint64(value));
}

/* Nodes and packages: null where there is none. */
static void add_index(json *o, const char *name, int value)
{
	json_object_object_add(o, name, value < 0 ? NULL : json_object_new_int(value));
}

static void add_text(json *o, const char *name, const char *text)
{
	json_object_object_add(o, name, json_object_new_string(text));
}

static json *array_in(json *o, const char *name)
{
	json *array = json_object_new_array();

	json_object_object_add(o, name, array);
	return array;
}

static json *object_in(json *array)
{
	json *o = json_object_new_object();

	json_object_array_add(array, o);
	return o;
}

static json *machine(const struct machine *m)
{
	json *o = json_object_new_object(), *nodes, *node, *list;
	unsigned int i, j;

	add_number(o, "packages", m->nr_packages);
	nodes = array_in(o, "nodes");
	for (i = 0; i < m->nr_nodes; i++) {
		node = object_in(nodes);
		add_number(node, "node", m->nodes[i].number);
		add_index(node, "package", m->nodes[i].package);
		add_number(node, "memory_bytes", m->nodes[i].memory_bytes);
		list = array_in(node, "cpus");
		for (j = 0; j < m->nr_cpus; j++)
			if (m->cpus[j].node == (int)i)
				json_object_array_add(list, json_object_new_int(m->cpus[j].number));
		if (!m->distances)
			continue;
		list = array_in(node, "distances");
		for (j = 0; j < m->nr_nodes; j++)
			json_object_array_add(list, json_object_new_uint64(
				m->distances[i * m->nr_nodes + j]));
	}
	return o;
}

static void add_replicas(json *node, const struct view *v, const struct summary *s, int number)
{
	json *replicas = array_in(node, "tables_by_replica"), *levels;

	for (unsigned int r = 0; r < s->nr_replicas; r++) {
		levels = json_object_new_array();
		json_object_array_add(replicas, levels);
		for (unsigned int level = 1; level <= EPT_LEVELS; level++)
			json_object_array_add(levels, json_object_new_uint64(
				summary_tables(v, number, level, r)));
	}
}

static void add_use(json *o, const struct view *v, const struct use *use)
{
	int local = use_local_percent(use);

	add_number(o, "threads", use->threads);
	add_number(o, "running", use->running);
	add_number(o, "vmcss", use->vmcss);
	add_number(o, "vcpu_pages", use->vcpu_pages);
	add_number(o, "ept_tables", use->tables[0]);
	add_number(o, "near", use->near);
	add_number(o, "far", use->far);
	add_index(o, "local_percent", local);
	json_object_object_add(o, "memory_bytes", !v->memory.known ? NULL :
			       json_object_new_uint64(use->memory_bytes));
}

static void add_nodes(json *process, const struct view *v, const struct summary *s)
{
	json *nodes = array_in(process, "nodes"), *all = json_object_new_object(), *o;
	const struct machine *m = &v->machine;

	for (unsigned int i = 0; i < m->nr_nodes; i++) {
		o = object_in(nodes);
		add_number(o, "node", m->nodes[i].number);
		add_use(o, v, &s->nodes[i]);
		add_replicas(o, v, s, m->nodes[i].number);
	}
	json_object_object_add(process, "all", all);
	add_use(all, v, &s->all);
}

static void add_threads(json *process, const struct view *v)
{
	json *threads = array_in(process, "threads"), *o;

	for (unsigned int i = 0; i < v->threads.nr; i++) {
		const struct thread *t = &v->threads.thread[i];
		int node = machine_node_of_cpu(&v->machine, t->cpu);

		o = object_in(threads);
		add_number(o, "tid", t->tid);
		add_text(o, "name", t->name);
		add_text(o, "state", (char[]){ t->state, '\0' });
		add_number(o, "cpu", t->cpu);
		add_index(o, "node", node == NO_NODE ? NO_NODE : v->machine.nodes[node].number);
	}
}

static void add_vcpus(json *process, const struct summary *s)
{
	json *vcpus = array_in(process, "vcpus"), *o;

	for (unsigned int i = 0; i < s->nr_vcpus; i++) {
		o = object_in(vcpus);
		add_number(o, "vcpu", s->vcpus[i].id);
		add_index(o, "user_node", s->vcpus[i].user_node);
		add_index(o, "vmcs_node", s->vcpus[i].vmcs_node);
		add_index(o, "page_node", s->vcpus[i].page_node);
	}
}

static void add_tables(json *process, const struct view *v, const struct summary *s)
{
	json *tables = array_in(process, "tables"), *o;

	for (unsigned int i = 0; i < v->places.nr; i++) {
		const struct dune_place *place = &v->places.place[i];

		if (place->kind != DUNE_PLACE_EPT)
			continue;
		o = object_in(tables);
		add_number(o, "address", place->hva);
		add_number(o, "level", place->level);
		add_number(o, "replica", place->replica);
		add_index(o, "node", place->node);
		add_index(o, "user_node", summary_user_node(s, place));
		add_index(o, "vcpu", (int)place->vcpu);
	}
}

void json_print(FILE *out, const struct view *v, const struct summary *s,
		enum json_tables tables)
{
	json *o = json_object_new_object(), *process;

	json_object_object_add(o, "machine", machine(&v->machine));
	if (v->pid) {
		process = json_object_new_object();
		json_object_object_add(o, "process", process);
		add_number(process, "pid", v->pid);
		add_number(process, "replicas", s->nr_replicas);
		add_nodes(process, v, s);
		add_threads(process, v);
		add_vcpus(process, s);
		if (tables == JSON_EACH_TABLE)
			add_tables(process, v, s);
	}
	fprintf(out, "%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_SPACED));
	json_object_put(o);
}
