// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "topology.h"

#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOCAL		10u
#define ONE_HOP		21u
#define TWO_HOPS	31u
#define GROUP_NODES	4u	/* more nodes than that are not all neighbours */

const char *const topology_presets[] = {
	"1node", "[numa] pack:1 core:16 pu:1",
	"2x28", "pack:2 [numa] core:28 pu:2",
	"64", "pack:4 [numa] core:16 pu:1",
	"4x48", "pack:4 [numa] core:48 pu:1",
	"8x60", "pack:8 [numa] core:60 pu:1",
	NULL,
};

static const char *description_of(const char *text)
{
	for (u32 i = 0; topology_presets[i]; i += 2)
		if (!strcmp(topology_presets[i], text))
			return topology_presets[i + 1];
	return text;
}

static bool is_file(const char *text)
{
	size_t length = strlen(text);

	return strchr(text, '/') || (length > 4 && !strcmp(text + length - 4, ".xml"));
}

static int load(hwloc_topology_t hw, const char *text)
{
	int err = is_file(text) ? hwloc_topology_set_xml(hw, text) :
		  hwloc_topology_set_synthetic(hw, description_of(text));

	return err ? err : hwloc_topology_load(hw);
}

static u32 above(hwloc_topology_t hw, hwloc_obj_t pu, hwloc_obj_type_t type)
{
	hwloc_obj_t obj = hwloc_get_ancestor_obj_by_type(hw, type, pu);

	return obj ? obj->logical_index : 0;
}

static u32 node_above(hwloc_topology_t hw, hwloc_obj_t pu)
{
	int os_index = hwloc_bitmap_first(pu->nodeset);
	hwloc_obj_t node = os_index < 0 ? NULL :
			   hwloc_get_numanode_obj_by_os_index(hw, os_index);

	return node ? node->logical_index : 0;
}

static int read_cpus(struct topology *topology, hwloc_topology_t hw)
{
	u32 in_package[SIM_MAX_CPUS] = { 0 };
	hwloc_const_cpuset_t all = hwloc_topology_get_topology_cpuset(hw);
	u32 cpu = 0, os_index;

	hwloc_bitmap_foreach_begin(os_index, all)
		hwloc_obj_t pu = hwloc_get_pu_obj_by_os_index(hw, os_index);

		if (cpu == SIM_MAX_CPUS)
			return -1;
		topology->core[cpu] = above(hw, pu, HWLOC_OBJ_CORE);
		topology->package[cpu] = above(hw, pu, HWLOC_OBJ_PACKAGE);
		topology->node[cpu] = node_above(hw, pu);
		topology->node_of_core[topology->core[cpu]] = topology->node[cpu];
		topology->in_package[cpu] = in_package[topology->package[cpu]]++;
		cpu++;
	hwloc_bitmap_foreach_end();
	topology->nr_cpus = cpu;
	return 0;
}

/* Where nobody says: neighbours, but of many nodes only each group of four. */
static void default_distances(struct topology *topology)
{
	for (u32 i = 0; i < topology->nr_nodes; i++)
		for (u32 j = 0; j < topology->nr_nodes; j++)
			topology->distance[i][j] = i == j ? LOCAL :
				i / GROUP_NODES == j / GROUP_NODES ? ONE_HOP : TWO_HOPS;
}

static void read_distances(struct topology *topology, hwloc_topology_t hw)
{
	struct hwloc_distances_s *found = NULL;
	unsigned int nr = 1;

	default_distances(topology);
	if (hwloc_distances_get_by_type(hw, HWLOC_OBJ_NUMANODE, &nr, &found,
					HWLOC_DISTANCES_KIND_MEANS_LATENCY, 0) ||
	    !nr)
		return;
	for (u32 i = 0; i < found->nbobjs; i++)
		for (u32 j = 0; j < found->nbobjs; j++)
			topology->distance[found->objs[i]->logical_index]
					  [found->objs[j]->logical_index] =
				found->values[i * found->nbobjs + j];
	hwloc_distances_release(hw, found);
}

static int read_all(struct topology *topology, hwloc_topology_t hw)
{
	int nodes = hwloc_get_nbobjs_by_type(hw, HWLOC_OBJ_NUMANODE);

	topology->nr_nodes = nodes > 0 ? nodes : 1;
	if (topology->nr_nodes > TOPOLOGY_MAX_NODES || read_cpus(topology, hw))
		return -1;
	read_distances(topology, hw);
	return 0;
}

struct topology *topology_load(const char *text)
{
	struct topology *topology = calloc(1, sizeof(*topology));
	hwloc_topology_t hw;

	if (!topology || hwloc_topology_init(&hw)) {
		free(topology);
		return NULL;
	}
	snprintf(topology->name, sizeof(topology->name), "%s", text);
	if (load(hw, text)) {
		fprintf(stderr, "shootdown-sim: %s: no topology that hwloc understands\n", text);
	} else if (read_all(topology, hw)) {
		fprintf(stderr, "shootdown-sim: %s: more than %u CPUs or %u nodes\n",
			text, SIM_MAX_CPUS, TOPOLOGY_MAX_NODES);
	} else {
		hwloc_topology_destroy(hw);
		return topology;
	}
	hwloc_topology_destroy(hw);
	free(topology);
	return NULL;
}
