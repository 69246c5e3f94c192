/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The machine: packages, NUMA nodes, CPUs, as hwloc sees them. */
#ifndef DUNE_TOPO_MACHINE_H
#define DUNE_TOPO_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#define NO_NODE		(-1)
#define NO_PACKAGE	(-1)

struct node {
	int number;		/* Linux' */
	int package;		/* its index; NO_PACKAGE: of several */
	uint64_t memory_bytes;
};

struct cpu {
	int number;		/* Linux' */
	int node;		/* index into nodes, or NO_NODE */
};

struct machine {
	unsigned int nr_packages, nr_nodes, nr_cpus;
	struct node *nodes;
	struct cpu *cpus;
	/* nr_nodes rows of nr_nodes: from the row's node; NULL: not known. */
	uint64_t *distances;
};

/*
 * This machine, or what hwloc's environment (HWLOC_SYNTHETIC, HWLOC_XMLFILE)
 * describes instead. False: with the reason on stderr. The arrays are the
 * caller's, machine_free() frees them.
 */
bool machine_load(struct machine *m);
void machine_free(struct machine *m);

/* Index of a node by Linux' number; NO_NODE: there is no such node. */
int machine_node_index(const struct machine *m, int number);

/* Index of the node of a CPU by Linux' number, or NO_NODE. */
int machine_node_of_cpu(const struct machine *m, int cpu);

#endif /* DUNE_TOPO_MACHINE_H */
