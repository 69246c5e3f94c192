// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * [GT-5] members_join() against [GT-6] members_fence(): a vCPU copies an old
 * entry, and who changes it does not see it among the members.
 */
#include "litmus.h"
#include "members.h"

#define ID	70u	/* not in the first word */

static struct pair {
	struct members members;
	u64 entry __attribute__((aligned(64)));
} pairs[LITMUS_BATCH] __attribute__((aligned(64)));

static void reset(unsigned int i)
{
	pairs[i].members.word[ID / 64] = 0;
	pairs[i].entry = 1;
}

static bool is_old(unsigned int i)
{
	return plat_load(&pairs[i].entry);
}

static bool is_no_member(unsigned int i)
{
	return !(members_word(&pairs[i].members, ID / 64) >> ID % 64 & 1);
}

static bool join(unsigned int i)
{
	members_join(&pairs[i].members, ID);
	return is_old(i);
}

static bool join_weak(unsigned int i)
{
	u64 *word = &pairs[i].members.word[ID / 64];

	plat_store(word, plat_load(word) | 1ull << ID % 64);
	return is_old(i);
}

/* The engine's changes are atomic operations, on x86 fences of their own. */
static bool change(unsigned int i)
{
	plat_store(&pairs[i].entry, 0);
	members_fence();
	return is_no_member(i);
}

static bool change_weak(unsigned int i)
{
	plat_store(&pairs[i].entry, 0);
	return is_no_member(i);
}

static const struct litmus litmus = {
	.name = "members_join_vs_change",
	.labels = "[GT-5] and [GT-6]",
	.weak_side = { "no [GT-5] in members_join()",
		       "no [GT-6] in members_fence()" },
	.reset = reset,
	.side = { join, change },
	.weak = { join_weak, change_weak },
};

int main(int argc, char **argv)
{
	return litmus_main(&litmus, argc, argv);
}
