// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Shootdown: the protocol step by step. tests/stress has it on many simulated
 * CPUs at once, and sb_test its store-buffering pairs on real cores.
 */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "shootdown.h"

#define NR	8
#define ROOT_PA	0x1234000

static struct {
	struct sd_vm vm;
	struct sd_cpu cpu[NR];
	plat_cpumask_t cpus;
	unsigned int kicks, kicked[NR];
	u64 bumped, done;
} s;

static void kick(const plat_cpumask_t *mask)
{
	s.kicks++;
	plat_for_each_cpu(cpu, mask) {
		s.kicked[cpu]++;
		CHECK_EQ(plat_load(&s.cpu[cpu].mode), SD_EXITING);
		CHECK_EQ(sd_exit(&s.cpu[cpu]), SD_END_KICKED);
	}
}

static void mark_bump(u64 root_pa, const u64 *gen)
{
	CHECK_EQ(root_pa, ROOT_PA);
	CHECK(*gen + 1 > s.bumped);
	s.bumped = *gen + 1;
}

static void mark_done(u64 root_pa, u64 gen)
{
	CHECK_EQ(root_pa, ROOT_PA);
	CHECK(gen <= s.bumped);
	s.done = gen;
}

static void reset(unsigned int nr)
{
	memset(&s, 0, sizeof(s));
	for (unsigned int i = 0; i < nr; i++)
		plat_cpumask_set(&s.cpus, i);
	sd_vm_init(&s.vm, ROOT_PA, &s.cpus, s.cpu);
}

/* Enters as the run loop does; true: it had to flush. */
static bool enter(unsigned int cpu)
{
	u64 gen = sd_enter(&s.vm, &s.cpu[cpu]);

	CHECK_EQ(s.cpu[cpu].mode, SD_ENTERING);
	if (gen)
		sd_flushed(&s.cpu[cpu], gen);
	sd_entered(&s.cpu[cpu]);
	CHECK_EQ(s.cpu[cpu].mode, SD_IN_GUEST);
	return gen;
}

/* One flush of a gather that holds one leaf. */
static unsigned int flush_leaf(void)
{
	struct gather gather;
	unsigned int kicks;

	gather_init(&gather);
	gather_leaf(&gather, 1, GATHER_LEAF_CACHED);
	kicks = shootdown_run(&s.vm, &gather);
	CHECK_EQ(s.done, s.bumped);
	CHECK(!gather_needs_flush(&gather));
	gather_release(&gather);
	CHECK_EQ(plat_test_warnings(), 0);
	return kicks;
}

static void first_entry_on_a_cpu_flushes_it(void)
{
	reset(2);
	CHECK(enter(1));
	CHECK_EQ(sd_exit(&s.cpu[1]), SD_END_OTHER);
	CHECK_EQ(s.cpu[1].mode, SD_OUTSIDE);
	CHECK(!enter(1));
	sd_exit(&s.cpu[1]);
	CHECK(enter(0));
}

static void a_cpu_outside_gets_no_kick_but_flushes_at_entry(void)
{
	reset(1);
	enter(0);
	sd_exit(&s.cpu[0]);
	CHECK_EQ(flush_leaf(), 0);
	CHECK_EQ(s.kicks, 0);
	CHECK(enter(0));
}

static void cpus_in_guest_are_kicked_at_once_and_no_other(void)
{
	reset(5);
	enter(0);
	enter(3);
	enter(4);
	plat_cpumask_del(&s.cpus, 4);	/* not of this vm */
	CHECK_EQ(flush_leaf(), 2);
	CHECK_EQ(s.kicks, 1);
	for (unsigned int i = 0; i < 5; i++)
		CHECK_EQ(s.kicked[i], i == 0 || i == 3);
	CHECK(enter(0));
	CHECK_EQ(flush_leaf(), 1);
	CHECK_EQ(s.kicked[3], 1);
}

/* The generation that a CPU has seen is what counts, not its mode alone. */
static void a_cpu_that_has_flushed_is_left_alone(void)
{
	reset(1);
	enter(0);
	s.bumped = ++s.vm.gen;
	CHECK_EQ(shootdown_settle(&s.vm, s.vm.gen - 1), 0);
	CHECK_EQ(s.cpu[0].mode, SD_IN_GUEST);
	CHECK_EQ(shootdown_settle(&s.vm, s.vm.gen), 1);
	CHECK_EQ(s.kicks, 1);
}

static void large_generations_compare_right(void)
{
	reset(1);
	s.vm.gen = (1ull << 32) - 2;
	CHECK(enter(0));
	for (unsigned int i = 0; i < 6; i++) {
		sd_exit(&s.cpu[0]);
		CHECK(!enter(0));
		CHECK_EQ(flush_leaf(), 1);
		CHECK(enter(0));
	}
	CHECK(s.vm.gen > 1ull << 32);
	CHECK_EQ(s.cpu[0].seen, s.vm.gen);
}

static void deferring_bumps_and_kicks_nobody(void)
{
	static struct inval inval;
	struct gather gather;
	u64 gen = 0;

	reset(2);
	enter(0);
	enter(1);
	gather_init(&gather);
	gather_leaf(&gather, 1, GATHER_LEAF_CACHED);
	inval_begin(&inval, 0, 4096);
	shootdown_defer(&s.vm, &inval, 0, 4096, &gather);
	CHECK_EQ(s.kicks, 0);
	CHECK_EQ(s.done, s.bumped - 1);
	CHECK_EQ(s.cpu[0].mode, SD_IN_GUEST);
	CHECK(!gather_needs_flush(&gather));
	gather_release(&gather);
	CHECK_EQ(inval_pending(&inval, 0, 4096, &gen), INVAL_DEFERRED);
	CHECK_EQ(gen, s.vm.gen);
	inval_end(&inval, 0, 4096);

	/* Linux' own flush has interrupted one of them. */
	sd_exit(&s.cpu[1]);
	CHECK(enter(1));
	gen = inval_deferred(&inval, 0, 4096);
	CHECK_EQ(gen, s.vm.gen);
	CHECK_EQ(shootdown_progress(&s.vm, gen), SD_GOES_ON);
	CHECK_EQ(shootdown_progress(&s.vm, gen - 1), SD_OVER);
	CHECK_EQ(s.done, gen - 1);
	CHECK_EQ(s.kicks, 0);
	CHECK_EQ(shootdown_settle(&s.vm, gen), 1);
	CHECK_EQ(s.done, gen);
	CHECK_EQ(shootdown_progress(&s.vm, gen), SD_OVER);
	inval_deferred_done(&inval, 0, 4096, gen);
	CHECK_EQ(s.kicked[0], 1);
	CHECK_EQ(s.kicked[1], 0);
	CHECK_EQ(inval_deferred(&inval, 0, 4096), 0);
	CHECK_EQ(plat_test_warnings(), 0);
}

static void tables_are_never_deferred(void)
{
	static struct inval inval;
	struct gather gather;

	reset(1);
	gather_init(&gather);
	gather_table(&gather, pt_table_alloc());
	shootdown_defer(&s.vm, &inval, 0, 4096, &gather);
	CHECK_EQ(plat_test_warnings(), 1);
	CHECK(gather_needs_flush(&gather));
	shootdown_run(&s.vm, &gather);
	gather_release(&gather);
	plat_test_grace_period();
	CHECK_EQ(plat_test_live(), 0);
}

struct second_flusher {
	unsigned int kicks;
	int done;
};

static void *second_flusher(void *arg)
{
	struct second_flusher *second = arg;

	second->kicks = flush_leaf();
	__atomic_store_n(&second->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void second_flusher_waits_for_the_first_ones_kick(void)
{
	struct second_flusher second = { 0, 0 };
	u32 mode = SD_IN_GUEST;
	pthread_t thread;

	reset(1);
	enter(0);
	/* The first flusher has asked; its interrupt is on the way. */
	CHECK(plat_cas32(&s.cpu[0].mode, &mode, SD_EXITING));
	pthread_create(&thread, NULL, second_flusher, &second);
	usleep(50000);
	CHECK(!__atomic_load_n(&second.done, __ATOMIC_ACQUIRE));
	CHECK_EQ(sd_exit(&s.cpu[0]), SD_END_KICKED);
	pthread_join(thread, NULL);
	CHECK_EQ(second.kicks, 0);
	CHECK_EQ(s.kicks, 0);
}

int main(void)
{
	struct plat_test_hooks hooks = {
		.kick = kick, .mark_bump = mark_bump, .mark_done = mark_done,
	};

	plat_test_hooks(&hooks);
	plat_rcu_register();
	CASE(first_entry_on_a_cpu_flushes_it);
	CASE(a_cpu_outside_gets_no_kick_but_flushes_at_entry);
	CASE(cpus_in_guest_are_kicked_at_once_and_no_other);
	CASE(a_cpu_that_has_flushed_is_left_alone);
	CASE(large_generations_compare_right);
	CASE(deferring_bumps_and_kicks_nobody);
	CASE(tables_are_never_deferred);
	CASE(second_flusher_waits_for_the_first_ones_kick);
	plat_rcu_unregister();
	return CHECK_EXIT();
}
