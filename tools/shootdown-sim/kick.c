// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Linux' calls as kernel/smp.c makes them, by their accesses of shared lines: for
 * each target a request, kept with the target, and the head of the target's queue;
 * then interrupts; then the wait for each request to be unlocked.
 */
#include "kick.h"

#include <stdlib.h>
#include <string.h>

#include "cost.h"
#include "topology.h"

/* A CPU's queue of calls; the head stands for a line of its own. */
struct queue {
	u64 head;
	plat_call_t **call;
	u32 nr;
} __attribute__((aligned(64)));

static struct {
	enum policy policy;
	unsigned int from;
	struct fanout_topology topo;
	u32 node_of[SIM_MAX_CPUS];
	struct fanout_plan *plan;
	struct queue *queue;
	plat_call_t *request;		/* of the one initiator, by target */
	plat_cpumask_t mask;
} k;

const char *const policy_names[NR_POLICIES] = {
	"flat", "far-first", "near-first", "direct", "leaders",
};

static u32 distance(u32 from, u32 to)
{
	return sim_topology()->distance[from][to];
}

static void *lines(size_t bytes)
{
	void *p = aligned_alloc(64, (bytes + 63) & ~(size_t)63);

	if (!p)
		abort();
	memset(p, 0, (bytes + 63) & ~(size_t)63);
	return p;
}

static void nothing(void *unused)
{
	(void)unused;
}

void kick_begin(enum policy policy, unsigned int from)
{
	const struct topology *topology = sim_topology();
	u32 nodes = policy == POLICY_DIRECT ? 1 : topology->nr_nodes;

	memset(&k, 0, sizeof(k));
	k.policy = policy;
	k.from = from;
	k.topo.nr_nodes = nodes;
	k.topo.node_of = k.node_of;
	k.queue = lines(topology->nr_cpus * sizeof(*k.queue));
	k.request = lines(topology->nr_cpus * sizeof(*k.request));
	for (u32 i = 0; i < topology->nr_cpus; i++) {
		k.node_of[i] = nodes > 1 ? topology->node[i] : 0;
		plat_call_init(&k.request[i], nothing, NULL);
	}
	fanout_topology_sort(&k.topo, distance);
	k.plan = lines(fanout_plan_bytes(nodes));
	fanout_plan_init(k.plan, nodes);
}

void kick_end(void)
{
	for (u32 i = 0; i < sim_nr_cpus(); i++)
		free(k.queue[i].call);
	free(k.queue);
	free(k.request);
	free(k.plan);
}

/* --- interrupts --- */

static void send_to(u32 cpu)
{
	const struct topology *topology = sim_topology();

	sim_interrupt(cpu, cost_ipi(sim_cost(),
		topology->distance[topology->node[sim_self()]][topology->node[cpu]]));
}

/* CPUs that one write of the command register reaches. */
static u32 group_of(u32 cpu)
{
	const struct topology *topology = sim_topology();
	u32 most = SIM_MAX_CPUS / sim_cost()->group + 1;

	return topology->package[cpu] * most +
	       topology->in_package[cpu] / sim_cost()->group;
}

static void write_icr(void)
{
	sim_count()->icr_writes++;
	sim_spend(sim_cost()->icr);
}

/* In the order of the list; CPUs of one group are interrupted with its first. */
static void send_to_list(const u32 *cpus, u32 nr)
{
	bool sent[SIM_MAX_CPUS] = { false };

	for (u32 i = 0; i < nr; i++) {
		if (sent[i])
			continue;
		write_icr();
		for (u32 j = i; j < nr; j++)
			if (!sent[j] && group_of(cpus[j]) == group_of(cpus[i])) {
				send_to(cpus[j]);
				sent[j] = true;
			}
	}
}

static u32 list_of(const plat_cpumask_t *mask, u32 *cpus)
{
	u32 nr = 0;

	plat_for_each_cpu(cpu, mask)
		cpus[nr++] = cpu;
	return nr;
}

void plat_multicast(const plat_cpumask_t *mask)
{
	u32 cpus[SIM_MAX_CPUS];

	send_to_list(cpus, list_of(mask, cpus));
}

/* --- Linux' calls --- */

/* True: the queue was empty, so an interrupt has to be sent. */
static bool enqueue(u32 cpu, plat_call_t *call)
{
	struct queue *queue = &k.queue[cpu];
	bool empty;

	plat_store(&call->locked, 1);
	sim_rmw(&queue->head);
	queue->call = realloc(queue->call, (queue->nr + 1) * sizeof(*queue->call));
	if (!queue->call)
		abort();
	empty = !queue->nr;
	queue->call[queue->nr++] = call;
	return empty;
}

/* smp_call_function_single_async() */
bool plat_call(unsigned int cpu, plat_call_t *call)
{
	if (plat_load(&call->locked))
		return false;
	if (enqueue(cpu, call)) {
		write_icr();
		send_to(cpu);
	}
	return true;
}

/* flush_smp_call_function_queue(); the initiator's requests are unlocked last. */
void kick_handler(void)
{
	struct queue *queue = &k.queue[sim_self()];
	u32 nr;

	sim_spend(sim_cost()->handler);
	/* An exchange of the head, whatever is in it. */
	sim_rmw(&queue->head);
	nr = queue->nr;
	queue->nr = 0;
	for (u32 i = 0; i < nr; i++) {
		plat_call_t *call = queue->call[i];
		bool is_request = call >= k.request && call < k.request + sim_nr_cpus();

		sim_read(&call->locked);
		if (!is_request)
			plat_store(&call->locked, 0);
		call->fn(call->arg);
		if (is_request)
			plat_store(&call->locked, 0);
	}
}

/* smp_call_function_many(mask, fn, NULL, true) over a list. */
static void call_many(const u32 *cpus, u32 nr)
{
	for (u32 i = 0; i < nr; i++)
		enqueue(cpus[i], &k.request[cpus[i]]);
	send_to_list(cpus, nr);
	for (u32 i = 0; i < nr; i++)
		while (plat_load(&k.request[cpus[i]].locked))
			sim_relax();
}

/* --- policies --- */

static u32 from_here(u32 cpu)
{
	const struct topology *topology = sim_topology();

	return topology->distance[topology->node[sim_self()]][topology->node[cpu]];
}

/* By insertion: those as far stay in their order. */
static void by_distance(u32 *cpus, u32 nr, enum policy policy)
{
	for (u32 i = 1; i < nr; i++) {
		u32 cpu = cpus[i], at = i;

		while (at && (policy == POLICY_FAR_FIRST ?
			      from_here(cpus[at - 1]) < from_here(cpu) :
			      from_here(cpus[at - 1]) > from_here(cpu))) {
			cpus[at] = cpus[at - 1];
			at--;
		}
		cpus[at] = cpu;
	}
}

plat_cpumask_t *plat_kick_mask(void)
{
	return &k.mask;
}

void plat_kick(const plat_cpumask_t *mask, unsigned int nr)
{
	u32 cpus[SIM_MAX_CPUS];
	u32 listed;

	if (k.policy == POLICY_DIRECT ||
	    (k.policy == POLICY_LEADERS && k.topo.nr_nodes > 1 && nr >= k.from)) {
		fanout_kick(&k.topo, k.plan, sim_self(), mask);
		return;
	}
	listed = list_of(mask, cpus);
	if (k.policy == POLICY_FAR_FIRST || k.policy == POLICY_NEAR_FIRST)
		by_distance(cpus, listed, k.policy);
	call_many(cpus, listed);
}
