// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Where memory for guest page tables is. By "local" and "replicate" Linux decides:
 * a page comes from the node of the thread that touches it first, which takes it
 * from its own node's depot, and automatic NUMA balancing moves it to who uses it,
 * walks of the page tables included, when the thread has gone elsewhere. So arenas
 * have no memory policy then: Linux leaves alone what has one. By "interleave" and
 * "bind" the nodes are those of the EPT.
 *
 * libnuma says how many nodes there are, once, in dune_init(); with one node, or
 * without libnuma (Makefile), nothing here does anything.
 */
#include "hw.h"
#include "pool.h"

#ifndef DUNE_NO_NUMA
#include <numa.h>
#include <numaif.h>
#else
#define numa_available()	(-1)
#define numa_max_node()		0
#define MPOL_DEFAULT		0
#define MPOL_INTERLEAVE		3
#define MPOL_PREFERRED_MANY	5
#endif

#define MASK_BITS	64u

static unsigned int nr_nodes = 1;
static int mode;	/* MPOL_... */
static u64 mask;

void node_init(u32 placement, u64 nodes)
{
	u64 all;

	nr_nodes = numa_available() < 0 ? 1 : numa_max_node() + 1;
	all = nr_nodes < MASK_BITS ? (1ull << nr_nodes) - 1 : ~0ull;
	mask = (nodes ? nodes : ~0ull) & all;
	switch (placement) {
	case DUNE_PLACE_INTERLEAVE:
		mode = MPOL_INTERLEAVE;
		break;
	case DUNE_PLACE_BIND:
		mode = MPOL_PREFERRED_MANY;
		break;
	default:
		mode = MPOL_DEFAULT;
	}
}

unsigned int node_here(void)
{
	unsigned int node = nr_nodes > 1 ? hw_cpu_node() : 0;

	return node < nr_nodes ? node : 0;
}

/* A preference: when it cannot be had, memory comes from elsewhere. */
void node_place(void *p, u64 len)
{
	if (nr_nodes > 1 && mode != MPOL_DEFAULT)
		hw_syscall(SYS_mbind, (long)p, len, mode, (long)&mask, MASK_BITS + 1, 0);
}
