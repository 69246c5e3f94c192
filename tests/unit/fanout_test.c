// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Who interrupts whom, in which order, and when the initiator may go on. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "fanout.h"

#define NR		16u
#define NR_NODES	4u
#define MAX_EVENTS	32

enum event { CALL, MULTICAST };

static struct {
	struct fanout_topology topo;
	u32 node_of[PLAT_NR_CPUS];
	struct fanout_plan *plan;
	unsigned int hit[NR];		/* interrupts, calls included */
	unsigned int nr_events;
	struct {
		enum event what;
		unsigned int cpu;	/* that was called */
		u64 mask;		/* that was interrupted */
		u64 awaited;		/* then */
	} event[MAX_EVENTS];
	unsigned int fail_call_of;	/* NR: none */
	plat_call_t *kept;		/* called and not yet run */
} s;

/* A line of nodes: 10 per step. */
static u32 on_a_line(u32 from, u32 to)
{
	return 10 * (from > to ? from - to : to - from);
}

static void note(enum event what, unsigned int cpu, u64 mask)
{
	s.event[s.nr_events].what = what;
	s.event[s.nr_events].cpu = cpu;
	s.event[s.nr_events].awaited = plat_load(&s.plan->awaited);
	s.event[s.nr_events++].mask = mask;
}

static void multicast(const plat_cpumask_t *mask)
{
	note(MULTICAST, 0, mask->word[0]);
	plat_for_each_cpu(cpu, mask)
		__atomic_fetch_add(&s.hit[cpu], 1, __ATOMIC_RELAXED);
}

/* The leader's interrupt comes at once. */
static bool call_now(unsigned int cpu, plat_call_t *call)
{
	if (cpu == s.fail_call_of)
		return false;
	note(CALL, cpu, 0);
	s.hit[cpu]++;
	call->fn(call->arg);
	return true;
}

/* It comes later: run_kept(). */
static bool call_later(unsigned int cpu, plat_call_t *call)
{
	note(CALL, cpu, 0);
	s.hit[cpu]++;
	__atomic_store_n(&s.kept, call, __ATOMIC_RELEASE);
	return true;
}

static void run_kept(void)
{
	plat_call_t *call;

	while (!(call = __atomic_load_n(&s.kept, __ATOMIC_ACQUIRE)))
		usleep(1000);
	call->fn(call->arg);
}

/* NR CPUs on so many nodes, one after the other: 0, 1, 2, 3, 0, 1 ... */
static void reset_with(u32 nr_nodes, bool (*call)(unsigned int, plat_call_t *))
{
	struct plat_test_hooks hooks = { .call = call, .multicast = multicast };

	free(s.plan);
	memset(&s, 0, sizeof(s));
	s.fail_call_of = NR;
	s.topo.nr_nodes = nr_nodes;
	s.topo.node_of = s.node_of;
	for (unsigned int i = 0; i < NR; i++)
		s.node_of[i] = i % nr_nodes;
	fanout_topology_sort(&s.topo, on_a_line);
	s.plan = aligned_alloc(64, fanout_plan_bytes(nr_nodes));
	memset(s.plan, 0, fanout_plan_bytes(nr_nodes));
	fanout_plan_init(s.plan, nr_nodes);
	plat_test_hooks(&hooks);
}

static void reset(u32 nr_nodes)
{
	reset_with(nr_nodes, call_now);
}

static struct fanout_sent kick(unsigned int self, u64 targets)
{
	plat_cpumask_t mask = { { targets } };

	return fanout_kick(&s.topo, s.plan, self, &mask);
}

static void check_hits(u64 targets)
{
	for (unsigned int i = 0; i < NR; i++)
		CHECK_EQ(s.hit[i], targets >> i & 1);
}

static void each_target_is_interrupted_once_and_no_other(void)
{
	for (u32 nodes = 1; nodes <= NR_NODES; nodes++)
		for (u64 targets = 0; targets < 1u << NR; targets += 251) {
			unsigned int self = targets % NR;

			reset(nodes);
			kick(self, targets & ~(1ull << self));
			check_hits(targets & ~(1ull << self));
			CHECK_EQ(s.plan->awaited, 0);
		}
}

static void the_lists_of_an_earlier_kick_are_gone(void)
{
	reset(2);
	kick(0, 0xfffe);
	memset(s.hit, 0, sizeof(s.hit));
	kick(0, 0x00a0);
	check_hits(0x00a0);
}

static void one_leader_a_node_forwards_to_the_rest_of_it(void)
{
	struct fanout_sent sent;

	reset(2);
	sent = kick(0, 0x00fe);		/* near: 2, 4, 6; far: 1, 3, 5, 7 */
	CHECK_EQ(sent.leaders, 1);
	CHECK_EQ(sent.forwarded, 3);
	CHECK_EQ(s.nr_events, 3);
	CHECK_EQ(s.event[0].what, CALL);
	CHECK_EQ(s.event[0].cpu, 1);
	CHECK_EQ(s.event[1].what, MULTICAST);
	CHECK_EQ(s.event[1].mask, 0xa8);
	CHECK_EQ(s.event[2].what, MULTICAST);
	CHECK_EQ(s.event[2].mask, 0x54);
}

static void who_is_alone_on_a_node_forwards_nothing(void)
{
	struct fanout_sent sent;

	reset(4);
	sent = kick(0, 0x001e);		/* 1, 2, 3 alone; 4 near */
	CHECK_EQ(sent.leaders, 0);
	CHECK_EQ(sent.forwarded, 0);
	CHECK_EQ(s.nr_events, 1);
	CHECK_EQ(s.event[0].mask, 0x1e);
}

static void the_farthest_is_called_first(void)
{
	static const unsigned int leader[NR_NODES][NR_NODES - 1] = {
		{ 3, 2, 1 }, { 3, 0, 2 }, { 0, 1, 3 }, { 0, 1, 2 },
	};

	for (unsigned int self = 0; self < NR_NODES; self++) {
		unsigned int at = 0;

		reset(NR_NODES);
		kick(self + 12, 0xfff);
		for (unsigned int i = 0; i < s.nr_events; i++)
			if (s.event[i].what == CALL)
				CHECK_EQ(s.event[i].cpu, leader[self][at++]);
		CHECK_EQ(at, NR_NODES - 1);
	}
}

static void a_node_whose_leader_cannot_be_called_is_the_initiators(void)
{
	struct fanout_sent sent;

	reset(4);
	s.fail_call_of = 2;
	sent = kick(0, 0xfffe);
	check_hits(0xfffe);
	CHECK_EQ(sent.leaders, 2);
	CHECK_EQ(sent.forwarded, 6);
	CHECK_EQ(s.plan->awaited, 0);
}

/* --- two threads --- */

static int kick_is_over;

static void *kick_thread(void *unused)
{
	kick(0, 0x000e);	/* 2 near; 1 leads, 3 */
	__atomic_store_n(&kick_is_over, 1, __ATOMIC_RELEASE);
	return unused;
}

static void it_waits_until_the_leader_has_forwarded(void)
{
	pthread_t thread;

	reset_with(2, call_later);
	kick_is_over = 0;
	pthread_create(&thread, NULL, kick_thread, NULL);
	usleep(50000);
	CHECK(!__atomic_load_n(&kick_is_over, __ATOMIC_ACQUIRE));
	CHECK_EQ(__atomic_load_n(&s.hit[2], __ATOMIC_RELAXED), 1);
	CHECK_EQ(__atomic_load_n(&s.hit[3], __ATOMIC_RELAXED), 0);
	run_kept();
	pthread_join(thread, NULL);
	check_hits(0x000e);
}

/* By then its list is the initiator's again. */
static void a_leader_counts_when_it_has_forwarded(void)
{
	struct fanout_leg *leg;

	reset(2);
	leg = &s.plan->leg[1];
	s.plan->awaited = 2;
	plat_cpumask_set(leg->others, 5);
	leg->call.fn(leg->call.arg);
	CHECK_EQ(s.hit[5], 1);
	CHECK_EQ(s.event[0].awaited, 2);
	CHECK_EQ(s.plan->awaited, 1);
}

int main(void)
{
	plat_rcu_register();
	CASE(each_target_is_interrupted_once_and_no_other);
	CASE(the_lists_of_an_earlier_kick_are_gone);
	CASE(one_leader_a_node_forwards_to_the_rest_of_it);
	CASE(who_is_alone_on_a_node_forwards_nothing);
	CASE(the_farthest_is_called_first);
	CASE(a_node_whose_leader_cannot_be_called_is_the_initiators);
	CASE(it_waits_until_the_leader_has_forwarded);
	CASE(a_leader_counts_when_it_has_forwarded);
	plat_rcu_unregister();
	free(s.plan);
	return CHECK_EXIT();
}
