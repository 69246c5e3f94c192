/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The machine that is simulated, from hwloc: a synthetic string or an XML file. */
#ifndef SHOOTDOWN_SIM_TOPOLOGY_H
#define SHOOTDOWN_SIM_TOPOLOGY_H

#include "sim.h"

#define TOPOLOGY_MAX_NODES	64u

/* CPUs are numbered as the operating system does (os_index), without holes. */
struct topology {
	char name[128];
	u32 nr_cpus, nr_nodes;
	u32 core[SIM_MAX_CPUS], package[SIM_MAX_CPUS], node[SIM_MAX_CPUS];
	u32 node_of_core[SIM_MAX_CPUS];
	u32 in_package[SIM_MAX_CPUS];	/* rank among the CPUs of its package */
	u32 distance[TOPOLOGY_MAX_NODES][TOPOLOGY_MAX_NODES];
};

/*
 * A name of topology_presets, a synthetic description, or an XML file (a text
 * with a '/' or ending in .xml). NULL: said why on stderr. To be freed.
 */
struct topology *topology_load(const char *text);

/* Name and description by turns, NULL at the end. */
extern const char *const topology_presets[];

#endif /* SHOOTDOWN_SIM_TOPOLOGY_H */
