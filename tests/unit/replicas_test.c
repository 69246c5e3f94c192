// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Replicas: what goes into which table, who is asked to leave, and when what was
 * deferred is over, step by step. tests/stress has it on simulated CPUs that change
 * table.
 */
#include <pthread.h>
#include <string.h>

#include "pt_util.h"
#include "replicas.h"

#define NR_CPUS		6
#define NR_TABLES	3
#define PAGE		4096ull
#define A		(5 * GIB)
#define A_RANGE		A, A + PAGE

static struct {
	struct replicas set;
	struct replica other[NR_TABLES - 1], *more[NR_TABLES - 1];
	struct sd_cpu cpu[NR_CPUS];
	plat_cpumask_t cpus;
	struct inval inval;
	unsigned int kicked[NR_CPUS];
	u64 bumped[NR_TABLES], done[NR_TABLES];	/* by table */
} s;

static struct replica *table(u32 index)
{
	return replicas_at(&s.set, index);
}

static u32 index_of(u64 root_pa)
{
	struct replica *r;

	for_each_replica(r, &s.set)
		if (r->sd.root_pa == root_pa)
			return r->index;
	CHECK(!"a root that is no table's");
	return 0;
}

static void kick(const plat_cpumask_t *mask)
{
	plat_for_each_cpu(cpu, mask) {
		s.kicked[cpu]++;
		CHECK_EQ(sd_exit(&s.cpu[cpu]), SD_END_KICKED);
	}
}

static void mark_bump(u64 root_pa, const u64 *gen)
{
	s.bumped[index_of(root_pa)] = *gen + 1;
}

static void mark_done(u64 root_pa, u64 gen)
{
	s.done[index_of(root_pa)] = gen;
}

static void unhook(void)
{
	struct plat_test_hooks none = { 0 };

	plat_test_hooks(&none);
}

static void hook(void)
{
	struct plat_test_hooks hooks = {
		.kick = kick, .mark_bump = mark_bump, .mark_done = mark_done,
	};

	plat_test_hooks(&hooks);
}

static void init_one(struct replica *r, u32 place)
{
	CHECK_EQ(pt_init_at(&r->pt, &pt_ept_ad, place), 0);
	sd_vm_init(&r->sd, pt_root_pa(&r->pt), &s.cpus, s.cpu);
}

static void begin_set(u32 nr_tables)
{
	unhook();
	memset(&s, 0, sizeof(s));
	for (unsigned int i = 0; i < NR_CPUS; i++)
		plat_cpumask_set(&s.cpus, i);
	init_one(&s.set.first, 1);
	for (u32 i = 0; i + 1 < nr_tables; i++) {
		s.more[i] = &s.other[i];
		init_one(s.more[i], i + 2);
	}
	if (nr_tables > 1)
		replicas_join(&s.set, s.more, nr_tables - 1);
	hook();
}

static void end_set(void)
{
	struct replica *r;

	for_each_replica(r, &s.set)
		pt_destroy(&r->pt);
	pt_cache_drain(&cache);
	plat_test_grace_period();
	CHECK_EQ(plat_test_live(), 0);
	CHECK_EQ(plat_test_live_objects(), 0);
	CHECK_EQ(plat_test_warnings(), 0);
}

/* Enters as the run loop does; true: it had to flush. */
static bool enter(unsigned int cpu, u32 index)
{
	struct sd_cpu *line = &s.cpu[cpu];
	u64 gen;

	replica_use(line, table(index));
	gen = sd_enter(&table(index)->sd, line);
	if (gen)
		sd_flushed(line, gen);
	sd_entered(line);
	return gen;
}

/* CPUs 0 and 1 use table 0; 2 and 3 table 1; 4 and 5 table 2. All in guest. */
static void enter_all(void)
{
	for (unsigned int cpu = 0; cpu < NR_CPUS; cpu++) {
		if (s.cpu[cpu].mode != SD_OUTSIDE)
			sd_exit(&s.cpu[cpu]);
		enter(cpu, cpu / 2);
	}
	memset(s.kicked, 0, sizeof(s.kicked));
}

/* Exactly the CPUs of these tables, one bit each, were kicked, once. */
static void check_kicked(u64 tables)
{
	for (unsigned int cpu = 0; cpu < NR_CPUS; cpu++)
		CHECK_EQ(s.kicked[cpu], tables >> cpu / 2 & 1);
}

static void put(u32 index, u64 addr, struct pt_leaf leaf)
{
	CHECK_EQ(map(&table(index)->pt, addr, leaf), PT_MAP_INSTALLED);
}

static struct gather zap_page(void)
{
	struct gather gather = GATHER_INIT;

	CHECK_EQ(replicas_zap(&s.set, A_RANGE, &gather), PT_ZAP_DONE);
	return gather;
}

static bool is_there(u32 index, u64 addr)
{
	unsigned int level;

	return pt_lookup(&table(index)->pt, addr, &level) != 0;
}

static void release(struct gather *gather)
{
	CHECK(!gather_needs_flush(gather));
	gather_release(gather);
	CHECK_EQ(plat_test_warnings(), 0);
}

static void a_removal_goes_through_all_tables(void)
{
	struct gather gather;

	begin_set(3);
	for (u32 i = 0; i < 3; i++)
		put(i, A, ram(A, 1, PT_RWX));
	gather = zap_page();
	CHECK_EQ(gather.leaves[1], 3);
	CHECK_EQ(gather.replicas, 7);
	CHECK(gather_needs_flush(&gather));
	for (u32 i = 0; i < 3; i++)
		CHECK(!is_there(i, A));
	replicas_run(&s.set, &gather);
	release(&gather);
	end_set();
}

/* Also when another range of the same gather had none, or had it elsewhere. */
static void the_gather_remembers_who_had_something(void)
{
	struct gather gather = GATHER_INIT;

	begin_set(3);
	put(1, A, ram(A, 1, PT_RWX));
	put(2, A, old_ram(A, 1, PT_RWX));	/* no CPU has cached it */
	put(2, 2 * A, ram(A, 1, PT_RWX));
	CHECK_EQ(replicas_zap(&s.set, A_RANGE, &gather), PT_ZAP_DONE);
	CHECK_EQ(gather.replicas, 2);
	CHECK_EQ(gather.leaves[1], 2);
	CHECK_EQ(replicas_zap(&s.set, 3 * A, 3 * A + PAGE, &gather), PT_ZAP_DONE);
	CHECK_EQ(gather.replicas, 2);
	CHECK(gather_needs_flush(&gather));
	CHECK_EQ(replicas_zap(&s.set, 2 * A, 2 * A + PAGE, &gather), PT_ZAP_DONE);
	CHECK_EQ(gather.replicas, 6);
	replicas_run(&s.set, &gather);
	release(&gather);
	end_set();
}

static void what_was_never_cached_needs_no_flush(void)
{
	struct gather gather;

	begin_set(2);
	put(0, A, old_ram(A, 1, PT_RWX));
	put(1, A, old_ram(A, 1, PT_RWX));
	gather = zap_page();
	CHECK(!gather_needs_flush(&gather));
	CHECK_EQ(gather.replicas, 0);
	CHECK_EQ(gather.leaves[1], 2);
	end_set();
}

/* Tables too: their upper entries are cached apart from leaves. */
static void an_empty_table_concerns_its_replica(void)
{
	struct gather gather = GATHER_INIT;

	begin_set(2);
	put(1, A, old_ram(A, 1, PT_RWX));
	CHECK_EQ(replicas_zap(&s.set, 5 * GIB, 6 * GIB, &gather), PT_ZAP_DONE);
	CHECK_EQ(gather.nr_tables, 2);
	CHECK_EQ(gather.replicas, 2);
	replicas_run(&s.set, &gather);
	release(&gather);
	end_set();
}

static void only_users_of_a_concerned_table_are_asked(void)
{
	static const u64 which[] = { 1, 2, 4, 5, 7 };
	struct gather gather;

	begin_set(3);
	for (unsigned int i = 0; i < 5; i++) {
		u64 gen = s.set.clock + 1;

		for (u32 t = 0; t < 3; t++)
			if (which[i] >> t & 1)
				put(t, A, ram(A, 1, PT_RWX));
		enter_all();
		gather = zap_page();
		CHECK_EQ(replicas_run(&s.set, &gather),
			 2 * (unsigned int)__builtin_popcountll(which[i]));
		check_kicked(which[i]);
		for (u32 t = 0; t < 3; t++) {
			CHECK_EQ(table(t)->sd.gen == gen, which[i] >> t & 1);
			CHECK_EQ(s.bumped[t] == gen, which[i] >> t & 1);
			CHECK_EQ(s.done[t], table(t)->sd.gen);
		}
		release(&gather);
	}
	end_set();
}

/* It has removed nothing itself, or it has, and somebody else may have as well. */
static void who_flushes_for_others_asks_all(void)
{
	struct gather gather = GATHER_INIT;

	begin_set(3);
	enter_all();
	CHECK_EQ(replicas_run(&s.set, &gather), 6);
	check_kicked(7);
	enter_all();
	put(1, A, ram(A, 1, PT_RWX));
	gather = zap_page();
	gather_of_others(&gather);
	CHECK_EQ(replicas_run(&s.set, &gather), 6);
	check_kicked(7);
	release(&gather);
	end_set();
}

/* A page of that table alone, deferred: its generation. */
static u64 defer_in(u32 index)
{
	struct gather gather;

	put(index, A, ram(A, 1, PT_RWX));
	inval_begin(&s.inval, A_RANGE);
	gather = zap_page();
	if (index % 2)
		replicas_defer(&s.set, &s.inval, A_RANGE, &gather);
	else
		replicas_defer(&s.set, &s.inval, A, A + PAGE, &gather);
	inval_end(&s.inval, A_RANGE);
	release(&gather);
	CHECK_EQ(inval_deferred(&s.inval, A_RANGE), s.set.clock);
	return s.set.clock;
}

static void deferred_generations_are_of_one_clock(void)
{
	u64 one, two;

	begin_set(3);
	enter_all();
	one = defer_in(2);
	two = defer_in(1);
	check_kicked(0);
	CHECK_EQ(two, one + 1);
	CHECK_EQ(replicas_progress(&s.set, one - 1), SD_OVER);
	CHECK_EQ(replicas_progress(&s.set, one), SD_GOES_ON);
	CHECK_EQ(replicas_progress(&s.set, two), SD_GOES_ON);
	CHECK_EQ(s.done[2], one - 1);

	/* A run of table 2 that began after one has seen all that is in it. */
	sd_exit(&s.cpu[4]);
	CHECK(enter(4, 2));
	CHECK_EQ(s.cpu[4].seen, one);
	CHECK_EQ(replicas_settle(&s.set, two), 3);
	CHECK_EQ(s.kicked[4], 0);
	CHECK_EQ(s.kicked[0] + s.kicked[1], 0);
	CHECK_EQ(replicas_progress(&s.set, two), SD_OVER);
	CHECK_EQ(s.done[0], table(0)->sd.gen);
	CHECK_EQ(s.done[1], two);
	CHECK_EQ(s.done[2], one);
	inval_deferred_done(&s.inval, A_RANGE, two);
	CHECK_EQ(inval_deferred(&s.inval, A_RANGE), 0);
	end_set();
}

/* A CPU that has flushed to one, and not to a later removal, is no straggler. */
static void a_later_generation_is_not_waited_for(void)
{
	u64 one, two;

	begin_set(2);
	one = defer_in(1);
	CHECK(enter(2, 1));
	two = defer_in(1);
	CHECK_EQ(replicas_progress(&s.set, one), SD_OVER);
	CHECK_EQ(s.done[1], one);
	CHECK_EQ(replicas_settle(&s.set, one), 0);
	CHECK_EQ(replicas_settle(&s.set, two), 1);
	CHECK_EQ(s.kicked[2], 1);
	end_set();
}

static void with_a_table_in_it_nothing_is_deferred(void)
{
	struct gather gather = GATHER_INIT;
	u64 clock;

	begin_set(2);
	clock = s.set.clock;
	gather_table(&gather, pt_table_alloc());
	replicas_defer(&s.set, &s.inval, A_RANGE, &gather);
	CHECK_EQ(plat_test_warnings(), 1);
	CHECK(gather_needs_flush(&gather));
	CHECK_EQ(s.set.clock, clock);
	replicas_run(&s.set, &gather);
	release(&gather);
	end_set();
}

static void a_cpu_that_changes_table_flushes(void)
{
	begin_set(2);
	CHECK(enter(0, 0));
	sd_exit(&s.cpu[0]);
	CHECK(!enter(0, 0));
	sd_exit(&s.cpu[0]);
	CHECK_EQ(table(0)->sd.gen, table(1)->sd.gen);
	CHECK(enter(0, 1));		/* of the same generation */
	CHECK_EQ(s.cpu[0].replica, 1);
	sd_exit(&s.cpu[0]);
	CHECK(!enter(0, 1));
	sd_exit(&s.cpu[0]);
	CHECK(enter(0, 0));
	end_set();
}

/* And is asked as a user of the new one. */
static void a_cpu_that_changed_table_is_asked_there(void)
{
	struct gather gather;

	begin_set(2);
	enter(0, 0);
	sd_exit(&s.cpu[0]);
	enter(0, 1);
	put(0, A, ram(A, 1, PT_RWX));
	gather = zap_page();
	CHECK_EQ(replicas_run(&s.set, &gather), 0);
	release(&gather);
	put(1, A, ram(A, 1, PT_RWX));
	gather = zap_page();
	CHECK_EQ(replicas_run(&s.set, &gather), 1);
	release(&gather);
	end_set();
}

static void accessed_in_any_table_is_young(void)
{
	begin_set(3);
	put(0, A, old_ram(A, 1, PT_RWX));
	put(2, A, ram(A, 1, PT_RWX));
	CHECK_EQ(replicas_age(&s.set, A_RANGE, PT_AGE_CLEAR), 1);
	put(0, A + PAGE, ram(A, 1, PT_RWX));
	put(1, A + PAGE, ram(A, 1, PT_RWX));
	CHECK_EQ(replicas_age(&s.set, A + PAGE, A + 2 * PAGE, PT_AGE_CLEAR), 1);
	CHECK_EQ(replicas_age(&s.set, A + PAGE, A + 2 * PAGE, PT_AGE_TEST), 0);
	put(2, A + PAGE, ram(A, 1, PT_RWX));
	CHECK_EQ(replicas_age(&s.set, A + PAGE, A + 2 * PAGE, PT_AGE_TEST), 1);
	CHECK_EQ(replicas_age(&s.set, A_RANGE, PT_AGE_TEST), 0);
	put(1, A, ram(A, 1, PT_RWX));
	CHECK_EQ(replicas_age(&s.set, A_RANGE, PT_AGE_CLEAR), 1);
	CHECK_EQ(replicas_age(&s.set, A_RANGE, PT_AGE_CLEAR), 0);
	end_set();
}

static void one_table_is_a_plain_shootdown(void)
{
	struct gather gather;
	u64 gen;

	begin_set(1);
	CHECK_EQ(s.set.nr_more, 0);
	CHECK(enter(0, 0));
	put(0, A, ram(A, 1, PT_RWX));
	CHECK_EQ(replicas_age(&s.set, A_RANGE, PT_AGE_TEST), 1);
	gather = zap_page();
	gen = table(0)->sd.gen;
	CHECK_EQ(replicas_run(&s.set, &gather), 1);
	CHECK_EQ(table(0)->sd.gen, gen + 1);
	CHECK_EQ(s.set.clock, 0);
	release(&gather);
	enter(0, 0);
	put(0, A, ram(A, 1, PT_RWX));
	inval_begin(&s.inval, A_RANGE);
	gather = zap_page();
	replicas_defer(&s.set, &s.inval, A_RANGE, &gather);
	inval_end(&s.inval, A_RANGE);
	release(&gather);
	gen = inval_deferred(&s.inval, A_RANGE);
	CHECK_EQ(gen, table(0)->sd.gen);
	CHECK_EQ(replicas_progress(&s.set, gen), SD_GOES_ON);
	CHECK_EQ(replicas_settle(&s.set, gen), 1);
	CHECK_EQ(replicas_progress(&s.set, gen), SD_OVER);
	end_set();
}

/* It sticks out of the range in one table; the others are done. */
static void a_giant_leaf_in_one_table_widens(void)
{
	struct gather gather = GATHER_INIT;

	begin_set(3);
	put(0, A, ram(A, 1, PT_RWX));
	put(1, 5 * GIB, ram(7 * GIB, 3, PT_RWX));
	put(2, A, ram(A, 1, PT_RWX));
	CHECK_EQ(replicas_zap(&s.set, A_RANGE, &gather), PT_ZAP_WIDEN);
	CHECK_EQ(gather.replicas, 5);
	CHECK(!is_there(0, A));
	CHECK(is_there(1, A));
	CHECK(!is_there(2, A));
	CHECK_EQ(replicas_zap(&s.set, 5 * GIB, 6 * GIB, &gather), PT_ZAP_DONE);
	CHECK(!is_there(1, A));
	CHECK_EQ(gather.replicas, 7);
	CHECK_EQ(gather.leaves[3], 1);
	replicas_run(&s.set, &gather);
	release(&gather);
	end_set();
}

/* Joined late, after one of them had many removals. */
static void the_clock_begins_with_the_latest(void)
{
	struct gather gather = GATHER_INIT;

	begin_set(1);
	unhook();
	init_one(&s.other[0], 2);
	init_one(&s.other[1], 3);
	s.other[0].sd.gen = 17;
	s.more[0] = &s.other[0];
	s.more[1] = &s.other[1];
	replicas_join(&s.set, s.more, 2);
	hook();
	CHECK_EQ(s.set.clock, 17);
	CHECK_EQ(s.other[0].index, 1);
	CHECK_EQ(s.other[1].index, 2);
	enter(0, 1);
	CHECK_EQ(replicas_run(&s.set, &gather), 1);
	CHECK_EQ(s.other[0].sd.gen, 18);
	CHECK_EQ(s.set.first.sd.gen, 18);
	end_set();
}

/*
 * Two flushers of two tables at once, for long. Whoever has the later generation
 * finds the earlier one in its table: settling the later one covers both.
 */
#define BUMPS	50000u

static struct {
	u64 gen[2][BUMPS];	/* of table 0 and 1 */
	u64 of_other[2][BUMPS];	/* what the other table had after the bump */
	u32 start;
} race;

static void *bumper(void *arg)
{
	u32 me = (uintptr_t)arg;
	struct gather gather = { .replicas = 1u << me };

	plat_test_chaos(20, me + 1);
	while (!plat_load_acquire(&race.start))
		plat_cpu_relax();
	for (unsigned int i = 0; i < BUMPS; i++) {
		race.gen[me][i] = replicas_bump(&s.set, &gather);
		race.of_other[me][i] = plat_load_acquire(&table(!me)->sd.gen);
	}
	plat_test_chaos(0, 0);
	return NULL;
}

/* The other one's last generation before this one's. */
static void check_order(u32 me)
{
	u64 missed = 0, last = 0;

	for (unsigned int i = 0, other = 0; i < BUMPS; i++) {
		for (; other < BUMPS && race.gen[!me][other] < race.gen[me][i]; other++)
			last = race.gen[!me][other];
		missed += race.of_other[me][i] < last;
	}
	CHECK_EQ(missed, 0);
}

static void a_generation_covers_all_before_it(void)
{
	pthread_t thread[2];
	u64 sum = 0, first;

	begin_set(2);
	unhook();
	first = s.set.clock;
	for (uintptr_t i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, bumper, (void *)i);
	plat_store_release(&race.start, 1);
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	for (unsigned int i = 0; i < BUMPS; i++)
		sum += race.gen[0][i] - first + race.gen[1][i] - first;
	/* Each once. */
	CHECK_EQ(sum, (u64)BUMPS * (2 * BUMPS + 1));
	CHECK_EQ(s.set.clock, first + 2 * BUMPS);
	check_order(0);
	check_order(1);
	end_set();
}

int main(void)
{
	plat_rcu_register();
	CASE(a_removal_goes_through_all_tables);
	CASE(the_gather_remembers_who_had_something);
	CASE(what_was_never_cached_needs_no_flush);
	CASE(an_empty_table_concerns_its_replica);
	CASE(only_users_of_a_concerned_table_are_asked);
	CASE(who_flushes_for_others_asks_all);
	CASE(deferred_generations_are_of_one_clock);
	CASE(a_later_generation_is_not_waited_for);
	CASE(with_a_table_in_it_nothing_is_deferred);
	CASE(a_cpu_that_changes_table_flushes);
	CASE(a_cpu_that_changed_table_is_asked_there);
	CASE(accessed_in_any_table_is_young);
	CASE(one_table_is_a_plain_shootdown);
	CASE(a_giant_leaf_in_one_table_widens);
	CASE(the_clock_begins_with_the_latest);
	CASE(a_generation_covers_all_before_it);
	plat_rcu_unregister();
	return CHECK_EXIT();
}
