// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * EPT TLB shootdown: generation, mode, kick, wait. The two columns that these
 * functions implement, and their contract, are in shootdown.h.
 *
 * Modes of a vCPU, and who writes them:
 *   OUTSIDE -> IN_GUEST    owner, sd_enter()
 *   IN_GUEST -> EXITING    a flusher; one kick ends the run for all flushers
 *   IN_GUEST -> OUTSIDE    owner, sd_exit()
 *   EXITING -> OUTSIDE     owner, sd_exit()
 */
#include "gather.h"
#include "shootdown.h"

/* A CPU's "seen" starts at 0: it flushes before its first entry with a root. */
#define SD_GEN_FIRST	1

void sd_vm_init(struct sd_vm *vm)
{
	*vm = (struct sd_vm){ .gen = SD_GEN_FIRST };
}

void sd_vcpu_init(struct sd_vcpu *vcpu)
{
	*vcpu = (struct sd_vcpu){ .mode = SD_OUTSIDE, .cpu = -1 };
}

u64 sd_enter(const struct sd_vm *vm, struct sd_vcpu *vcpu, s32 cpu,
	     const u64 *seen)
{
	u64 gen;

	plat_store(&vcpu->cpu, cpu);
	/*
	 * [SD-5] cpu before mode; pairs with [SD-6] in ask_to_exit(): else the
	 * flusher kicks the CPU of an earlier run and the guest goes on here.
	 * Shape: MP.
	 */
	plat_store_release(&vcpu->mode, SD_IN_GUEST);
	/*
	 * [SD-1] mode before gen; pairs with [SD-2] in shootdown_run(): else
	 * this CPU enters with the old generation after the flusher saw it
	 * outside and did not kick it. Shape: SB.
	 */
	plat_full_mb();
	/*
	 * [SD-8] gen before the walks of the guest; pairs with [SD-7] in
	 * shootdown_run(): else this CPU counts as flushed and caches an entry
	 * that was removed before the flush. Shape: MP.
	 */
	gen = plat_load_acquire(&vm->gen);
	return gen != *seen ? gen : 0;
}

void sd_flushed(u64 *seen, u64 gen)
{
	*seen = gen;
}

void sd_exit(struct sd_vcpu *vcpu)
{
	if (plat_load(&vcpu->mode) == SD_EXITING)
		plat_store(&vcpu->kicked, vcpu->kicked + 1);
	/*
	 * [SD-3] The guest's accesses before mode; pairs with [SD-4] in
	 * wait_until_left(): else the flusher frees a page that the guest's
	 * last instructions still use. Shape: MP.
	 */
	plat_store_release(&vcpu->mode, SD_OUTSIDE);
}

/* True when this flusher is the one that has to kick the vCPU's CPU. */
static bool ask_to_exit(struct sd_vcpu *vcpu)
{
	u32 mode = plat_load(&vcpu->mode);

	/*
	 * [SD-6] mode before cpu (a successful cas is an acquire); pairs with
	 * [SD-5] in sd_enter(). Should the vCPU leave and enter elsewhere in
	 * between, the kick goes to the new CPU and does no harm: that run
	 * started after the generation was raised. Shape: MP.
	 */
	return mode == SD_IN_GUEST &&
	       plat_cas32(&vcpu->mode, &mode, SD_EXITING);
}

/*
 * EXITING may also be another flusher's doing: its kick serves this flush, but
 * only once the vCPU has left.
 */
static void wait_until_left(const struct sd_vcpu *vcpu)
{
	/* [SD-4] pairs with [SD-3] in sd_exit(). Shape: MP. */
	while (plat_load_acquire(&vcpu->mode) == SD_EXITING)
		plat_cpu_relax();
}

unsigned int shootdown_run(struct sd_vm *vm, struct sd_targets *t,
			   struct gather *gather)
{
	struct sd_vcpu *vcpu = NULL;
	unsigned int kicks = 0;

	if (!gather_needs_flush(gather))
		return 0;

	/*
	 * [SD-7] Removed entries before gen (the add is a release); pairs with
	 * [SD-8] in sd_enter(). Shape: MP.
	 */
	plat_add64(&vm->gen, 1);
	/*
	 * [SD-2] gen before any vCPU's mode; pairs with [SD-1] in sd_enter():
	 * else a vCPU counts as outside and enters with the old generation.
	 * Shape: SB.
	 */
	plat_full_mb();
	while ((vcpu = t->next(t, vcpu))) {
		if (!ask_to_exit(vcpu))
			continue;
		t->add_cpu(t, plat_load(&vcpu->cpu));
		kicks++;
	}
	if (kicks)
		t->kick(t);
	while ((vcpu = t->next(t, vcpu)))
		wait_until_left(vcpu);

	plat_add64(&vm->flushes, 1);
	plat_add64(&vm->kicks, kicks);
	gather_flushed(gather);
	return kicks;
}
