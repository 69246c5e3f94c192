// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * EPT TLB shootdown: generation, mode, kick, wait. The two columns that these
 * functions implement, and their contract, are in shootdown.h.
 *
 * Modes of a (vm, CPU), and who writes them:
 *   OUTSIDE -> ENTERING    the CPU, sd_enter()
 *   ENTERING -> IN_GUEST   the CPU, sd_entered()
 *   IN_GUEST -> EXITING    a flusher; one kick ends the run for all flushers
 *   IN_GUEST -> OUTSIDE    the CPU, sd_exit()
 *   EXITING -> OUTSIDE     the CPU, sd_exit()
 */
#include "shootdown.h"

void sd_vm_init(struct sd_vm *vm, u64 root_pa, const plat_cpumask_t *cpus,
		struct sd_cpu plat_percpu *cpu)
{
	*vm = (struct sd_vm){ 0, root_pa, cpus, cpu };
	/*
	 * The first generation is not 0, what a CPU has "seen" at first: it
	 * flushes before its first entry, whatever the root page was before.
	 */
	plat_mark_done(root_pa, sd_bump(vm));
}

u64 sd_enter(const struct sd_vm *vm, struct sd_cpu *cpu)
{
	u64 gen;

	plat_store(&cpu->mode, SD_ENTERING);
	/*
	 * [SD-1] mode before gen; pairs with [SD-2] in sd_bump(): else this CPU
	 * enters with the old generation after the flusher saw it outside and
	 * did not kick it. Shape: SB.
	 * [KI-1] mode before the vCPU's requests, which the run reads next; pairs
	 * with [KI-2] in kick_fence(): else it misses one whose sender saw it
	 * outside. Shape: SB.
	 */
	plat_full_mb();
	/*
	 * [SD-8] gen before the walks of the guest; pairs with [SD-7] in
	 * sd_bump(): else this CPU counts as flushed and caches an entry that was
	 * removed before. Shape: MP.
	 */
	gen = plat_load_acquire(&vm->gen);
	return gen != cpu->seen ? gen : 0;
}

void sd_flushed(struct sd_cpu *cpu, u64 gen)
{
	/* Also a release of what earlier guest runs accessed, as [SD-3]. */
	plat_store_release(&cpu->seen, gen);
}

void sd_entered(struct sd_cpu *cpu)
{
	/*
	 * [SD-5] seen before mode; pairs with [SD-6] in sd_must_leave(): else a
	 * flusher kicks a CPU that has flushed already. Shape: MP.
	 */
	plat_store_release(&cpu->mode, SD_IN_GUEST);
}

enum sd_end sd_exit(struct sd_cpu *cpu)
{
	u32 mode = plat_load(&cpu->mode);

	/*
	 * [SD-3] The guest's accesses before mode; pairs with [SD-4] in
	 * wait_until_left(): else the flusher frees a page that the guest's
	 * last instructions still use. Shape: MP.
	 */
	plat_store_release(&cpu->mode, SD_OUTSIDE);
	return mode == SD_EXITING ? SD_END_KICKED : SD_END_OTHER;
}

/* Marks every CPU that has to leave. */
static struct sd_asked ask_to_exit(struct sd_vm *vm, u64 gen)
{
	struct sd_asked asked = SD_ASKED_NONE;

	plat_for_each_cpu(cpu, vm->cpus) {
		struct sd_cpu *line = plat_percpu_line(vm->cpu, cpu);

		if (sd_must_leave(line, gen))
			sd_ask_to_exit(&asked, line, cpu);
	}
	return asked;
}

/*
 * A CPU that this flusher has seen outside may be in again: that run flushed.
 * One that joined the mask since then loaded the mm, and so entered, later.
 */
static void wait_until_left(struct sd_vm *vm, u64 gen)
{
	plat_for_each_cpu(cpu, vm->cpus) {
		const struct sd_cpu *line = plat_percpu_line(vm->cpu, cpu);

		while (plat_load_acquire(&line->mode) == SD_EXITING &&
		       sd_must_leave(line, gen))
			plat_cpu_relax();
	}
}

unsigned int shootdown_settle(struct sd_vm *vm, u64 gen)
{
	struct sd_asked asked = ask_to_exit(vm, gen);

	if (asked.kicks)
		plat_kick(asked.mask, asked.kicks);
	if (asked.running)
		wait_until_left(vm, gen);
	plat_mark_done(vm->root_pa, gen);
	return asked.kicks;
}

enum sd_progress shootdown_progress(const struct sd_vm *vm, u64 gen)
{
	plat_for_each_cpu(cpu, vm->cpus)
		if (sd_must_leave(plat_percpu_line(vm->cpu, cpu), gen))
			return SD_GOES_ON;
	plat_mark_done(vm->root_pa, gen);
	return SD_OVER;
}

unsigned int shootdown_run(struct sd_vm *vm, struct gather *gather)
{
	unsigned int kicks = shootdown_settle(vm, sd_bump(vm));

	gather_flushed(gather);
	return kicks;
}
