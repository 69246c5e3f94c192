// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * [IV-1] install_locked() against [IV-2] inval_mark(): a fault sees no
 * invalidation and installs its leaf, and the invalidation has passed the
 * entry as absent.
 */
#include "litmus.h"
#include "pt.c"

static struct pair {
	struct inval_bucket bucket;
	u64 entry;
} pairs[LITMUS_BATCH] __attribute__((aligned(64)));

static struct inval quiet;
static struct pt_table table;

/* Named in pt.c, not reached. */
struct pt_table *pt_table_alloc_at(u32 place)
{
	(void)place;
	return NULL;
}

void pt_table_free(struct pt_table *unused)
{
	(void)unused;
}

static u64 make_leaf(const struct pt_leaf *leaf)
{
	return leaf->pa | 7;
}

static const struct pt_geometry geom = {
	.make_leaf = make_leaf,
	.present_mask = 7,
};

static void reset(unsigned int i)
{
	pairs[i] = (struct pair){ .entry = 0 };
}

static bool install(unsigned int i)
{
	struct pt_map_op op = {
		.inval = &quiet,
		.snap = { .bucket = &pairs[i].bucket },
		.leaf = { .pa = 1 << 12, .level = 1 },
	};

	return install_locked(&geom, &pairs[i].entry, &table, &op) ==
	       STEP_INSTALLED;
}

/* x86 has no cmpxchg that is no fence: a plain store in its place. */
static bool install_weak(unsigned int i)
{
	struct inval_snap snap = { .bucket = &pairs[i].bucket };

	plat_store_release(&pairs[i].entry, PT_FROZEN);
	if (inval_stale(&quiet, &snap)) {
		plat_store_release(&pairs[i].entry, 0);
		return false;
	}
	plat_store_release(&pairs[i].entry, 7);
	return true;
}

/* As zap_leaves() looks at an entry. */
static bool absent(unsigned int i)
{
	return !plat_load_acquire(&pairs[i].entry);
}

static bool mark(unsigned int i)
{
	inval_mark(&pairs[i].bucket);
	return absent(i);
}

static bool mark_weak(unsigned int i)
{
	u64 *word = &pairs[i].bucket.word;

	plat_store_release(word, plat_load(word) + 1);
	return absent(i);
}

static const struct litmus litmus = {
	.name = "iv_fault_vs_inval",
	.labels = "[IV-1] and [IV-2]",
	.weak_side = { "no [IV-1] in install_locked()",
		       "no [IV-2] in inval_mark()" },
	.reset = reset,
	.side = { install, mark },
	.weak = { install_weak, mark_weak },
};

int main(int argc, char **argv)
{
	return litmus_main(&litmus, argc, argv);
}
