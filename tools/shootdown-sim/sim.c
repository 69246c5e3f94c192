// SPDX-License-Identifier: GPL-2.0 OR MIT
/* CPUs as coroutines, and whose turn it is. See sim.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "cost.h"
#include "lines.h"
#include "topology.h"

#define STACK_BYTES	(64u << 10)
#define NEVER		(~0ull)
#define LIMIT_NS	1000000000ull	/* of a whole run */

enum state {
	UNUSED,		/* has no program */
	RUNS,
	IN_GUEST,	/* until irq_at */
	WAITS,		/* for all others to be in guest */
};

struct cpu {
	ucontext_t context;
	enum state state;
	u64 now, irq_at;
	void (*fn)(void *arg);
	void *arg;
	char *stack;
};

static struct {
	const struct topology *topology;
	const struct cost *cost;
	struct cpu *cpu;
	u32 self;
	bool finished;
	ucontext_t outside;
	struct sim_counts counts;
} sim;

void sim_init(const struct topology *topology, const struct cost *cost)
{
	sim.topology = topology;
	sim.cost = cost;
	sim.cpu = calloc(topology->nr_cpus, sizeof(*sim.cpu));
	if (!sim.cpu)
		abort();
	sim_reset();
}

void sim_end(void)
{
	for (u32 i = 0; i < sim_nr_cpus(); i++)
		free(sim.cpu[i].stack);
	free(sim.cpu);
	lines_forget();
}

const struct topology *sim_topology(void)
{
	return sim.topology;
}

const struct cost *sim_cost(void)
{
	return sim.cost;
}

u32 sim_nr_cpus(void)
{
	return sim.topology->nr_cpus;
}

void sim_reset(void)
{
	for (u32 i = 0; i < sim_nr_cpus(); i++) {
		sim.cpu[i].state = UNUSED;
		sim.cpu[i].now = 0;
		sim.cpu[i].irq_at = NEVER;
	}
	sim.finished = false;
	lines_forget();
}

static void trampoline(void)
{
	struct cpu *cpu = &sim.cpu[sim.self];

	cpu->fn(cpu->arg);
	abort();	/* programs do not return: sim_finish() ends all */
}

void sim_program(u32 number, void (*fn)(void *arg), void *arg)
{
	struct cpu *cpu = &sim.cpu[number];

	if (!cpu->stack)
		cpu->stack = malloc(STACK_BYTES);
	if (!cpu->stack || getcontext(&cpu->context))
		abort();
	cpu->context.uc_stack.ss_sp = cpu->stack;
	cpu->context.uc_stack.ss_size = STACK_BYTES;
	cpu->context.uc_link = NULL;
	makecontext(&cpu->context, trampoline, 0);
	cpu->fn = fn;
	cpu->arg = arg;
	cpu->state = RUNS;
}

/* --- whose turn --- */

/* The one whose clock is behind all others'; the lower number of two. */
static u32 next_cpu(void)
{
	u32 best = SIM_NOBODY;
	u64 least = NEVER;

	for (u32 i = 0; i < sim_nr_cpus(); i++)
		if (sim.cpu[i].state == RUNS && sim.cpu[i].now < least) {
			best = i;
			least = sim.cpu[i].now;
		}
	return best;
}

/* All are in guest: the one that waits for that goes on when the last one is. */
static u32 wake_waiter(void)
{
	u32 waiter = SIM_NOBODY;
	u64 latest = 0;

	for (u32 i = 0; i < sim_nr_cpus(); i++) {
		if (sim.cpu[i].state == WAITS)
			waiter = i;
		if (sim.cpu[i].state != UNUSED && sim.cpu[i].now > latest)
			latest = sim.cpu[i].now;
	}
	if (waiter == SIM_NOBODY)
		abort();	/* nobody will ever run again */
	sim.cpu[waiter].now = latest;
	sim.cpu[waiter].state = RUNS;
	return waiter;
}

static void take_turns(void)
{
	struct cpu *mine = &sim.cpu[sim.self];
	u32 next = next_cpu();

	if (next == SIM_NOBODY)
		next = wake_waiter();
	if (next == sim.self)
		return;
	sim.self = next;
	swapcontext(&mine->context, &sim.cpu[next].context);
}

void sim_run(void)
{
	sim.self = next_cpu();
	swapcontext(&sim.outside, &sim.cpu[sim.self].context);
	if (!sim.finished)
		abort();
}

void sim_finish(void)
{
	sim.finished = true;
	setcontext(&sim.outside);
}

/* --- by the code on a CPU --- */

u32 sim_self(void)
{
	return sim.self;
}

u64 sim_now(void)
{
	return sim.cpu[sim.self].now;
}

void sim_spend(u64 ns)
{
	sim.cpu[sim.self].now += ns;
	take_turns();
}

void sim_wait_for_others(void)
{
	sim.cpu[sim.self].state = WAITS;
	take_turns();
}

/*
 * In the order in which they are begun; the value is read or written when it is
 * over, before anybody who began later.
 */
static void access_line(const void *p, enum line_access how)
{
	struct cpu *cpu = &sim.cpu[sim.self];
	struct line_cost cost;

	take_turns();
	cost = line_use(p, sim.self, cpu->now, how);
	cpu->now = cost.until;
	sim.counts.lines += cost.moved;
	take_turns();
}

void sim_read(const void *p)
{
	access_line(p, LINE_READ);
}

void sim_write(const void *p)
{
	access_line(p, LINE_WRITE);
}

void sim_rmw(const void *p)
{
	access_line(p, LINE_RMW);
}

void sim_fence(void)
{
	sim_spend(sim.cost->atomic);
}

/* Who spins for so long waits for something that does not come. */
void sim_relax(void)
{
	if (sim_now() > LIMIT_NS) {
		fprintf(stderr, "shootdown-sim: CPU %u waits for ever\n", sim.self);
		exit(1);
	}
	sim_spend(sim.cost->pause);
}

void sim_interrupt(u32 number, u64 ns)
{
	struct cpu *cpu = &sim.cpu[number];
	u64 at = sim_now() + ns;

	sim.counts.interrupts++;
	if (cpu->irq_at > at)
		cpu->irq_at = at;
	if (cpu->state != IN_GUEST)
		return;
	cpu->state = RUNS;
	if (cpu->now < at)
		cpu->now = at;
}

void sim_guest(void)
{
	struct cpu *cpu = &sim.cpu[sim.self];

	if (cpu->irq_at == NEVER) {
		cpu->state = IN_GUEST;
		take_turns();
	} else if (cpu->now < cpu->irq_at) {
		cpu->now = cpu->irq_at;
		take_turns();
	}
	cpu->irq_at = NEVER;
}

void sim_count_reset(void)
{
	memset(&sim.counts, 0, sizeof(sim.counts));
}

struct sim_counts *sim_count(void)
{
	return &sim.counts;
}
