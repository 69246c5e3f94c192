// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Range operations: mapping all or nothing, finding, walking. */
#include <pthread.h>
#include <string.h>

#include "pt_range_util.h"

#define AT	(7 * GIB)

static struct gather gather;

static struct pt_map_range map_op_of(u64 addr, u64 end, u64 pa,
				     unsigned int level)
{
	return (struct pt_map_range){
		.range = range_of(addr, end, &gather), .delta = pa - addr,
		.level = level, .rights = PT_R | PT_W, .age = PT_OLD,
	};
}

static enum pt_result map_now(struct pt *pt, struct pt_map_range *op)
{
	return run_to_end(pt_map_range(pt, op));
}

static void the_largest_leaves_that_fit_are_used(void)
{
	struct pt_map_range op = map_op_of(AT - 2 * MIB - PAGE,
					   AT + GIB + 4 * MIB + 3 * PAGE,
					   71 * GIB - 2 * MIB - PAGE, 3);
	struct pt pt;

	begin(&pt, &pt_x86);
	CHECK_EQ(map_now(&pt, &op), PT_DONE);
	CHECK_EQ(op.range.addr, op.range.end);
	CHECK_EQ(op.range.tables + 1, tables_of(&pt));
	check_tables(&pt, &gather);
	CHECK_EQ(entry_at(&pt, AT - 2 * MIB - 2 * PAGE), 0);
	CHECK_EQ(entry_at(&pt, AT - 2 * MIB - PAGE),
		 (71 * GIB - 2 * MIB - PAGE) | X86_RW);
	CHECK_EQ(entry_at(&pt, AT - 2 * MIB),
		 (71 * GIB - 2 * MIB) | X86_RW | X86_LARGE);
	CHECK_EQ(level_at(&pt, AT - 2 * MIB), 2);
	CHECK_EQ(entry_at(&pt, AT), 71 * GIB | X86_RW | X86_LARGE);
	CHECK_EQ(level_at(&pt, AT), 3);
	CHECK_EQ(level_at(&pt, AT + GIB + 2 * MIB), 2);
	CHECK_EQ(entry_at(&pt, AT + GIB + 4 * MIB + 2 * PAGE),
		 (72 * GIB + 4 * MIB + 2 * PAGE) | X86_RW);
	CHECK_EQ(entry_at(&pt, AT + GIB + 4 * MIB + 3 * PAGE), 0);
	destroy(&pt);

	/* No larger than allowed, nor than the memory is aligned. */
	begin(&pt, &pt_x86);
	op = map_op_of(AT, AT + GIB, 71 * GIB + 2 * MIB, 3);
	CHECK_EQ(map_now(&pt, &op), PT_DONE);
	CHECK_EQ(level_at(&pt, AT), 2);
	op = map_op_of(AT + GIB, AT + GIB + 4 * MIB, 71 * GIB + PAGE, 3);
	CHECK_EQ(map_now(&pt, &op), PT_DONE);
	CHECK_EQ(level_at(&pt, AT + GIB), 1);
	op = map_op_of(AT + 2 * GIB, AT + 3 * GIB, 71 * GIB, 2);
	CHECK_EQ(map_now(&pt, &op), PT_DONE);
	CHECK_EQ(level_at(&pt, AT + 2 * GIB), 2);
	check_tables(&pt, &gather);
	destroy(&pt);
}

/* [addr, end) in which AT + at is mapped: refused, and nothing is changed. */
static void check_refused(u64 addr, u64 end, unsigned int level, u64 at,
			  unsigned int at_level)
{
	u64 size = pt_level_size(at_level), where = AT + at;
	struct pt_map_range op = map_op_of(AT + addr, AT + end, 64 * GIB, level);
	struct pt_range range = range_of(AT + addr, AT + end, NULL);
	struct pt pt;

	begin(&pt, &pt_x86);
	map_at(&pt, where, size, 32 * GIB, at_level, PT_R, PT_OLD);
	CHECK_EQ(pt_check_absent(&pt, &range), PT_EXISTS);
	CHECK(range.addr >= where && range.addr < where + size);
	CHECK_EQ(map_now(&pt, &op), PT_EXISTS);
	CHECK(op.range.addr >= where && op.range.addr < where + size);
	CHECK(op.range.addr >= AT + addr && op.range.addr < AT + end);
	check_tables(&pt, &gather);
	CHECK_EQ(entry_at(&pt, where) & X86_RW, X86_RO);
	zap(&pt, where, where + size, 1, at_level == 1 && size == 2 * MIB);
	for (u64 a = AT + addr; a < AT + end; a += PAGE)
		CHECK_EQ(entry_at(&pt, a), 0);
	/* What is left of a level-2 table is in the way of 1 GiB. */
	range = range_of(AT, AT + GIB, &gather);
	if (level == 3)
		CHECK_EQ(pt_trim(&pt, &range), PT_DONE);
	op.range.addr = AT + addr;
	CHECK_EQ(map_now(&pt, &op), PT_DONE);
	finish(&gather);	/* a table that was empty, if any */
	destroy(&pt);
}

static void what_overlaps_is_refused(void)
{
	check_refused(0, 4 * PAGE, 1, 2 * PAGE, 1);
	check_refused(PAGE, 4 * PAGE, 1, PAGE, 1);
	check_refused(0, 4 * PAGE, 1, 3 * PAGE, 1);
	check_refused(2 * PAGE, 4 * PAGE, 2, 0, 2);	/* part of a larger one */
	check_refused(MIB, 9 * MIB, 1, 5 * MIB, 1);
	check_refused(MIB, 9 * MIB, 2, 9 * MIB - PAGE, 1);
	check_refused(MIB, 9 * MIB, 2, 5 * MIB + PAGE, 1);
	check_refused(MIB, 9 * MIB, 2, 8 * MIB, 2);
	check_refused(0, 8 * MIB, 2, 6 * MIB, 2);
	check_refused(0, 4 * MIB, 2, 0, 3);
	check_refused(0, GIB + 2 * MIB, 3, GIB + MIB, 1);
	check_refused(0, GIB, 3, 5 * MIB, 1);
}

/* It was not there when the operation began. */
static void what_appears_later_is_refused_too(void)
{
	struct pt_map_range op = map_op_of(AT + MIB, AT + 9 * MIB, 64 * GIB, 2);
	u64 where = AT + 8 * MIB + 5 * PAGE;
	struct pt pt;

	begin(&pt, &pt_x86);
	pt_cache_drain(&cache);
	CHECK_EQ(pt_map_range(&pt, &op), PT_NEED_TABLES);
	map_at(&pt, where, PAGE, 32 * GIB, 1, PT_R, PT_OLD);
	CHECK_EQ(map_now(&pt, &op), PT_EXISTS);
	CHECK_EQ(op.range.addr, where);
	for (u64 a = AT; a < AT + 10 * MIB; a += PAGE)
		CHECK_EQ(entry_at(&pt, a) != 0, a == where);
	check_tables(&pt, &gather);
	destroy(&pt);
}

static void next_to_others_is_fine(void)
{
	struct pt_map_range op = map_op_of(AT + PAGE, AT + 2 * PAGE, 0x9000, 1);
	struct pt pt;

	begin(&pt, &pt_x86);
	map_at(&pt, AT, PAGE, 0x5000, 1, PT_R, PT_OLD);
	map_at(&pt, AT + 2 * PAGE, PAGE, 0x6000, 1, PT_R, PT_OLD);
	CHECK_EQ(map_now(&pt, &op), PT_DONE);
	CHECK_EQ(entry_at(&pt, AT + PAGE), 0x9000 | X86_RW);
	op = map_op_of(AT + 2 * MIB, AT + 2 * MIB, 0, 1);	/* empty */
	CHECK_EQ(map_now(&pt, &op), PT_DONE);
	CHECK_EQ(entry_at(&pt, AT + 2 * MIB), 0);
	destroy(&pt);
}

static void an_empty_table_makes_room_for_a_large_leaf(void)
{
	struct pt_map_range op = map_op_of(AT, AT + 4 * MIB, 64 * GIB, 2);
	struct pt pt;

	begin(&pt, &pt_x86);
	map_at(&pt, AT + 2 * MIB, PAGE, 0x5000, 1, PT_R, PT_OLD);
	zap(&pt, AT + 2 * MIB, AT + 2 * MIB + PAGE, 1, 0);
	CHECK_EQ(map_now(&pt, &op), PT_DONE);
	CHECK_EQ(level_at(&pt, AT + 2 * MIB), 2);
	CHECK_EQ(gather.nr_tables, 1);
	CHECK(gather_needs_flush(&gather));
	check_tables(&pt, &gather);
	finish(&gather);
	/* Not of a level-2 table, that is somebody's. */
	zap(&pt, AT, AT + 4 * MIB, 2, 0);
	op = map_op_of(AT, AT + GIB, 64 * GIB, 3);
	CHECK_EQ(map_now(&pt, &op), PT_EXISTS);
	CHECK_EQ(op.range.addr, AT);
	destroy(&pt);
}

/* Each allocation fails in turn: nothing is mapped until all is. */
static void without_tables_nothing_is_mapped(void)
{
	struct pt_map_range op = map_op_of(AT - MIB, AT + 5 * MIB, 64 * GIB, 1);
	unsigned int calls = 0;
	struct pt pt;

	begin(&pt, &pt_x86);
	pt_cache_drain(&cache);
	while (pt_map_range(&pt, &op) == PT_NEED_TABLES) {
		for (u64 a = AT - MIB; a < AT + 5 * MIB; a += PAGE)
			CHECK_EQ(entry_at(&pt, a), 0);
		tables_of(&pt);
		CHECK_EQ(cache.nr, 0);
		CHECK_EQ(pt_cache_fill_to(&cache, 1), 0);
		calls++;
	}
	CHECK_EQ(calls, 1 + 2 + 4);	/* one path, one more PD, three more PTs */
	for (u64 a = AT - MIB; a < AT + 5 * MIB; a += PAGE)
		CHECK(entry_at(&pt, a) != 0);
	check_tables(&pt, &gather);
	destroy(&pt);

	/* And a small one. */
	begin(&pt, &pt_x86);
	op = map_op_of(AT, AT + 2 * PAGE, 64 * GIB, 1);
	CHECK_EQ(pt_map_range(&pt, &op), PT_NEED_TABLES);
	CHECK_EQ(op.range.addr, AT);
	op.range.cache = NULL;
	CHECK_EQ(pt_map_range(&pt, &op), PT_NEED_TABLES);
	op.range.cache = &cache;
	CHECK_EQ(pt_cache_fill(&cache), 0);
	CHECK_EQ(pt_map_range(&pt, &op), PT_DONE);
	CHECK_EQ(op.range.tables, 3);
	destroy(&pt);
}

/* --- two at once --- */

#define RACES	3000u

static struct race {
	struct pt pt;
	u64 from, to[2];		/* two ranges that overlap */
	unsigned int level;
	u32 turn, ready;
	bool obstacle;			/* at the end of the first one's range */
	enum pt_result result[2];
	struct gather gather[2];
} race;

static u64 first_of(unsigned int who)
{
	return race.from + (who ? 0 : 2 * MIB);
}

/* It appears when the first one has looked for something and found nothing. */
static void place_obstacle(struct pt_map_range *op)
{
	struct pt_cache *mine = op->range.cache;
	u64 where = AT + 4 * MIB - PAGE;

	op->range.cache = NULL;
	CHECK_EQ(pt_map_range(&race.pt, op), PT_NEED_TABLES);
	op->range.cache = mine;
	map_at(&race.pt, where, PAGE, 0, 1, PT_R, PT_OLD);
	plat_store_release(&race.turn, race.turn + 1);
}

static void race_once(unsigned int who, struct pt_cache *mine)
{
	struct pt_map_range op = {
		.range = { .addr = first_of(who), .end = race.to[who],
			   .cache = mine, .gather = &race.gather[who] },
		.delta = (who + 1) * 64 * GIB - race.from,
		.level = race.level, .rights = PT_R, .age = PT_OLD,
	};
	enum pt_result result;

	if (who == 0 && race.obstacle)
		place_obstacle(&op);
	else if (who == 0)
		plat_store_release(&race.turn, race.turn + 1);
	while ((result = pt_map_range(&race.pt, &op)) == PT_NEED_TABLES)
		CHECK_EQ(pt_cache_fill(mine), 0);
	race.result[who] = result;
}

static void wait_for(const u32 *word, u32 value)
{
	while (plat_load_acquire(word) != value)
		plat_cpu_relax();
}

static void *other_thread(void *unused)
{
	struct pt_cache mine = { 0 };

	plat_rcu_register();
	plat_test_chaos(30, 7);
	for (unsigned int i = 1; i <= RACES; i++) {
		wait_for(&race.turn, i);
		race_once(1, &mine);
		plat_store_release(&race.ready, i);
	}
	pt_cache_drain(&mine);
	plat_rcu_unregister();
	return unused;
}

/* All of the winner's range is the winner's, the rest is absent. */
static void check_race(void)
{
	unsigned int winner = race.result[0] == PT_DONE ? 0 : 1;
	u64 end = race.to[0] > race.to[1] ? race.to[0] : race.to[1];

	CHECK_EQ(race.result[winner], PT_DONE);
	CHECK_EQ(race.result[!winner], PT_EXISTS);
	if (race.obstacle)
		CHECK_EQ(winner, 1);
	for (u64 a = race.from; a < end; a += PAGE) {
		unsigned int level;
		u64 entry = pt_lookup(&race.pt, a, &level);
		bool mine = a >= first_of(winner) && a < race.to[winner];

		if (race.obstacle && a == AT + 4 * MIB - PAGE)
			continue;
		CHECK_EQ(entry != 0, mine);
		if (mine)
			CHECK_EQ((entry & pt_x86.addr_mask) >> 36, winner + 1);
	}
	CHECK_EQ(plat_test_warnings(), 0);
}

static void of_two_that_overlap_one_gets_all(void)
{
	u64 won[2] = { 0, 0 };
	pthread_t thread;

	memset(&race, 0, sizeof(race));
	CHECK_EQ(pt_init(&race.pt, &pt_x86), 0);
	plat_test_chaos(30, 3);
	pthread_create(&thread, NULL, other_thread, NULL);
	for (unsigned int i = 1; i <= RACES; i++) {
		race.level = 1 + i % 2;
		race.from = AT - 2 * MIB;
		race.to[0] = AT + 4 * MIB + (i % 3) * PAGE;
		race.to[1] = AT + 2 * MIB + (i % 5) * PAGE;
		/* Only when no table was left by the last one. */
		race.obstacle = i % 4 == 2;
		gather_init(&race.gather[0]);
		gather_init(&race.gather[1]);
		race_once(0, &cache);
		wait_for(&race.ready, i);
		check_race();
		won[race.result[0] != PT_DONE]++;
		gather_init(&gather);
		/* The tables stay, every second time. */
		if (i % 4 < 2)
			pt_zap(&race.pt, 0, 1ull << 48, &gather);
		else
			for (u64 a = race.from; a < AT + 6 * MIB; a += MIB)
				pt_zap(&race.pt, a, a + MIB, &gather);
		for (unsigned int who = 0; who < 2; who++) {
			gather_flushed(&race.gather[who]);
			gather_release(&race.gather[who]);
		}
		gather_flushed(&gather);
		gather_release(&gather);
	}
	pthread_join(thread, NULL);
	plat_test_chaos(0, 0);
	fprintf(stderr, "# %llu to %llu\n", won[0], won[1]);
	CHECK(won[0] && won[1]);
	gather_init(&gather);
	destroy(&race.pt);
}

/* --- finding and walking --- */

struct walked {
	unsigned int nr, stop;
	u64 addr[8], entry[8];
	unsigned int level[8];
};

static int walk_fn(void *arg, u64 addr, u64 entry, unsigned int level)
{
	struct walked *walked = arg;

	walked->addr[walked->nr] = addr;
	walked->entry[walked->nr] = entry;
	walked->level[walked->nr++] = level;
	return walked->nr == walked->stop;
}

static void a_walk_visits_the_leaves_of_its_range(void)
{
	struct pt_range range = range_of(AT + PAGE, AT + 3 * GIB, NULL);
	struct walked walked = { .stop = 2 };
	struct pt_table *pd;
	struct pt pt;

	begin(&pt, &pt_x86);
	map_at(&pt, AT, 2 * MIB, 64 * GIB, 2, PT_R, PT_OLD);
	map_at(&pt, AT + GIB, PAGE, 0x5000, 1, 0, PT_OLD);
	map_at(&pt, AT + 2 * GIB, 4 * GIB, 32 * GIB, 3, PT_R, PT_OLD);
	CHECK_EQ(pt_walk_range(&pt, &range, walk_fn, &walked), PT_STOPPED);
	CHECK_EQ(range.addr, AT + GIB);
	walked.stop = 0;
	range.addr += PAGE;
	CHECK_EQ(pt_walk_range(&pt, &range, walk_fn, &walked), PT_DONE);
	CHECK_EQ(range.addr, AT + 3 * GIB);
	CHECK_EQ(walked.nr, 3);
	CHECK_EQ(walked.addr[0], AT + PAGE);
	CHECK_EQ(walked.entry[0], 64 * GIB | X86_RO | X86_LARGE);
	CHECK_EQ(walked.addr[1], AT + GIB);
	CHECK_EQ(walked.level[1], 1);
	CHECK_EQ(walked.level[2], 3);
	/* Inside of a table, whose end is that of the range. */
	pd = pt_find_table(&pt, AT + GIB, 2);
	range = range_of(AT + GIB, AT + 2 * GIB, NULL);
	range.top = pd;
	walked = (struct walked){ 0 };
	CHECK_EQ(pt_walk_range(&pt, &range, walk_fn, &walked), PT_DONE);
	CHECK_EQ(walked.nr, 1);
	range = range_of(AT + 2 * MIB, AT + GIB, NULL);
	CHECK_EQ(pt_check_absent(&pt, &range), PT_DONE);
	destroy(&pt);
}

static void tables_are_found_and_made(void)
{
	struct pt_table *table;
	struct pt pt;

	begin(&pt, &pt_x86);
	pt_cache_drain(&cache);
	CHECK_EQ(pt_make_table(&pt, AT, 2, &cache, &table), PT_NEED_TABLES);
	CHECK_EQ(pt_make_table(&pt, AT, 2, NULL, &table), PT_NEED_TABLES);
	CHECK_EQ(pt_cache_fill(&cache), 0);
	CHECK_EQ(pt_make_table(&pt, AT, 2, &cache, &table), PT_DONE);
	CHECK_EQ(table->level, 2);
	CHECK(pt_find_table(&pt, AT + GIB - 1, 2) == table);
	CHECK(pt_find_table(&pt, AT, 1) == NULL);
	CHECK_EQ(pt_make_table(&pt, AT + PAGE, 2, &cache, &table), PT_DONE);
	CHECK_EQ(cache.nr, 1);
	map_at(&pt, AT + GIB, GIB, 64 * GIB, 3, PT_R, PT_OLD);
	CHECK_EQ(pt_make_table(&pt, AT + GIB, 2, &cache, &table), PT_EXISTS);
	CHECK_EQ(pt_make_table(&pt, AT + GIB, 3, &cache, &table), PT_DONE);
	CHECK_EQ(table->level, 3);
	destroy(&pt);
}

static void entries_are_decoded(void)
{
	const struct pt_geometry *const geoms[] = { &pt_x86, &pt_ept_ad,
						    &pt_ept_plain };

	for (unsigned int i = 0; i < 3 * 32 * 3 * 2; i++) {
		const struct pt_geometry *geom = geoms[i % 3];
		struct pt_leaf leaf = {
			.pa = 64 * GIB, .level = 1 + i / 3 % 3,
			.rights = PT_R | (i / 9 % 32), .age = PT_OLD,
			.memtype = i / 288 ? PT_MEM_UC : PT_MEM_WB,
		}, out;

		if (geom != &pt_x86)
			leaf.rights &= PT_RWX;
		pt_decode(geom, geom->make_leaf(&leaf), leaf.level, &out);
		CHECK_EQ(out.pa, leaf.pa);
		CHECK_EQ(out.level, leaf.level);
		CHECK_EQ(out.rights, leaf.rights);
		CHECK_EQ(out.memtype, leaf.memtype);
		if (geom == &pt_x86)
			CHECK_EQ(out.age, PT_OLD);
	}
}

static void nonsense_is_refused(void)
{
	struct pt_map_range op = map_op_of(AT, AT + PAGE, 0x5000, 1);
	struct pt pt;

	begin(&pt, &pt_ept_ad);
	op.rights = 0;		/* EPT has no such leaves */
	CHECK_EQ(pt_map_range(&pt, &op), PT_INVALID);
	op.rights = PT_R;
	op.level = 0;
	CHECK_EQ(pt_map_range(&pt, &op), PT_INVALID);
	op.level = 4;
	CHECK_EQ(pt_map_range(&pt, &op), PT_INVALID);
	op.level = 1;
	op.delta++;
	CHECK_EQ(pt_map_range(&pt, &op), PT_INVALID);
	op.delta--;
	op.range.end++;
	CHECK_EQ(pt_map_range(&pt, &op), PT_INVALID);
	CHECK_EQ(plat_test_warnings(), 5);
	destroy(&pt);
}

int main(void)
{
	plat_rcu_register();
	gather_init(&gather);
	CASE(the_largest_leaves_that_fit_are_used);
	CASE(what_overlaps_is_refused);
	CASE(what_appears_later_is_refused_too);
	CASE(next_to_others_is_fine);
	CASE(an_empty_table_makes_room_for_a_large_leaf);
	CASE(without_tables_nothing_is_mapped);
	CASE(of_two_that_overlap_one_gets_all);
	CASE(a_walk_visits_the_leaves_of_its_range);
	CASE(tables_are_found_and_made);
	CASE(entries_are_decoded);
	CASE(nonsense_is_refused);
	plat_rcu_unregister();
	return CHECK_EXIT();
}
