// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * [KI-1] sd_enter() against [KI-2] kick_fence(): a vCPU enters without having
 * seen a request, and its sender has seen it outside.
 */
#include "litmus.h"
#include "kick.h"
#include "shootdown.c"

static struct pair {
	struct sd_vm vm;
	struct sd_cpu cpu;
	u32 requests __attribute__((aligned(64)));
} pairs[LITMUS_BATCH] __attribute__((aligned(64)));

static void reset(unsigned int i)
{
	pairs[i] = (struct pair){ .vm = { .gen = 1 }, .cpu = { .seen = 1 } };
}

/* What vcpu_run_guest() reads after sd_enter(). */
static bool nothing_requested(unsigned int i)
{
	return !plat_load(&pairs[i].requests);
}

static bool enter(unsigned int i)
{
	sd_begin(&pairs[i].cpu, 0);
	sd_enter(&pairs[i].vm, &pairs[i].cpu);
	return nothing_requested(i);
}

static bool enter_weak(unsigned int i)
{
	sd_begin(&pairs[i].cpu, 0);
	plat_store(&pairs[i].cpu.mode, SD_ENTERING);
	return nothing_requested(i);
}

/* What kick_vcpus() reads first. */
static bool outside(unsigned int i)
{
	return plat_load_acquire(&pairs[i].cpu.mode) == SD_OUTSIDE;
}

/* User space uses an atomic operation, which on x86 is a fence of its own. */
static bool request(unsigned int i)
{
	plat_store(&pairs[i].requests, 1);
	kick_fence();
	return outside(i);
}

static bool request_weak(unsigned int i)
{
	plat_store(&pairs[i].requests, 1);
	return outside(i);
}

static const struct litmus litmus = {
	.name = "kick_vs_run",
	.labels = "[KI-1] and [KI-2]",
	.weak_side = { "no [KI-1] in sd_enter()", "no [KI-2] in kick_fence()" },
	.reset = reset,
	.side = { enter, request },
	.weak = { enter_weak, request_weak },
};

int main(int argc, char **argv)
{
	return litmus_main(&litmus, argc, argv);
}
