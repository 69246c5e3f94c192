// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The store-buffering pairs of the core, on real cores: SD-1/SD-2, KI-1/KI-2
 * and IV-1/IV-2. Two threads meet before each round and do one side each, with a
 * small random lead. Built without sanitizers, which would hide the reordering;
 * says nothing on a machine with one core.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "kick.h"
#include "pt.h"
#include "shootdown.h"

#define DEFAULT_MS	1500u

static unsigned int ms = DEFAULT_MS;

/* --- rounds of two threads --- */

static struct {
	u64 arrived[2] __attribute__((aligned(64)));
	u32 stop __attribute__((aligned(64)));
} meeting;

static void wait_while_less(u64 *p, u64 value)
{
	for (unsigned int i = 0; plat_load_acquire(p) < value; i++)
		if (i % 1024 == 1023)
			sched_yield();
		else
			__builtin_ia32_pause();
}

/* Both threads have come to this point of round n. */
static void meet(unsigned int me, u64 point)
{
	plat_store_release(&meeting.arrived[me], point);
	wait_while_less(&meeting.arrived[!me], point);
}

static u64 now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000 + (u64)t.tv_nsec / 1000000;
}

static void lead(u64 *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	for (u64 i = *random % 64; i; i--)
		__asm__ volatile("");
}

/* --- SD-1, SD-2 --- */

static struct {
	struct sd_vm vm __attribute__((aligned(64)));
	struct sd_cpu cpu;
	plat_cpumask_t cpus;
	u32 kicked __attribute__((aligned(64)));
	u32 request __attribute__((aligned(64)));
	bool flushed;		/* by the entry of this round */
	bool taken;		/* the request, by that entry */
} sd;

static void sd_kick(const plat_cpumask_t *mask)
{
	(void)mask;
	plat_store_release(&sd.kicked, 1);
	while (plat_load_acquire(&sd.cpu.mode) != SD_OUTSIDE)
		__builtin_ia32_pause();
}

/* Enters, and stays until it is kicked or the flusher is done. */
static void sd_cpu_round(u64 n)
{
	u64 gen;

	sd_begin(&sd.cpu, 0);
	gen = sd_enter(&sd.vm, &sd.cpu);
	sd.taken = plat_load(&sd.request);
	sd.flushed = gen != 0;
	if (gen)
		sd_flushed(&sd.cpu, gen);
	sd_entered(&sd.cpu);
	for (unsigned int i = 1; !plat_load_acquire(&sd.kicked) &&
	     plat_load_acquire(&meeting.arrived[1]) < 3 * n + 2; i++)
		if (i % 1024)
			__builtin_ia32_pause();
		else
			sched_yield();
	sd_exit(&sd.cpu);
}

static void *sd_cpu_thread(void *unused)
{
	u64 random = 88172645463325252ull;

	for (u64 n = 1; !plat_load_acquire(&meeting.stop); n++) {
		meet(0, 3 * n);
		lead(&random);
		sd_cpu_round(n);
		meet(0, 3 * n + 2);
	}
	return unused;
}

static void sd_setup(void)
{
	struct plat_test_hooks hooks = { .kick = sd_kick };

	memset(&sd, 0, sizeof(sd));
	memset(&meeting, 0, sizeof(meeting));
	plat_cpumask_set(&sd.cpus, 0);
	sd_vm_init(&sd.vm, 0, &sd.cpus, &sd.cpu);
	plat_test_hooks(&hooks);
}

static void a_cpu_that_enters_flushes_or_is_kicked(void)
{
	u64 random = 362436069, kicks = 0, flushed = 0, end = now_ms() + ms, n;
	pthread_t thread;

	sd_setup();
	pthread_create(&thread, NULL, sd_cpu_thread, NULL);
	for (n = 1; !plat_load(&meeting.stop); n++) {
		struct gather gather;
		unsigned int kicked;

		gather_init(&gather);
		gather_leaf(&gather, 1, GATHER_LEAF_CACHED);
		plat_store(&sd.kicked, 0);
		meet(1, 3 * n);
		lead(&random);
		kicked = shootdown_run(&sd.vm, &gather);
		if (now_ms() >= end || check_failed())
			plat_store_release(&meeting.stop, 1);
		meet(1, 3 * n + 2);
		kicks += kicked;
		flushed += sd.flushed;
		if (!sd.flushed && !kicked)
			check_fail("round %llu: it entered with the old generation and was not kicked",
				   n);
		/* Both are outside; what the CPU has seen is up to date. */
		sd.cpu.seen = sd.vm.gen;
	}
	pthread_join(thread, NULL);
	CHECK(flushed > 0);
	fprintf(stderr, "# %llu rounds: %llu kicks, %llu flushes at entry\n", n,
		kicks, flushed);
}

/* --- KI-1, KI-2 --- */

static void a_run_that_begins_takes_the_request_or_is_kicked(void)
{
	u64 random = 362436069, kicks = 0, taken = 0, end = now_ms() + ms, n;
	u64 ids = 1;
	pthread_t thread;

	sd_setup();
	pthread_create(&thread, NULL, sd_cpu_thread, NULL);
	for (n = 1; !plat_load(&meeting.stop); n++) {
		unsigned int kicked;

		plat_store(&sd.kicked, 0);
		plat_store(&sd.request, 0);
		meet(1, 3 * n);
		lead(&random);
		plat_store(&sd.request, 1);
		kicked = kick_vcpus(&sd.vm, &ids, 64);
		if (now_ms() >= end || check_failed())
			plat_store_release(&meeting.stop, 1);
		meet(1, 3 * n + 2);
		kicks += kicked;
		taken += sd.taken;
		if (!sd.taken && !kicked)
			check_fail("round %llu: it entered without the request and was not kicked",
				   n);
	}
	pthread_join(thread, NULL);
	CHECK(taken > 0 || n < 10000);	/* a busy machine */
	fprintf(stderr, "# %llu rounds: %llu kicks, %llu requests taken at entry\n",
		n, kicks, taken);
}

/* --- IV-1, IV-2 --- */

#define PAGE_AT	0x5000ull

static struct {
	struct pt pt;
	struct inval inval;
	struct pt_cache cache;
	struct inval_snap snap;
	enum pt_map_result result;
} iv;

static void *iv_fault_thread(void *unused)
{
	u64 random = 88172645463325252ull;

	plat_rcu_register();
	for (u64 n = 1; !plat_load_acquire(&meeting.stop); n++) {
		struct pt_map_op op = {
			.addr = PAGE_AT, .inval = &iv.inval, .cache = &iv.cache,
			.leaf = { 0x1000, 1, PT_R, PT_MEM_WB, PT_YOUNG },
		};

		inval_snap(&iv.inval, PAGE_AT, &op.snap);
		meet(0, 3 * n);
		lead(&random);
		iv.result = pt_map(&iv.pt, &op);
		meet(0, 3 * n + 1);
		meet(0, 3 * n + 2);
	}
	plat_rcu_unregister();
	return unused;
}

/* The tables exist already: the cache is never used. */
static void iv_setup(void)
{
	struct pt_map_op op = {
		.addr = 0, .cache = &iv.cache,
		.leaf = { 0x1000, 1, PT_R, PT_MEM_WB, PT_YOUNG },
	};

	memset(&iv, 0, sizeof(iv));
	memset(&meeting, 0, sizeof(meeting));
	CHECK_EQ(pt_init(&iv.pt, &pt_ept_ad), 0);
	CHECK_EQ(pt_cache_fill(&iv.cache), 0);
	CHECK_EQ(pt_map(&iv.pt, &op), PT_MAP_INSTALLED);
	CHECK_EQ(pt_cache_fill(&iv.cache), 0);
}

static void a_fault_gives_up_or_its_leaf_is_removed(void)
{
	u64 random = 362436069, gave_up = 0, removed = 0, end = now_ms() + ms, n;
	pthread_t thread;

	iv_setup();
	pthread_create(&thread, NULL, iv_fault_thread, NULL);
	for (n = 1; !plat_load(&meeting.stop); n++) {
		struct gather gather;
		unsigned int level;

		gather_init(&gather);
		meet(1, 3 * n);
		lead(&random);
		inval_begin(&iv.inval, PAGE_AT, PAGE_AT + 4096);
		pt_zap(&iv.pt, PAGE_AT, PAGE_AT + 4096, &gather);
		meet(1, 3 * n + 1);
		gave_up += iv.result == PT_MAP_STALE;
		removed += gather.leaves[1];
		if (pt_lookup(&iv.pt, PAGE_AT, &level)) {
			check_fail("round %llu: a leaf is there that was looked up before the invalidation",
				   n);
			pt_zap(&iv.pt, PAGE_AT, PAGE_AT + 4096, &gather);
		}
		inval_end(&iv.inval, PAGE_AT, PAGE_AT + 4096);
		if (now_ms() >= end || check_failed())
			plat_store_release(&meeting.stop, 1);
		meet(1, 3 * n + 2);
	}
	pthread_join(thread, NULL);
	CHECK(gave_up > 0 && removed > 0);
	fprintf(stderr, "# %llu rounds: %llu faults gave up, %llu leaves removed\n",
		n, gave_up, removed);
	pt_cache_drain(&iv.cache);
	pt_destroy(&iv.pt);
}

int main(int argc, char **argv)
{
	if (argc > 1 && argv[1][0] == '-') {
		printf("usage: %s [MILLISECONDS]\nStore-buffering pairs of smp/ on real cores, so long each.\n",
		       argv[0]);
		return argv[1][1] == 'h' || argv[1][1] == '-' ? 0 : 2;
	}
	if (argc > 1)
		ms = strtoul(argv[1], NULL, 0);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		printf("SKIP: one core does not reorder\n");
		return 77;
	}
	plat_rcu_register();
	CASE(a_cpu_that_enters_flushes_or_is_kicked);
	CASE(a_run_that_begins_takes_the_request_or_is_kicked);
	CASE(a_fault_gives_up_or_its_leaf_is_removed);
	plat_rcu_unregister();
	return CHECK_EXIT();
}
