// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See fanout.h. */
#include "fanout.h"

/* Masks follow the legs, each on lines of its own: leaders read them. */
#define MASK_ALIGN	64u

static size_t mask_bytes(void)
{
	return (plat_cpumask_bytes() + MASK_ALIGN - 1) & ~(size_t)(MASK_ALIGN - 1);
}

static size_t head_bytes(u32 nr_nodes)
{
	size_t bytes = sizeof(struct fanout_plan) +
		       nr_nodes * sizeof(struct fanout_leg);

	return (bytes + MASK_ALIGN - 1) & ~(size_t)(MASK_ALIGN - 1);
}

size_t fanout_plan_bytes(u32 nr_nodes)
{
	return head_bytes(nr_nodes) + (nr_nodes + 1) * mask_bytes();
}

/* What a leader does, as an interrupt. */
static void fanout_forward(void *arg)
{
	struct fanout_leg *leg = arg;

	plat_multicast(leg->others);
	/*
	 * [FO-1] The list is read and the interrupts are sent before the count
	 * (release); pairs with [FO-2] in fanout_kick(): else the initiator's
	 * next kick writes the list while it is read, and somebody is not
	 * interrupted. Shape: MP.
	 */
	plat_add64_release(&leg->plan->awaited, -1ull);
}

void fanout_plan_init(struct fanout_plan *plan, u32 nr_nodes)
{
	char *mask = (char *)plan + head_bytes(nr_nodes);

	plan->direct = (plat_cpumask_t *)mask;
	for (u32 i = 0; i < nr_nodes; i++) {
		struct fanout_leg *leg = &plan->leg[i];

		mask += mask_bytes();
		leg->others = (plat_cpumask_t *)mask;
		leg->plan = plan;
		plat_call_init(&leg->call, fanout_forward, leg);
	}
}

void fanout_topology_sort(struct fanout_topology *topo,
			  u32 (*distance)(u32 from, u32 to))
{
	for (u32 from = 0; from < topo->nr_nodes; from++) {
		u8 *order = topo->order[from];
		u32 nr = 0;

		/* By insertion: equal ones stay in the order of their numbers. */
		for (u32 to = 0; to < topo->nr_nodes; to++) {
			u32 at = nr;

			if (to == from)
				continue;
			for (; at && distance(from, order[at - 1]) < distance(from, to); at--)
				order[at] = order[at - 1];
			order[at] = to;
			nr++;
		}
	}
}

/* The first target of a node is its leader. */
static void add_to_leg(struct fanout_leg *leg, unsigned int cpu)
{
	if (!leg->nr++) {
		leg->leader = cpu;
		plat_cpumask_clear(leg->others);
	} else {
		plat_cpumask_set(leg->others, cpu);
	}
}

/* Who is interrupted by whom; returns the number of leaders. */
static u32 sort_out(const struct fanout_topology *topo, struct fanout_plan *plan,
		    u32 home, const plat_cpumask_t *mask)
{
	u32 leaders = 0;

	plat_cpumask_clear(plan->direct);
	for (u32 i = 0; i < topo->nr_nodes; i++)
		plan->leg[i].nr = 0;
	plat_for_each_cpu(cpu, mask) {
		u32 node = plat_load(&topo->node_of[cpu]);

		if (node == home)
			plat_cpumask_set(plan->direct, cpu);
		else
			add_to_leg(&plan->leg[node], cpu);
	}
	for (u32 i = 0; i < topo->nr_nodes; i++) {
		struct fanout_leg *leg = &plan->leg[i];

		/* Alone there: nobody to forward to. */
		if (leg->nr == 1)
			plat_cpumask_set(plan->direct, leg->leader);
		leaders += leg->nr > 1;
	}
	return leaders;
}

/* The leader cannot be called: all of its node are the initiator's. */
static void take_back(struct fanout_plan *plan, struct fanout_leg *leg)
{
	plat_cpumask_set(plan->direct, leg->leader);
	plat_for_each_cpu(cpu, leg->others)
		plat_cpumask_set(plan->direct, cpu);
	plat_add64_release(&plan->awaited, -1ull);
}

static struct fanout_sent call_leaders(const struct fanout_topology *topo,
				       struct fanout_plan *plan, u32 home)
{
	struct fanout_sent sent = { 0, 0 };

	for (u32 i = 0; i + 1 < topo->nr_nodes; i++) {
		struct fanout_leg *leg = &plan->leg[topo->order[home][i]];

		if (leg->nr < 2)
			continue;
		if (!plat_call(leg->leader, &leg->call)) {
			take_back(plan, leg);
			continue;
		}
		sent.leaders++;
		sent.forwarded += leg->nr - 1;
	}
	return sent;
}

struct fanout_sent fanout_kick(const struct fanout_topology *topo,
			       struct fanout_plan *plan, unsigned int self,
			       const plat_cpumask_t *mask)
{
	u32 home = plat_load(&topo->node_of[self]);
	struct fanout_sent sent;

	/* Before any leader can count down. */
	plat_store(&plan->awaited, sort_out(topo, plan, home, mask));
	sent = call_leaders(topo, plan, home);
	plat_multicast(plan->direct);
	/* [FO-2] The count (acquire) before the lists are used again: [FO-1]. */
	while (plat_load_acquire(&plan->awaited))
		plat_cpu_relax();
	return sent;
}
