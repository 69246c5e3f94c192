// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See summary.h. */
#include "summary.h"

#include <stdlib.h>
#include <string.h>

static bool is_table(const struct dune_place *place)
{
	return place->kind == DUNE_PLACE_EPT;
}

static int by_id(const void *a, const void *b)
{
	const struct vcpu *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

/* The module tells the pages of one vCPU one after the other. */
static struct vcpu *vcpu_of(struct summary *s, unsigned int id)
{
	struct vcpu *last = s->nr_vcpus ? &s->vcpus[s->nr_vcpus - 1] : NULL;

	if (last && last->id == id)
		return last;
	last = &s->vcpus[s->nr_vcpus++];
	*last = (struct vcpu){ id, NO_NODE, NO_NODE, NO_NODE };
	return last;
}

static void collect_vcpus(const struct places *places, struct summary *s)
{
	for (unsigned int i = 0; i < places->nr; i++) {
		const struct dune_place *place = &places->place[i];
		struct vcpu *vcpu;

		if (is_table(place))
			continue;
		vcpu = vcpu_of(s, place->vcpu);
		if (place->kind == DUNE_PLACE_VMCS)
			vcpu->vmcs_node = place->node;
		else
			vcpu->page_node = place->node;
		vcpu->user_node = place->user_node;
	}
	if (s->nr_vcpus)
		qsort(s->vcpus, s->nr_vcpus, sizeof(*s->vcpus), by_id);
}

int summary_user_node(const struct summary *s, const struct dune_place *place)
{
	struct vcpu key = { .id = place->vcpu }, *vcpu = NULL;

	if (place->user_node >= 0)
		return place->user_node;
	if (s->nr_vcpus)
		vcpu = bsearch(&key, s->vcpus, s->nr_vcpus, sizeof(key), by_id);
	return vcpu ? vcpu->user_node : NO_NODE;
}

static struct use *use_at(const struct machine *m, struct summary *s, int index)
{
	return &s->nodes[index == NO_NODE ? (int)m->nr_nodes : index];
}

static void add_place(const struct machine *m, struct summary *s, const struct dune_place *place)
{
	struct use *use = use_at(m, s, machine_node_index(m, place->node));
	int user = summary_user_node(s, place);

	if (is_table(place)) {
		use->tables[0]++;
		if (place->level >= 1 && place->level <= EPT_LEVELS)
			use->tables[place->level]++;
		if (place->replica >= s->nr_replicas)
			s->nr_replicas = place->replica + 1;
	} else if (place->kind == DUNE_PLACE_VMCS) {
		use->vmcss++;
	} else {
		use->vcpu_pages++;
	}
	if (user == NO_NODE)
		return;
	if (user == place->node)
		use->near++;
	else
		use->far++;
}

static void add_process(const struct view *v, struct summary *s)
{
	const struct machine *m = &v->machine;
	unsigned int i;

	for (i = 0; i < v->threads.nr; i++) {
		const struct thread *t = &v->threads.thread[i];
		struct use *use = use_at(m, s, machine_node_of_cpu(m, t->cpu));

		use->threads++;
		use->running += t->state == 'R';
	}
	for (i = 0; i < NODE_NUMBERS; i++)
		if (v->memory.bytes[i])
			use_at(m, s, machine_node_index(m, i))->memory_bytes += v->memory.bytes[i];
}

static void add_use(struct use *sum, const struct use *use)
{
	sum->threads += use->threads;
	sum->running += use->running;
	sum->vcpu_pages += use->vcpu_pages;
	sum->vmcss += use->vmcss;
	for (unsigned int level = 0; level <= EPT_LEVELS; level++)
		sum->tables[level] += use->tables[level];
	sum->near += use->near;
	sum->far += use->far;
	sum->memory_bytes += use->memory_bytes;
}

bool summary_make(const struct view *v, struct summary *s)
{
	unsigned int i;

	memset(s, 0, sizeof(*s));
	s->nodes = calloc(v->machine.nr_nodes + 1, sizeof(*s->nodes));
	s->vcpus = calloc(v->places.nr + 1, sizeof(*s->vcpus));
	if (!s->nodes || !s->vcpus) {
		summary_free(s);
		return false;
	}
	collect_vcpus(&v->places, s);
	for (i = 0; i < v->places.nr; i++)
		add_place(&v->machine, s, &v->places.place[i]);
	add_process(v, s);
	for (i = 0; i <= v->machine.nr_nodes; i++)
		add_use(&s->all, &s->nodes[i]);
	return true;
}

void summary_free(struct summary *s)
{
	free(s->nodes);
	free(s->vcpus);
	memset(s, 0, sizeof(*s));
}

unsigned int summary_tables(const struct view *v, int node, unsigned int level,
			    unsigned int replica)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < v->places.nr; i++) {
		const struct dune_place *place = &v->places.place[i];

		nr += is_table(place) && place->node == node && place->level == level &&
		      place->replica == replica;
	}
	return nr;
}

bool use_is_empty(const struct use *use)
{
	return !use->threads && !use->vcpu_pages && !use->vmcss && !use->tables[0] &&
	       !use->memory_bytes;
}

int use_local_percent(const struct use *use)
{
	unsigned int all = use->near + use->far;

	return all ? (int)(100ull * use->near / all) : -1;
}
