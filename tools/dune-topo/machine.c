// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See machine.h. */
#include "machine.h"

#include <errno.h>
#include <error.h>
#include <hwloc.h>
#include <stdlib.h>
#include <string.h>

static void load_nodes(hwloc_topology_t topology, struct machine *m)
{
	hwloc_obj_t node = NULL, package;
	unsigned int i = 0;

	while ((node = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, node))) {
		package = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_PACKAGE, node);
		m->nodes[i++] = (struct node){
			.number = node->os_index,
			.package = package ? (int)package->logical_index : NO_PACKAGE,
			.memory_bytes = node->attr->numanode.local_memory,
		};
	}
}

static int node_with(hwloc_topology_t topology, unsigned int cpu)
{
	hwloc_obj_t node = NULL;

	while ((node = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, node)))
		if (node->cpuset && hwloc_bitmap_isset(node->cpuset, cpu))
			return node->logical_index;
	return NO_NODE;
}

static void load_cpus(hwloc_topology_t topology, struct machine *m)
{
	hwloc_obj_t cpu = NULL;
	unsigned int i = 0;

	while ((cpu = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PU, cpu)))
		m->cpus[i++] = (struct cpu){
			.number = cpu->os_index,
			.node = node_with(topology, cpu->os_index),
		};
}

/* Linux' matrix has every node, in any order. */
static bool load_distances(hwloc_topology_t topology, struct machine *m)
{
	struct hwloc_distances_s *d;
	unsigned int nr = 1, i, j;

	if (hwloc_distances_get_by_name(topology, "NUMALatency", &nr, &d, 0) || !nr)
		return true;
	if (d->nbobjs == m->nr_nodes) {
		m->distances = calloc((size_t)m->nr_nodes * m->nr_nodes, sizeof(uint64_t));
		for (i = 0; m->distances && i < d->nbobjs; i++)
			for (j = 0; j < d->nbobjs; j++)
				m->distances[d->objs[i]->logical_index * m->nr_nodes +
					     d->objs[j]->logical_index] =
					d->values[i * d->nbobjs + j];
		if (!m->distances)
			return false;
	}
	hwloc_distances_release(topology, d);
	return true;
}

static bool load(hwloc_topology_t topology, struct machine *m)
{
	/* CPUs and nodes that this process may not use are there for others. */
	if (hwloc_topology_set_flags(topology, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED) ||
	    hwloc_topology_load(topology))
		return false;
	m->nr_packages = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PACKAGE);
	m->nr_nodes = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_NUMANODE);
	m->nr_cpus = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU);
	m->nodes = calloc(m->nr_nodes, sizeof(*m->nodes));
	m->cpus = calloc(m->nr_cpus, sizeof(*m->cpus));
	if (!m->nodes || !m->cpus)
		return false;
	load_nodes(topology, m);
	load_cpus(topology, m);
	return load_distances(topology, m);
}

bool machine_load(struct machine *m)
{
	hwloc_topology_t topology;
	bool ok;

	memset(m, 0, sizeof(*m));
	ok = !hwloc_topology_init(&topology);
	if (ok) {
		ok = load(topology, m);
		if (!ok)
			error(0, errno, "hwloc cannot tell the machine's topology");
		hwloc_topology_destroy(topology);
	}
	if (!ok)
		machine_free(m);
	return ok;
}

void machine_free(struct machine *m)
{
	free(m->nodes);
	free(m->cpus);
	free(m->distances);
	memset(m, 0, sizeof(*m));
}

int machine_node_index(const struct machine *m, int number)
{
	for (unsigned int i = 0; i < m->nr_nodes; i++)
		if (m->nodes[i].number == number)
			return i;
	return NO_NODE;
}

int machine_node_of_cpu(const struct machine *m, int cpu)
{
	for (unsigned int i = 0; i < m->nr_cpus; i++)
		if (m->cpus[i].number == cpu)
			return m->cpus[i].node;
	return NO_NODE;
}
