// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Which NUMA nodes the EPT comes from: dune_set_placement(), DUNE_NUMA. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define NODES_MAX	64u	/* bits of dune_create_vm.nodes */

static const struct policy {
	const char *name;
	enum dune_placement placement;
	enum { NODES_NONE, NODES_MAY, NODES_MUST } nodes;
} policies[] = {
	{ "local", DUNE_PLACE_LOCAL, NODES_NONE },
	{ "interleave", DUNE_PLACE_INTERLEAVE, NODES_MAY },
	{ "bind", DUNE_PLACE_BIND, NODES_MUST },
	{ "replicate", DUNE_PLACE_REPLICATE, NODES_NONE },
};

/* dune_lock. */
static struct {
	bool set;
	enum dune_placement placement;
	uint64_t nodes;
} wanted;

/* A number of a node, and what follows it; NULL: there is none. */
static const char *parse_node(const char *text, unsigned long *node)
{
	char *end;

	if (*text < '0' || *text > '9')
		return NULL;
	*node = strtoul(text, &end, 10);
	return *node < NODES_MAX ? end : NULL;
}

/* "0,2-3" into a mask; -EINVAL. */
static int parse_nodes(const char *text, uint64_t *nodes)
{
	unsigned long first, last;

	for (*nodes = 0; ; text++) {
		text = parse_node(text, &first);
		last = first;
		if (text && *text == '-')
			text = parse_node(text + 1, &last);
		if (!text || last < first || (*text && *text != ','))
			return -EINVAL;
		for (; first <= last; first++)
			*nodes |= 1ull << first;
		if (!*text)
			return 0;
	}
}

static const struct policy *find_policy(const char *text, size_t len)
{
	for (unsigned int i = 0; i < sizeof(policies) / sizeof(policies[0]); i++)
		if (strlen(policies[i].name) == len && !strncmp(policies[i].name, text, len))
			return &policies[i];
	return NULL;
}

static int parse(const char *text, enum dune_placement *placement, uint64_t *nodes)
{
	const char *colon = strchrnul(text, ':');
	const struct policy *p = find_policy(text, colon - text);

	*nodes = 0;
	if (!p || (*colon && p->nodes == NODES_NONE) || (!*colon && p->nodes == NODES_MUST))
		return -EINVAL;
	*placement = p->placement;
	return *colon ? parse_nodes(colon + 1, nodes) : 0;
}

int dune_set_placement(const char *placement)
{
	enum dune_placement p;
	uint64_t nodes;
	int err = parse(placement, &p, &nodes);

	if (err) {
		dune_why_set("placement \"%s\": local, interleave[:NODES], bind:NODES or replicate; NODES as 0,2-3, below %u",
			     placement, NODES_MAX);
		return err;
	}
	err = dune_forkpage_init();
	if (err)
		return err;
	dune_lock();
	if (dune_alive()) {
		dune_why_set("dune_set_placement() after dune_init()");
		err = -EBUSY;
	} else {
		wanted.set = true;
		wanted.placement = p;
		wanted.nodes = nodes;
	}
	dune_unlock();
	return err;
}

int dune_placement_get(struct dune_create_vm *create)
{
	const char *text = getenv("DUNE_NUMA");
	enum dune_placement p = wanted.placement;
	uint64_t nodes = wanted.nodes;

	if (!wanted.set && text && parse(text, &p, &nodes)) {
		dune_why_set("DUNE_NUMA=%s: local, interleave[:NODES], bind:NODES or replicate; NODES as 0,2-3, below %u",
			     text, NODES_MAX);
		return -EINVAL;
	}
	create->placement = p;
	create->nodes = nodes;
	return 0;
}
