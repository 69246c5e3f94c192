// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The page-table engine: random operations against a flat model (pt_model.c).
 * After each operation: result, what was gathered and entries around the
 * place; from time to time, every page of the window and every table.
 */
#include "pt_model.h"
#include "pt_util.h"

#define RANDOM_OPS	100000u
#define FULL_EVERY	8000u
#define TABLES_EVERY	1000u

static u64 random_state = 0x2545f4914f6cdd1dull;

static u64 rnd(u64 limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 11) % limit;
}

/* Mostly in a few hot 2 MiB, so that operations meet; one on each seam. */
static u64 random_addr(void)
{
	static const u64 hot[] = {
		MODEL_BASE, MODEL_BASE + GIB - 2 * MIB, MODEL_BASE + GIB,
		MODEL_BASE + 2 * GIB - 2 * MIB, MODEL_BASE + 2 * GIB + 6 * MIB,
	};

	if (rnd(4) == 0)
		return MODEL_BASE + rnd(MODEL_END - MODEL_BASE);
	return hot[rnd(5)] + (rnd(2) ? rnd(16 * 4096) : rnd(2 * MIB));
}

static u64 random_length(void)
{
	unsigned int kind = rnd(400);

	if (kind == 0)
		return rnd(2 * GIB);
	return kind < 40 ? rnd(8 * MIB) : rnd(64 * KIB);
}

static struct pt_leaf random_leaf(u64 addr)
{
	static const unsigned int rights[] = { PT_R, PT_R | PT_W, PT_R | PT_X, PT_RWX };
	unsigned int kind = rnd(500);
	unsigned int level = kind == 0 ? 3 : kind < 60 ? 2 : 1;
	u64 memory = rnd(8) ? 0 : 4 * GIB;	/* mostly the same memory */

	return (struct pt_leaf){
		.pa = (addr & ~(pt_level_size(level) - 1)) + memory,
		.level = level, .rights = rights[rnd(4)],
		.memtype = rnd(32) ? PT_MEM_WB : PT_MEM_UC,
		.age = rnd(3) ? PT_YOUNG : PT_OLD,
	};
}

static void check_page(const struct pt *pt, const struct model *m, u64 addr)
{
	unsigned int level;
	u64 entry;

	if (addr < MODEL_BASE || addr >= MODEL_END)
		return;
	entry = pt_lookup(pt, addr, &level);
	CHECK_EQ(entry, m->entry[model_page(addr)]);
	if (entry)
		CHECK_EQ(level, m->level[model_page(addr)]);
}

/* The guest reads addr: hardware sets the accessed bit. */
static void touch(struct pt *pt, struct model *m, u64 addr)
{
	const struct pt_geometry *geom = pt->geom;
	u64 *table = pt->root->entry;

	for (unsigned int level = PT_LEVELS; ; level--) {
		u64 *entry = &table[(addr >> (12 + 9 * (level - 1))) & 511];

		if (!(*entry & geom->present_mask))
			return;
		*entry |= geom->accessed_bit;
		if (level == 1 || *entry & geom->leaf_bit)
			break;
		table = plat_va(*entry & geom->addr_mask);
	}
	model_touch(m, addr);
}

/* A range that covers whole tables, more often than chance would. */
static void widen_to_tables(u64 *start, u64 *end)
{
	u64 size = rnd(64) ? 2 * MIB : GIB;

	*start &= ~(size - 1);
	*end = (*end + size - 1) & ~(size - 1);
}

struct run {
	struct pt pt;
	struct model m;
	struct gather gather;
	u64 result[5], widened;
	u64 deferred;		/* freed since the last grace period */
};

static void zap_both(struct run *r, u64 start, u64 end)
{
	struct model_gather want = { 0 };
	enum pt_zap_result result;

	result = pt_zap(&r->pt, start, end, &r->gather);
	CHECK_EQ(result, model_zap(&r->m, start, end, &want));
	r->widened += result == PT_ZAP_WIDEN;
	for (unsigned int level = 1; level < 4; level++)
		CHECK_EQ(r->gather.leaves[level], want.leaves[level]);
	CHECK_EQ(r->gather.nr_tables, want.tables);
	CHECK_EQ(gather_needs_flush(&r->gather), want.cached || want.tables);
}

static void map_both(struct run *r, u64 addr)
{
	struct pt_leaf leaf = random_leaf(addr);
	struct pt_map_op op = { .addr = addr, .leaf = leaf };
	u64 size = pt_level_size(leaf.level), tables = r->m.tables;
	enum pt_map_result result = map_op(&r->pt, &op);

	CHECK_EQ(result, model_map(&r->m, addr, &leaf));
	CHECK_EQ(op.tables, r->m.tables - tables);
	r->result[result]++;
	if (result == PT_MAP_CONFLICT && rnd(2))
		zap_both(r, addr & ~(size - 1), (addr & ~(size - 1)) + size);
}

static void random_op(struct run *r, u64 addr, u64 end)
{
	unsigned int kind = rnd(16);

	if (kind < 10) {
		map_both(r, addr);
	} else if (kind < 12) {
		if (rnd(8) == 0)
			widen_to_tables(&addr, &end);
		zap_both(r, addr, end);
	} else if (kind < 14) {
		enum pt_age_mode mode = rnd(2) ? PT_AGE_TEST : PT_AGE_CLEAR;

		CHECK_EQ(pt_age(&r->pt, addr, end, mode),
			 model_age(&r->m, addr, end, mode));
	} else {
		touch(&r->pt, &r->m, addr);
	}
}

/* A grace period takes long: what was freed is counted, and awaited at times. */
static void check_live(struct run *r, bool exactly)
{
	u64 live, least = r->m.tables + r->gather.nr_tables + cache.nr;

	if (exactly) {
		plat_test_grace_period();
		r->deferred = 0;
		check_tables(&r->pt, &r->gather);
	}
	live = plat_test_live();
	CHECK(live >= least && live <= least + r->deferred);
}

static void check_after(struct run *r, u64 addr, u64 end, unsigned int i)
{
	check_page(&r->pt, &r->m, addr);
	check_page(&r->pt, &r->m, addr - 4096);
	check_page(&r->pt, &r->m, end);
	check_page(&r->pt, &r->m, random_addr());
	check_live(r, i % TABLES_EVERY == 0);
	r->deferred += r->gather.nr_tables;
	gather_flushed(&r->gather);
	gather_release(&r->gather);
	if (i % FULL_EVERY == 0)
		for (u64 a = MODEL_BASE; a < MODEL_END; a += 4096)
			check_page(&r->pt, &r->m, a);
}

static void random_run(const struct pt_geometry *geom, enum model_format format,
		       unsigned int ops)
{
	static struct run r;

	r = (struct run){ 0 };
	model_init(&r.m, format);
	begin(&r.pt, geom);
	for (unsigned int i = 1; i <= ops && !check_failed(); i++) {
		u64 addr = random_addr(), end = addr + random_length();

		if (end > MODEL_END)
			end = MODEL_END;
		gather_init(&r.gather);
		random_op(&r, addr, end);
		check_after(&r, addr, end, i);
	}
	fprintf(stderr, "# %u operations: %llu installed, %llu upgraded, %llu spurious, %llu conflicts, %llu widened\n",
		ops, r.result[PT_MAP_INSTALLED], r.result[PT_MAP_UPGRADED],
		r.result[PT_MAP_SPURIOUS], r.result[PT_MAP_CONFLICT], r.widened);
	for (unsigned int i = 0; i < 5; i++)
		CHECK(i == PT_MAP_STALE || r.result[i] > 0);
	CHECK(r.widened > 0 || ops < RANDOM_OPS);
	destroy(&r.pt);
	model_fini(&r.m);
}

static void random_operations_agree_with_the_model(void)
{
	random_run(&pt_ept_ad, MODEL_EPT_AD, RANDOM_OPS);
}

static void random_operations_without_accessed_bits(void)
{
	random_run(&pt_ept_plain, MODEL_EPT_PLAIN, RANDOM_OPS / 4);
}

static void random_operations_on_x86_tables(void)
{
	random_run(&pt_x86, MODEL_X86, RANDOM_OPS / 4);
}

int main(void)
{
	plat_rcu_register();
	CASE(random_operations_agree_with_the_model);
	CASE(random_operations_without_accessed_bits);
	CASE(random_operations_on_x86_tables);
	plat_rcu_unregister();
	return CHECK_EXIT();
}
