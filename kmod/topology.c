// SPDX-License-Identifier: GPL-2.0-only
/* See topology.h. */
#include <linux/cpu.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/topology.h>

#include "fanout.h"
#include "topology.h"

#define FANOUT_DEFAULT	32

unsigned int fanout_from __read_mostly = UINT_MAX;

static struct fanout_topology topo;
/* What a node of ours is to Linux: the number of a node, or of a package. */
static int key_of[FANOUT_MAX_NODES];
static enum cpuhp_state hotplug_state;

/* Used with preemption off, so one per CPU is enough. NULL: no memory. */
static DEFINE_PER_CPU(struct fanout_plan *, plan);
static DEFINE_PER_CPU(struct fanout_sent, sent_here);

/* --- parameters --- */

static unsigned int fanout = FANOUT_DEFAULT;

/* 0: never. */
static void apply(void)
{
	WRITE_ONCE(fanout_from, topo.nr_nodes > 1 && fanout ? fanout : UINT_MAX);
}

static int fanout_set(const char *text, const struct kernel_param *kp)
{
	int err = param_set_uint(text, kp);

	if (!err)
		apply();
	return err;
}

static const struct kernel_param_ops fanout_ops = {
	.set = fanout_set,
	.get = param_get_uint,
};
module_param_cb(fanout, &fanout_ops, &fanout, 0644);
MODULE_PARM_DESC(fanout, "from so many CPUs on, those of other NUMA nodes are interrupted by one CPU of each (default: 32; 0: never)");

static unsigned int fake_nodes[FANOUT_MAX_NODES];
static unsigned int nr_fake;
module_param_array(fake_nodes, uint, &nr_fake, 0444);
MODULE_PARM_DESC(fake_nodes, "for tests: the node of CPU 0, 1, ...; of a CPU beyond the list, the first one's");

/* --- nodes --- */

static int key_of_cpu(unsigned int cpu)
{
	if (nr_fake)
		return fake_nodes[cpu < nr_fake ? cpu : 0];
	if (num_online_nodes() > 1)
		return cpu_to_node(cpu);
	return topology_physical_package_id(cpu);
}

/* A CPU of a node that was not there when the module was loaded: the last one's. */
static u32 node_of_key(int key)
{
	u32 i;

	for (i = 0; i + 1 < topo.nr_nodes; i++)
		if (key_of[i] == key)
			break;
	return i;
}

static void find_nodes(void)
{
	unsigned int cpu;

	cpus_read_lock();
	for_each_online_cpu(cpu) {
		int key = key_of_cpu(cpu);

		if (topo.nr_nodes && key_of[node_of_key(key)] == key)
			continue;
		if (topo.nr_nodes == FANOUT_MAX_NODES)
			break;
		key_of[topo.nr_nodes++] = key;
	}
	cpus_read_unlock();
}

static u32 distance(u32 from, u32 to)
{
	if (nr_fake || num_online_nodes() == 1)
		return from == to ? LOCAL_DISTANCE : REMOTE_DISTANCE;
	return min(node_distance(key_of[from], key_of[to]), 255);
}

/* --- CPUs; on the one that comes, which nobody kicks yet --- */

static int cpu_comes(unsigned int cpu)
{
	struct fanout_plan *mine = per_cpu(plan, cpu);

	WRITE_ONCE(topo.node_of[cpu], node_of_key(key_of_cpu(cpu)));
	if (mine)
		return 0;
	/* A power of two is aligned to itself: Linux' calls want that. */
	mine = kzalloc_node(roundup_pow_of_two(fanout_plan_bytes(topo.nr_nodes)),
			    GFP_KERNEL, cpu_to_node(cpu));
	if (!mine)
		return 0;
	fanout_plan_init(mine, topo.nr_nodes);
	per_cpu(plan, cpu) = mine;
	return 0;
}

int topology_setup(void)
{
	int state;

	find_nodes();
	if (topo.nr_nodes < 2)
		return 0;
	topo.node_of = kcalloc(nr_cpu_ids, sizeof(*topo.node_of), GFP_KERNEL);
	if (!topo.node_of)
		return -ENOMEM;
	fanout_topology_sort(&topo, distance);
	/* Calls cpu_comes() for the CPUs that are there. */
	state = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "virt/dune:topology",
				  cpu_comes, NULL);
	if (state < 0) {
		kfree(topo.node_of);
		return state;
	}
	hotplug_state = state;
	apply();
	return 0;
}

/* No vm is left, so nobody kicks; whoever did has waited for its leaders. */
void topology_teardown(void)
{
	unsigned int cpu;

	WRITE_ONCE(fanout_from, UINT_MAX);
	if (topo.nr_nodes < 2)
		return;
	cpuhp_remove_state(hotplug_state);
	for_each_possible_cpu(cpu)
		kfree(per_cpu(plan, cpu));
	kfree(topo.node_of);
}

/* --- kicks --- */

bool topology_kick(const struct cpumask *mask)
{
	struct fanout_plan *mine = this_cpu_read(plan);

	if (!mine)
		return false;
	*this_cpu_ptr(&sent_here) = fanout_kick(&topo, mine, smp_processor_id(),
						mask);
	return true;
}

void topology_count(struct dune_vm *vm)
{
	struct fanout_sent *sent = this_cpu_ptr(&sent_here);

	vm_count(vm, DUNE_VM_leaders, sent->leaders);
	vm_count(vm, DUNE_VM_forwarded, sent->forwarded);
	*sent = (struct fanout_sent){ 0, 0 };
}
