// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Shootdowns alone, for kicks of many CPUs at once: all CPUs are in guest nearly
 * all of the time, and nothing but an interrupt gets them out of it. CPUs change
 * their node meanwhile, threads of the mm and CPUs flush, calls of leaders fail.
 */
#include <sched.h>
#include <string.h>

#include "run.h"
#include "stress.h"

#define NR_FLUSHERS	2u

static u64 nr_flushes;		/* atomic */

/* When it is over, nobody is in a run that began before. */
static void flush(void)
{
	struct gather gather;
	u64 gen;

	gather_init(&gather);
	gather_leaf(&gather, 1, GATHER_LEAF_CACHED);
	gen = plat_load_acquire(&w.ept.first.sd.gen) + 1;
	count(kicks, shootdown_run(&w.ept.first.sd, &gather));
	gather_release(&gather);
	for (unsigned int i = 0; i < w.nr_cpus; i++) {
		u64 using = plat_load_acquire(&w.cpu[i].using_gen);

		if (using != USING_NOTHING && using < gen)
			fail("cpu %u runs on with generation %llu, and %llu is over",
			     i, using, gen);
	}
	__atomic_fetch_add(&nr_flushes, 1, __ATOMIC_RELAXED);
}

static void run_until_interrupt(struct cpu *cpu)
{
	struct sd_cpu *sd = &w.sd_cpu[cpu->number];
	u64 gen = sd_enter(&w.ept.first.sd, sd);

	if (gen)
		sd_flushed(sd, gen);
	plat_store(&cpu->using_gen, sd->seen);
	sd_entered(sd);
	while (!cpu_irq_pending(cpu) && !plat_load_acquire(&w.stop_mm))
		sched_yield();
	cpu_wait_for_kick(cpu);
	plat_store(&cpu->using_gen, USING_NOTHING);
	sd_exit(sd);
	cpu->runs++;
	cpu_relax_hook();	/* takes its interrupts */
}

static void *fan_cpu(void *arg)
{
	struct cpu *cpu = arg;

	this_cpu = cpu;
	rnd_seed(stamp_now() + 1000 + cpu->number);
	plat_test_chaos(w.chaos, rnd(1u << 30));
	plat_rcu_register();
	plat_cpumask_set(&w.cpus, cpu->number);
	while (!plat_load_acquire(&w.stop_cpus)) {
		if (rnd(16) == 0)
			flush();
		if (rnd(16) == 0)
			kick_move_cpus();
		run_until_interrupt(cpu);
	}
	cpu_park(cpu);
	plat_rcu_unregister();
	return NULL;
}

static void *fan_flusher(void *seed)
{
	rnd_seed((u64)(uintptr_t)seed);
	plat_test_chaos(w.chaos, rnd(1u << 30));
	plat_rcu_register();
	while (!plat_load_acquire(&w.stop_mm)) {
		flush();
		for (unsigned int i = rnd(8); i; i--)
			sched_yield();
	}
	plat_rcu_unregister();
	return NULL;
}

static u64 progress(void)
{
	return plat_load(&nr_flushes);
}

void fan_run(unsigned int ms, u64 seed)
{
	const struct stress_threads threads = {
		.ms = ms, .progress = progress,
		.nr_cpus = MAX_CPUS, .cpu = fan_cpu,
		.cpus = w.cpu, .cpu_size = sizeof(w.cpu[0]),
		.nr_others = NR_FLUSHERS, .other = fan_flusher,
		.stop_others = &w.stop_mm, .stop_cpus = &w.stop_cpus,
	};
	const struct plat_test_hooks hooks = {
		.relax = cpu_relax_hook, .kick = kick_hook,
		.multicast = kick_multicast_hook, .call = kick_call_hook,
	};

	rnd_seed(seed);
	memset(&w, 0, sizeof(w));
	w.nr_cpus = MAX_CPUS;
	w.chaos = stress_chaos();
	for (unsigned int i = 0; i < MAX_CPUS; i++) {
		w.cpu[i].number = i;
		w.cpu[i].using_gen = USING_NOTHING;
	}
	do
		kick_world_init();
	while (w.topo.nr_nodes < 2);
	sd_vm_init(&w.ept.first.sd, 0, &w.cpus, w.sd_cpu);
	plat_test_hooks(&hooks);
	stress_run(&threads);
	if (!w.counts.leaders || !w.counts.forwarded)
		fail("%llu kicks in %llu flushes, and no leader",
		     w.counts.kicks, nr_flushes);
	/* Not its flushes and kicks: the rounds are to have their own. */
	totals.counts.leaders += w.counts.leaders;
	totals.counts.forwarded += w.counts.forwarded;
	nr_flushes = 0;
}
