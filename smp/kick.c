// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See kick.h. */
#include "kick.h"

/* A CPU in a run of one of them? It may be another's as soon as it is read. */
static bool runs_one_of(const struct sd_cpu *line, const u64 *ids, u32 nr_ids)
{
	u32 who;

	if (sd_settled_mode(line) == SD_OUTSIDE)
		return false;
	who = plat_load(&line->who);
	return who < nr_ids && ids[who / 64] >> who % 64 & 1;
}

/*
 * Another sender's kick is on its way. One run at most: a later one has begun
 * after this call, and whoever made it EXITING waits for that.
 */
static void wait_until_left(const struct sd_cpu *line)
{
	u64 run = plat_load(&line->run);

	while (plat_load_acquire(&line->mode) == SD_EXITING &&
	       plat_load_acquire(&line->run) == run)
		plat_cpu_relax();
}

unsigned int kick_vcpus(struct sd_vm *vm, const u64 *ids, u32 nr_ids)
{
	struct sd_asked asked = SD_ASKED_NONE;

	kick_fence();
	plat_for_each_cpu(cpu, vm->cpus) {
		struct sd_cpu *line = plat_percpu_line(vm->cpu, cpu);

		if (runs_one_of(line, ids, nr_ids))
			sd_ask_to_exit(&asked, line, cpu);
	}
	if (asked.kicks)
		plat_interrupt(asked.mask, asked.kicks);
	if (!asked.running)
		return 0;
	plat_for_each_cpu(cpu, vm->cpus) {
		const struct sd_cpu *line = plat_percpu_line(vm->cpu, cpu);

		if (runs_one_of(line, ids, nr_ids))
			wait_until_left(line);
	}
	return asked.kicks;
}
