// SPDX-License-Identifier: GPL-2.0-only
/* See placement.h. */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/topology.h>

#include "follow.h"
#include "placement.h"
#include "pt_range.h"
#include "vcpu.h"

/* As in pt_cache.place. */
static u32 place_of(int node)
{
	return node + 1;
}

static bool takes_nodes(enum dune_placement policy)
{
	return policy == DUNE_PLACE_INTERLEAVE || policy == DUNE_PLACE_BIND;
}

int placement_init(struct placement *p, const struct dune_create_vm *req)
{
	int node;

	if (req->placement > DUNE_PLACE_REPLICATE ||
	    (req->nodes && !takes_nodes(req->placement)))
		return -EINVAL;
	*p = (struct placement){ .policy = req->placement };
	for_each_node_state(node, N_MEMORY)
		if (node < 64 && req->nodes >> node & 1)
			node_set(node, p->nodes);
	if (p->policy == DUNE_PLACE_INTERLEAVE && !req->nodes)
		p->nodes = node_states[N_MEMORY];
	return takes_nodes(p->policy) && nodes_empty(p->nodes) ? -EINVAL : 0;
}

static struct replica *make_replica(struct dune_vm *vm, int node)
{
	struct replica *r = kzalloc_node(sizeof(*r), GFP_KERNEL_ACCOUNT, node);

	if (!r)
		return NULL;
	if (pt_init_at(&r->pt, vm->ept.first.pt.geom, place_of(node))) {
		kfree(r);
		return NULL;
	}
	plat_note(r, sizeof(*r), "replica");
	sd_vm_init(&r->sd, pt_root_pa(&r->pt), vm->ept.first.sd.cpus, vm->sd_cpu);
	vm_count(vm, DUNE_VM_ept_tables, 1);
	return r;
}

static void free_replicas(struct dune_vm *vm, struct replica **more, u32 nr)
{
	while (nr--) {
		pt_destroy(&more[nr]->pt);
		plat_note_gone(more[nr]);
		kfree(more[nr]);
	}
	kfree(more);
}

/*
 * One a node that has CPUs; the first replica is the creator's. A CPU of a node
 * that comes later uses the first.
 */
static int make_replicas(struct dune_vm *vm, struct replica **more, u32 *nr)
{
	int home = numa_node_id(), node;

	for_each_node_state(node, N_CPU) {
		if (node == home || *nr == REPLICAS_MAX - 1)
			continue;
		more[*nr] = make_replica(vm, node);
		if (!more[*nr])
			return -ENOMEM;
		vm->placement.replica_of[node] = ++*nr;
	}
	return 0;
}

int placement_begin(struct dune_vm *vm)
{
	struct replica **more;
	u32 nr = 0;

	if (vm->placement.policy != DUNE_PLACE_REPLICATE)
		return 0;
	vm->placement.replica_of = kcalloc(nr_node_ids, sizeof(u8), GFP_KERNEL_ACCOUNT);
	more = kcalloc(min(nr_node_ids, REPLICAS_MAX), sizeof(*more), GFP_KERNEL_ACCOUNT);
	if (!vm->placement.replica_of || !more || make_replicas(vm, more, &nr)) {
		free_replicas(vm, more, nr);
		kfree(vm->placement.replica_of);
		vm->placement.replica_of = NULL;
		return -ENOMEM;
	}
	replicas_join(&vm->ept, more, nr);
	return 0;
}

void placement_end(struct dune_vm *vm)
{
	if (!vm->placement.replica_of)
		return;
	free_replicas(vm, vm->ept.more, vm->ept.nr_more);
	kfree(vm->placement.replica_of);
}

static u32 nearest(const nodemask_t *nodes, int from)
{
	int best = first_node(*nodes), node;

	for_each_node_mask(node, *nodes)
		if (node_distance(from, node) < node_distance(from, best))
			best = node;
	return place_of(best);
}

bool placement_moved(struct dune_vcpu *vcpu, int node)
{
	struct dune_vm *vm = vcpu->vm;
	struct replica *old = vcpu->replica;

	if (vcpu->node != node)
		follow_moved(vcpu, node);
	vcpu->node = node;
	switch (vm->placement.policy) {
	case DUNE_PLACE_REPLICATE:
		vcpu->replica = replicas_at(&vm->ept, vm->placement.replica_of[node]);
		fallthrough;
	case DUNE_PLACE_LOCAL:
		vcpu->place = place_of(cpu_to_mem(vcpu->vmx.last_cpu));
		break;
	case DUNE_PLACE_BIND:
		vcpu->place = nearest(&vm->placement.nodes, node);
		break;
	case DUNE_PLACE_INTERLEAVE:
		break;
	}
	return vcpu->replica != old;
}

int placement_user_node(const struct dune_vm *vm, u32 replica)
{
	int node;

	if (vm->placement.replica_of)
		for_each_node_state(node, N_CPU)
			if (vm->placement.replica_of[node] == replica)
				return node;
	return NUMA_NO_NODE;
}

static u32 next_place(struct dune_vcpu *vcpu)
{
	if (vcpu->vm->placement.policy != DUNE_PLACE_INTERLEAVE)
		return READ_ONCE(vcpu->place);
	vcpu->next_node = next_node_in(vcpu->next_node, vcpu->vm->placement.nodes);
	return place_of(vcpu->next_node);
}

static void count_place(struct dune_vcpu *vcpu, const struct pt_cache *cache)
{
	bool there = place_of(page_to_nid(virt_to_page(cache->tables->entry))) == cache->place;

	vm_count(vcpu->vm, there ? DUNE_VM_tables_near : DUNE_VM_tables_far, 1);
}

/* What the cache has of a node that the thread has left goes back. */
int placement_fill(struct dune_vcpu *vcpu)
{
	struct pt_cache *cache = &vcpu->tables;
	u32 place = READ_ONCE(vcpu->place);
	int err = 0;

	if (cache->place != place)
		pt_cache_drain(cache);
	while (!err && cache->nr < PT_CACHE_MAX) {
		cache->place = next_place(vcpu);
		err = pt_cache_fill_to(cache, cache->nr + 1);
		if (!err)
			count_place(vcpu, cache);
	}
	cache->place = place;
	return err;
}
