// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * [VM-3] touched_set() against [VM-4] base_rights_change(): a region takes the old
 * rights of its root, and who changes them does not see that it has an entry.
 */
#include "litmus.h"
#include "fences.h"

#define OLD	1u
#define NEW	2u

static struct pair {
	u64 touched;
	u32 rights __attribute__((aligned(64)));
} pairs[LITMUS_BATCH] __attribute__((aligned(64)));

static void reset(unsigned int i)
{
	pairs[i].touched = 0;
	pairs[i].rights = OLD;
}

static bool takes_old_rights(unsigned int i)
{
	return plat_load(&pairs[i].rights) == OLD;
}

static bool is_passed_by(unsigned int i)
{
	return !plat_load(&pairs[i].touched);
}

static bool touch(unsigned int i)
{
	touched_set(&pairs[i].touched, 1);
	return takes_old_rights(i);
}

/* Atomic operations are fences of their own on x86: plain ones in their place. */
static bool touch_weak(unsigned int i)
{
	plat_store(&pairs[i].touched, 1);
	return takes_old_rights(i);
}

static bool change(unsigned int i)
{
	base_rights_change(&pairs[i].rights, 0, NEW);
	return is_passed_by(i);
}

static bool change_weak(unsigned int i)
{
	plat_store(&pairs[i].rights, NEW);
	return is_passed_by(i);
}

static const struct litmus litmus = {
	.name = "vm_touch_vs_base_rights",
	.labels = "[VM-3] and [VM-4]",
	.weak_side = { "no [VM-3] in touched_set()",
		       "no [VM-4] in base_rights_change()" },
	.reset = reset,
	.side = { touch, change },
	.weak = { touch_weak, change_weak },
};

int main(int argc, char **argv)
{
	return litmus_main(&litmus, argc, argv);
}
