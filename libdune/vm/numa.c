// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Where memory is: arenas are preferred on the node of the thread that makes
 * them. libnuma says how many nodes there are, once, in dune_init(); with one
 * node, or without libnuma (Makefile), nothing here does anything.
 */
#include "hw.h"
#include "pool.h"

#ifndef DUNE_NO_NUMA
#include <numa.h>
#include <numaif.h>
#else
#define numa_available()	(-1)
#define numa_max_node()		0
#define MPOL_PREFERRED		1
#endif

static unsigned int nr_nodes = 1;

unsigned int node_init(void)
{
	nr_nodes = numa_available() < 0 ? 1 : numa_max_node() + 1;
	return nr_nodes;
}

unsigned int node_here(void)
{
	unsigned int node = nr_nodes > 1 ? hw_cpu_node() : 0;

	return node < nr_nodes ? node : 0;
}

/* A preference: when it cannot be had, memory comes from elsewhere. */
void node_bind(void *p, u64 len, unsigned int node)
{
	u64 mask = 1ull << node;

	if (nr_nodes > 1)
		hw_syscall(SYS_mbind, (long)p, len, MPOL_PREFERRED, (long)&mask,
			   8 * sizeof(mask) + 1, 0);
}
