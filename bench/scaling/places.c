// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "places.h"

#include <errno.h>
#include <hwloc.h>
#include <stdint.h>
#include <stdlib.h>

/* What a CPU is sorted by, the most important first. */
struct key {
	uint64_t distance;	/* of its package from the first CPU's */
	unsigned int package;	/* logical index, counted from the first CPU's */
	unsigned int sibling;	/* which hardware thread of its core */
	int apart;		/* levels up to what it shares with the first CPU */
	unsigned int index;	/* logical index */
	int cpu;
};

/* Some virtual machines have no packages: then all is one. */
static hwloc_obj_t package_of(hwloc_topology_t topology, hwloc_obj_t pu)
{
	hwloc_obj_t package;

	package = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_PACKAGE, pu);
	return package ? package : hwloc_get_root_obj(topology);
}

static unsigned int sibling_of(hwloc_topology_t topology, hwloc_obj_t pu)
{
	hwloc_obj_t core;
	unsigned int before = 0;

	core = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_CORE, pu);
	if (!core)
		return 0;
	for (hwloc_obj_t p = pu; (p = p->prev_cousin);)
		before += hwloc_obj_is_in_subtree(topology, p, core);
	return before;
}

/* The first NUMA node beside or in the package. */
static hwloc_obj_t node_of(hwloc_topology_t topology, hwloc_obj_t package)
{
	hwloc_obj_t node = NULL;

	while ((node = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, node)))
		if (hwloc_bitmap_intersects(node->cpuset, package->cpuset))
			return node;
	return NULL;
}

/* How far memory of the other package is; 0 where the machine does not say. */
static uint64_t distance_of(hwloc_topology_t topology, hwloc_obj_t from, hwloc_obj_t to)
{
	hwloc_obj_t a = node_of(topology, from), b = node_of(topology, to);
	struct hwloc_distances_s *distances;
	hwloc_uint64_t there, back;
	unsigned int nr = 1;
	uint64_t result = 0;

	if (!a || !b || from == to)
		return 0;
	if (hwloc_distances_get_by_type(topology, HWLOC_OBJ_NUMANODE, &nr, &distances,
					HWLOC_DISTANCES_KIND_MEANS_LATENCY, 0) || !nr)
		return 0;
	if (hwloc_distances_obj_pair_values(distances, a, b, &there, &back) == 0)
		result = there;
	hwloc_distances_release(topology, distances);
	return result;
}

static int levels_apart(hwloc_topology_t topology, hwloc_obj_t pu, hwloc_obj_t first)
{
	if (pu == first)
		return 0;
	return first->depth - hwloc_get_common_ancestor_obj(topology, pu, first)->depth;
}

static void fill_key(hwloc_topology_t topology, hwloc_obj_t pu, hwloc_obj_t first,
		     struct key *key)
{
	hwloc_obj_t home = package_of(topology, first), package = package_of(topology, pu);
	int nr = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PACKAGE);

	*key = (struct key){
		.distance = distance_of(topology, home, package),
		.sibling = sibling_of(topology, pu),
		.index = pu->logical_index,
		.cpu = pu->os_index,
	};
	if (package != home)
		key->package = (package->logical_index + nr - home->logical_index) % nr;
	else if (key->sibling == sibling_of(topology, first))
		key->sibling = 0;	/* the first CPU may be its core's second thread */
	else if (key->sibling == 0)
		key->sibling = sibling_of(topology, first);
	/* Other packages are all equally far in the tree. */
	if (package == home)
		key->apart = levels_apart(topology, pu, first);
}

static int compare(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int by_key(const void *x, const void *y)
{
	const struct key *a = x, *b = y;
	int order = compare(a->distance, b->distance);

	order = order ? order : compare(a->package, b->package);
	order = order ? order : compare(a->sibling, b->sibling);
	order = order ? order : compare(a->apart, b->apart);
	return order ? order : compare(a->index, b->index);
}

static int sort(hwloc_topology_t topology, struct places *places, int first)
{
	int nr = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU);
	hwloc_obj_t begin, pu = NULL;
	struct key *keys;
	int n = 0;

	if (nr <= 0)
		return -EIO;
	if (nr > PLACES_MAX)
		return -E2BIG;
	begin = hwloc_get_pu_obj_by_os_index(topology, first);
	if (!begin)
		begin = hwloc_get_obj_by_type(topology, HWLOC_OBJ_PU, 0);
	keys = calloc(nr, sizeof(*keys));
	if (!keys)
		return -ENOMEM;
	while ((pu = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PU, pu)))
		fill_key(topology, pu, begin, &keys[n++]);
	qsort(keys, nr, sizeof(*keys), by_key);
	places->nr = nr;
	for (int i = 0; i < nr; i++)
		places->cpu[i] = keys[i].cpu;
	free(keys);
	return 0;
}

int places_load(struct places *places, int first)
{
	hwloc_topology_t topology;
	int err = -EIO;

	if (hwloc_topology_init(&topology))
		return -ENOMEM;
	/*
	 * Linux says it all. The other way, CPUID on each CPU, would take this
	 * process everywhere, and exits.
	 */
	hwloc_topology_set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "x86");
	if (hwloc_topology_load(topology) == 0)
		err = sort(topology, places, first);
	hwloc_topology_destroy(topology);
	return err;
}
