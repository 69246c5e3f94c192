// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * [SD-1] sd_enter() against [SD-2] sd_bump(): a CPU enters with the old
 * generation, and the flusher has seen it outside.
 */
#include "litmus.h"
#include "shootdown.c"

static struct pair {
	struct sd_vm vm;
	struct sd_cpu cpu;
} pairs[LITMUS_BATCH] __attribute__((aligned(64)));

static void reset(unsigned int i)
{
	pairs[i] = (struct pair){ .vm = { .gen = 1 }, .cpu = { .seen = 1 } };
}

/* sd_enter() returns 0: nothing to flush. */
static bool enter(unsigned int i)
{
	return !sd_enter(&pairs[i].vm, &pairs[i].cpu);
}

static bool enter_weak(unsigned int i)
{
	plat_store(&pairs[i].cpu.mode, SD_ENTERING);
	return plat_load_acquire(&pairs[i].vm.gen) == pairs[i].cpu.seen;
}

/* What must_leave() reads first. */
static bool outside(unsigned int i)
{
	return plat_load_acquire(&pairs[i].cpu.mode) == SD_OUTSIDE;
}

static bool bump(unsigned int i)
{
	sd_bump(&pairs[i].vm);
	return outside(i);
}

/* x86 has no atomic addition that is no fence: a plain one in its place. */
static bool bump_weak(unsigned int i)
{
	plat_store_release(&pairs[i].vm.gen, plat_load(&pairs[i].vm.gen) + 1);
	return outside(i);
}

static const struct litmus litmus = {
	.name = "sd_enter_vs_flush",
	.labels = "[SD-1] and [SD-2]",
	.weak_side = { "no [SD-1] in sd_enter()", "no [SD-2] in sd_bump()" },
	.reset = reset,
	.side = { enter, bump },
	.weak = { enter_weak, bump_weak },
};

int main(int argc, char **argv)
{
	return litmus_main(&litmus, argc, argv);
}
