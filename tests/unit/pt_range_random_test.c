// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Range operations: random ones against a flat model (pt_range_model.c). After
 * each: result, counts, need of a flush and entries around the place; from time
 * to time every page of the window, and every table.
 */
#include <stdlib.h>
#include <string.h>

#include "pt_range_model.h"
#include "pt_range_util.h"

#define OPS		60000u
#define FULL_EVERY	1500u
#define TABLES_EVERY	300u

static u64 random_state = 0x2545f4914f6cdd1dull;

static u64 rnd(u64 limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 11) % limit;
}

static struct run {
	struct pt pt;
	struct model_page *m;
	struct gather gather;
	u64 start, end;
	u64 done[8], refused, merged, flushed, unflushed, without_tables;
} r;

/* Mostly in a few hot 2 MiB, at each seam, so that operations meet. */
static void random_range(void)
{
	static const u64 hot[] = {
		MODEL_BASE, MODEL_BASE + GIB - 4 * MIB,
		MODEL_BASE + GIB - 2 * MIB, MODEL_BASE + GIB,
		MODEL_END - 2 * MIB,
	};
	unsigned int kind = rnd(400);
	u64 at = hot[rnd(5)], size;

	r.start = at + rnd(2 * MIB);
	size = kind < 100 ? rnd(3 * MIB) : rnd(20 * PAGE);
	if (kind < 3) {
		r.start = MODEL_BASE + rnd(2) * GIB;
		size = GIB;
	} else if (kind < 6) {
		r.start = MODEL_BASE + rnd(2 * GIB);
		size = rnd(GIB);
	} else if (kind < 70) {
		r.start = at;
		size = 2 * MIB * (1 + rnd(2));
	}
	r.start &= ~(PAGE - 1);
	r.end = (r.start + size + PAGE) & ~(PAGE - 1);
	if (size % (2 * MIB) == 0)
		r.end = r.start + size;
	if (r.end > MODEL_END)
		r.end = MODEL_END;
}

static struct pt_range range_now(void)
{
	struct pt_range range = range_of(r.start, r.end, &r.gather);
	u64 last = r.end - 1;

	/* Inside of one table, as often as not. */
	if (rnd(2) && !((r.start ^ last) >> 30))
		range.top = pt_find_table(&r.pt, r.start, 2);
	return range;
}

/* Ends early when there are no tables, as if that were so. */
#define run_op(call) ({							\
	enum pt_result result_;						\
	while ((result_ = (call)) == PT_NEED_TABLES) {			\
		r.without_tables++;					\
		CHECK_EQ(pt_cache_fill_to(&cache, 1 + rnd(3)), 0);	\
	}								\
	result_; })

static unsigned int random_rights(void)
{
	return rnd(3) ? PT_R | PT_W : rnd(8) ? PT_R | rnd(PT_RIGHTS + 1) : 0;
}

static void map_both(struct model_result *want)
{
	struct pt_map_range op = {
		.range = range_of(r.start, r.end, &r.gather),
		.delta = rnd(4) ? GIB : 2 * GIB + rnd(3) * PAGE,
		.level = 1 + rnd(3), .rights = random_rights(), .age = rnd(3),
	};
	struct pt_range trim = op.range;

	/* What is left of a level-2 table would be in the way. */
	if (op.level == 3)
		CHECK_EQ(pt_trim(&r.pt, &trim), PT_DONE);
	model_map(r.m, r.start, r.end, op.delta, op.level, op.rights, op.age,
		  want);
	CHECK_EQ(run_op(pt_map_range(&r.pt, &op)),
		 want->refused ? PT_EXISTS : PT_DONE);
	r.refused += want->refused;
	/* Empty tables that made room. */
	want->flush = r.gather.nr_tables != 0;
}

static void protect_both(struct model_result *want)
{
	unsigned int set = rnd(PT_RIGHTS + 1), keep = rnd(PT_RIGHTS + 1) | PT_COW;
	struct pt_change change;
	struct pt_protect op = { .range = range_now(), .change = &change };

	if (rnd(3)) {
		keep = PT_COW;
		set = rnd(2) ? PT_R : PT_R | PT_W;
	}
	pt_change_init(&change, &pt_x86, keep, set);
	model_protect(r.m, r.start, r.end, keep, set, want);
	CHECK_EQ(run_op(pt_protect(&r.pt, &op)), PT_DONE);
	CHECK_EQ(op.changed, want->changed);
	CHECK_EQ(op.reduced, want->reduced);
	CHECK_EQ(op.holes, want->holes);
}

static void unmap_both(struct model_result *want)
{
	struct pt_unmap op = { .range = range_now() };

	model_unmap(r.m, r.start, r.end, want);
	CHECK_EQ(run_op(pt_unmap(&r.pt, &op)), PT_DONE);
	CHECK_EQ(op.pages, want->pages);
	want->flush |= r.gather.nr_tables != 0;
}

static void split_both(void)
{
	struct pt_range range = range_now();
	unsigned int level = 1 + rnd(2);

	model_split(r.m, r.start, r.end, level);
	CHECK_EQ(run_op(pt_split(&r.pt, &range, level)), PT_DONE);
}

static void merge_both(struct model_result *want)
{
	struct pt_merge op = {
		.range = range_of(r.start, r.end, &r.gather), .level = 2 + rnd(2),
	};

	model_merge(r.m, r.start, r.end, op.level, want);
	CHECK_EQ(pt_merge(&r.pt, &op), PT_DONE);
	CHECK_EQ(op.merged, want->merged);
	r.merged += op.merged;
}

static void scan_both(struct model_result *want)
{
	static unsigned char hits[MODEL_PAGES];
	static u64 bitmap[MODEL_PAGES / 64];
	struct pt_scan op = {
		.range = range_now(), .what = 1 + rnd(3), .mode = rnd(2),
		.bitmap = bitmap, .base = r.start,
	};

	memset(bitmap, 0, sizeof(bitmap));
	model_scan(r.m, r.start, r.end, op.what, op.mode, hits, want);
	CHECK_EQ(pt_scan(&r.pt, &op), PT_DONE);
	CHECK_EQ(op.pages, want->pages);
	for (u64 i = 0; i < (r.end - r.start) / PAGE; i++)
		CHECK_EQ(bitmap[i / 64] >> i % 64 & 1, hits[i]);
}

/* As hardware does. */
static void use_both(void)
{
	bool write = rnd(2);
	unsigned int level;
	u64 *entry = raw_entry(&r.pt, r.start, &level);

	model_use(r.m, r.start, write ? PT_R | PT_W : PT_R);
	if ((*entry & 1) && (!write || *entry & 2))
		*entry |= X86_A | (write ? X86_D : 0);
}

static void random_op(void)
{
	struct model_result want = { 0 };
	unsigned int kind = rnd(20), op = 0;

	if (kind < 5)
		map_both(&want), op = 1;
	else if (kind < 9)
		protect_both(&want), op = 2;
	else if (kind < 11)
		unmap_both(&want), op = 3;
	else if (kind < 12)
		split_both(), op = 4;
	else if (kind < 14)
		merge_both(&want), op = 5;
	else if (kind < 16)
		scan_both(&want), op = 6;
	else
		use_both();
	r.done[op]++;
	CHECK_EQ(gather_needs_flush(&r.gather), want.flush);
	r.flushed += want.flush;
	r.unflushed += !want.flush && !gather_is_empty(&r.gather);
}

static void check_page(u64 addr)
{
	unsigned int level;
	u64 entry;

	if (addr < MODEL_BASE || addr >= MODEL_END)
		return;
	entry = pt_lookup(&r.pt, addr, &level);
	CHECK_EQ(entry, model_entry(r.m, addr));
	if (entry)
		CHECK_EQ(level, r.m[model_number(addr)].level);
}

static void check_after(unsigned int i)
{
	check_page(r.start);
	check_page(r.start - PAGE);
	check_page(r.end - PAGE);
	check_page(r.end);
	check_page(MODEL_BASE + rnd(2 * GIB));
	gather_flushed(&r.gather);
	gather_release(&r.gather);
	if (i % TABLES_EVERY == 0) {
		plat_test_grace_period();
		check_tables(&r.pt, &r.gather);
	}
	for (u64 a = MODEL_BASE; i % FULL_EVERY == 0 && a < MODEL_END; a += PAGE)
		check_page(a);
}

static void random_ranges_agree_with_the_model(void)
{
	begin(&r.pt, &pt_x86);
	r.m = model_new();
	for (unsigned int i = 1; i <= OPS && !check_failed(); i++) {
		gather_init(&r.gather);
		random_range();
		random_op();
		check_after(i);
		if (check_failed())
			fprintf(stderr, "# operation %u: [%llx, %llx)\n", i,
				r.start, r.end);
	}
	fprintf(stderr, "# %u operations: %llu maps refused, %llu leaves merged, %llu with a flush, %llu without one, %llu times no tables\n",
		OPS, r.refused, r.merged, r.flushed, r.unflushed,
		r.without_tables);
	for (unsigned int i = 0; i < 7; i++)
		CHECK(r.done[i] > 0);
	CHECK(r.refused && r.merged && r.flushed && r.unflushed &&
	      r.without_tables);
	free(r.m);
	destroy(&r.pt);
}

int main(void)
{
	plat_rcu_register();
	CASE(random_ranges_agree_with_the_model);
	plat_rcu_unregister();
	return CHECK_EXIT();
}
