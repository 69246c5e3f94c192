/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which NUMA node a vm's EPT is on: what DUNE_CREATE_VM asked for (enum
 * dune_placement), turned into the node of the next table page, and into the
 * replica that a CPU's node uses.
 *
 * Nodes are those of the table pages' users: a vCPU's is the node of the CPU that
 * its VMCS was loaded on last.
 */
#ifndef KMOD_PLACEMENT_H
#define KMOD_PLACEMENT_H

#include <linux/nodemask.h>
#include <linux/types.h>
#include <uapi/dune.h>

struct dune_vcpu;
struct dune_vm;
struct replica;

struct placement {
	enum dune_placement policy;	/* (i) */
	nodemask_t nodes;		/* (i) INTERLEAVE, BIND: those with memory */
	u32 reclaim_next;		/* vms_lock; index of a replica */
	u8 *replica_of;			/* (i) REPLICATE: index by node, nr_node_ids */
};

/* Fills *p; 0 or -EINVAL: an unknown policy, or no such node. */
int placement_init(struct placement *p, const struct dune_create_vm *req);

/*
 * The other replicas, and which node has which; after the vm's first is complete,
 * before its first vCPU. Nothing to do without REPLICATE. 0 or -ENOMEM.
 */
int placement_begin(struct dune_vm *vm);
/* After the last vCPU. */
void placement_end(struct dune_vm *vm);

/*
 * The vCPU is on a CPU of this node now: what it uses from its next entry on.
 * Preemption off, its VMCS loaded here. True: its EPT is another one now.
 */
bool placement_moved(struct dune_vcpu *vcpu, int node);

/* The node whose CPUs use that replica; NUMA_NO_NODE: all nodes' do. Any context. */
int placement_user_node(const struct dune_vm *vm, u32 replica);

/* Fill the vCPU's table cache with pages of the right nodes. May sleep. 0, -ENOMEM. */
int placement_fill(struct dune_vcpu *vcpu);

#endif /* KMOD_PLACEMENT_H */
