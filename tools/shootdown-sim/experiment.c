// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A trial: targets run guests, as the module's run loop does it; the initiator
 * makes a shootdown, for caches as such things leave them, and when all are in
 * guest again the one that is measured.
 */
#include "experiment.h"

#include <stdlib.h>
#include <string.h>

#include "cost.h"
#include "shootdown.h"
#include "topology.h"

static struct {
	struct sd_vm vm __attribute__((aligned(64)));
	plat_cpumask_t cpus;
	struct sd_cpu line[SIM_MAX_CPUS];
	u64 latency;
	struct sim_counts counts;
} t;

struct sample {
	u64 latency, lines, interrupts, icr_writes;
};

/* vcpu_run_guest(): from here to the exit interrupts are off. */
static void enter(struct sd_cpu *line, u32 cpu)
{
	u64 gen;

	sd_begin(line, cpu);
	gen = sd_enter(&t.vm, line);
	if (gen) {
		sim_spend(sim_cost()->invept);
		sd_flushed(line, gen);
	}
	sd_entered(line);
	sim_spend(sim_cost()->entry);
}

static void target(void *unused)
{
	struct sd_cpu *line = &t.line[sim_self()];

	(void)unused;
	for (;;) {
		enter(line, sim_self());
		sim_guest();
		sim_spend(sim_cost()->exit);
		sd_exit(line);
		kick_handler();
	}
}

static void flush(void)
{
	struct gather gather;

	gather_init(&gather);
	gather_leaf(&gather, 1, GATHER_LEAF_CACHED);
	shootdown_run(&t.vm, &gather);
}

static void initiator(void *unused)
{
	u64 start;

	(void)unused;
	sim_wait_for_others();
	flush();
	sim_wait_for_others();
	sim_count_reset();
	start = sim_now();
	flush();
	t.latency = sim_now() - start;
	t.counts = *sim_count();
	sim_finish();
}

static u64 next_random(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state >> 11;
}

/* The first nr of a random order. */
static void choose(u32 *cpus, u32 nr, u64 *random)
{
	for (u32 i = 0; i < sim_nr_cpus(); i++)
		cpus[i] = i;
	for (u32 i = 0; i < nr; i++) {
		u32 j = i + next_random(random) % (sim_nr_cpus() - i);
		u32 cpu = cpus[i];

		cpus[i] = cpus[j];
		cpus[j] = cpu;
	}
}

static struct sample trial(const struct point *point, u64 *random)
{
	u32 cpus[SIM_MAX_CPUS];

	sim_reset();
	memset(&t, 0, sizeof(t));
	choose(cpus, point->targets + 1, random);
	kick_begin(point->policy, point->from);
	/* Before time begins: what is written here costs nothing. */
	for (u32 i = 0; i <= point->targets; i++)
		t.cpus.word[cpus[i] / 64] |= 1ull << cpus[i] % 64;
	t.vm = (struct sd_vm){ 1, 0, &t.cpus, t.line };
	sim_program(cpus[0], initiator, NULL);
	for (u32 i = 1; i <= point->targets; i++)
		sim_program(cpus[i], target, NULL);
	sim_run();
	kick_end();
	return (struct sample){ t.latency, t.counts.lines, t.counts.interrupts,
				t.counts.icr_writes };
}

static int compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/* Of the nr values, one each stride; sorts a copy. */
static u64 quantile(const u64 *values, u32 nr, u32 percent)
{
	const u32 stride = sizeof(struct sample) / sizeof(u64);
	u64 *sorted = malloc(nr * sizeof(*sorted));
	u64 value;

	if (!sorted)
		abort();
	for (u32 i = 0; i < nr; i++)
		sorted[i] = values[i * stride];
	qsort(sorted, nr, sizeof(*sorted), compare);
	value = sorted[(nr - 1) * percent / 100];
	free(sorted);
	return value;
}

struct result experiment_run(const struct point *point)
{
	struct sample *samples = calloc(point->trials, sizeof(*samples));
	struct result result = { .point = *point };
	u64 random = point->seed * 0x9e3779b97f4a7c15ull | 1;

	if (!samples)
		abort();
	for (u32 i = 0; i < point->trials; i++)
		samples[i] = trial(point, &random);
	result.median_ns = quantile(&samples->latency, point->trials, 50);
	result.p99_ns = quantile(&samples->latency, point->trials, 99);
	result.lines = quantile(&samples->lines, point->trials, 50);
	result.interrupts = quantile(&samples->interrupts, point->trials, 50);
	result.icr_writes = quantile(&samples->icr_writes, point->trials, 50);
	free(samples);
	return result;
}
