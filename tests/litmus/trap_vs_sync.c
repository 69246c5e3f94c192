// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * [TRAP-1] trap_grace_begin() against [TRAP-2] trap_grace_new_epoch(): a trap
 * reads the table before a change, and the changing thread sees no trap.
 */
#include "litmus.h"
#include "trap_grace.h"

static struct pair {
	struct trap_grace grace;
	uint32_t epoch;
	uint32_t table __attribute__((aligned(64)));
} pairs[LITMUS_BATCH] __attribute__((aligned(64)));

static void reset(unsigned int i)
{
	pairs[i] = (struct pair){ .table = 0 };
}

static bool old_handler(unsigned int i)
{
	return !__atomic_load_n(&pairs[i].table, __ATOMIC_RELAXED);
}

static bool trap(unsigned int i)
{
	trap_grace_begin(&pairs[i].grace);
	return old_handler(i);
}

static bool trap_weak(unsigned int i)
{
	__atomic_store_n(&pairs[i].grace.depth, 1, __ATOMIC_RELEASE);
	return old_handler(i);
}

static bool quiet(unsigned int i, uint32_t epoch)
{
	return trap_grace_passed(&pairs[i].grace, epoch);
}

static bool sync(unsigned int i)
{
	__atomic_store_n(&pairs[i].table, 1, __ATOMIC_RELEASE);
	return quiet(i, trap_grace_new_epoch(&pairs[i].epoch));
}

/* x86 has no atomic addition that is no fence: a plain one in its place. */
static bool sync_weak(unsigned int i)
{
	uint32_t epoch = pairs[i].epoch + 1;

	__atomic_store_n(&pairs[i].table, 1, __ATOMIC_RELEASE);
	__atomic_store_n(&pairs[i].epoch, epoch, __ATOMIC_RELEASE);
	return quiet(i, epoch);
}

static const struct litmus litmus = {
	.name = "trap_vs_sync",
	.labels = "[TRAP-1] and [TRAP-2]",
	.weak_side = { "no [TRAP-1] in trap_grace_begin()",
		       "no [TRAP-2] in trap_grace_new_epoch()" },
	.reset = reset,
	.side = { trap, sync },
	.weak = { trap_weak, sync_weak },
};

int main(int argc, char **argv)
{
	return litmus_main(&litmus, argc, argv);
}
