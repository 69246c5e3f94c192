// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Interrupts between the simulated CPUs: one to each, waited for, or by leaders
 * (smp/fanout.c), as plat_kick() of kmod/flush.c chooses. What an interrupt does
 * is done by its CPU, outside of the guest.
 */
#include "world.h"

/* How often a call cannot be made: then the initiator interrupts a whole node. */
#define CALL_FAILS	64

/* A thread of the mm is on a node too. */
static unsigned int self(void)
{
	return this_cpu ? this_cpu->number : MAX_CPUS;
}

/* Of this thread, for one round: threads live no longer. */
static struct fanout_plan *plan(void)
{
	static _Thread_local struct {
		bool made;
		_Alignas(64) char bytes[4096];
	} mine;

	if (!mine.made) {
		if (fanout_plan_bytes(w.topo.nr_nodes) > sizeof(mine.bytes))
			fail("a plan takes %zu bytes",
			     fanout_plan_bytes(w.topo.nr_nodes));
		fanout_plan_init((struct fanout_plan *)mine.bytes,
				 w.topo.nr_nodes);
		mine.made = true;
	}
	return (struct fanout_plan *)mine.bytes;
}

static u32 distance(u32 from, u32 to)
{
	return 10 + from + to;
}

void kick_world_init(void)
{
	w.topo.nr_nodes = 1 + rnd(FAN_NODES);
	w.topo.node_of = w.node_of;
	kick_move_cpus();
	fanout_topology_sort(&w.topo, distance);
	w.fanout_from = w.topo.nr_nodes > 1 ? 1 + rnd(3) : ~0u;
}

void kick_move_cpus(void)
{
	for (unsigned int i = 0; i <= MAX_CPUS; i++)
		plat_store(&w.node_of[i], rnd(w.topo.nr_nodes));
}

static u64 raise_irq(struct cpu *cpu)
{
	return __atomic_add_fetch(&cpu->irq_raised, 1, __ATOMIC_ACQ_REL);
}

/* smp_call_function_many(): waits until the handlers have run. */
void kick_each(const plat_cpumask_t *mask)
{
	u64 ticket[MAX_CPUS] = { 0 };

	plat_for_each_cpu(i, mask)
		if (&w.cpu[i] != this_cpu)
			ticket[i] = raise_irq(&w.cpu[i]);
	for (unsigned int i = 0; i < w.nr_cpus; i++)
		while (plat_load_acquire(&w.cpu[i].irq_handled) < ticket[i])
			plat_cpu_relax();
}

void kick_hook(const plat_cpumask_t *mask)
{
	unsigned int nr = 0;
	struct fanout_sent sent;

	plat_for_each_cpu(i, mask)
		nr++;
	if (nr < w.fanout_from) {
		kick_each(mask);
		return;
	}
	sent = fanout_kick(&w.topo, plan(), self(), mask);
	count(leaders, sent.leaders);
	count(forwarded, sent.forwarded);
}

void kick_multicast_hook(const plat_cpumask_t *mask)
{
	plat_for_each_cpu(i, mask)
		raise_irq(&w.cpu[i]);
}

bool kick_call_hook(unsigned int number, plat_call_t *call)
{
	struct cpu *cpu = &w.cpu[number];

	if (__atomic_exchange_n(&call->queued, 1, __ATOMIC_ACQ_REL))
		fail("a call is made that is still under way");
	if (rnd(CALL_FAILS) == 0) {
		__atomic_store_n(&call->queued, 0, __ATOMIC_RELAXED);
		return false;
	}
	call->next = __atomic_load_n(&cpu->calls, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&cpu->calls, &call->next, call,
					    false, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED))
		;
	raise_irq(cpu);
	return true;
}

void kick_run_calls(struct cpu *cpu)
{
	plat_call_t *call = __atomic_exchange_n(&cpu->calls, NULL,
						__ATOMIC_ACQUIRE);

	while (call) {
		/* Once it runs it may be under way again. */
		plat_call_t *next = call->next;

		__atomic_store_n(&call->queued, 0, __ATOMIC_RELEASE);
		call->fn(call->arg);
		call = next;
	}
}
