// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Many vCPUs of one process: at once, idle, one after the other. See scale.h. */
#include "test.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "scale.h"

#define VCPUS		256
#define STEPS		8
#define AT_A_TIME	4

/* Of what is not a stack. */
#define VCPU_BYTES	(24 * KIB)

/* Linux has programs and their heaps far below, and mmap() above: at most 2 TiB down. */
#define MMAP_LOW	0x7e0000000000ul

static pthread_t threads[VCPUS];
static struct work {
	uint64_t sum;		/* of all that it did */
	uint32_t id;		/* of its vCPU */
} work[VCPUS];
static volatile int arrived, go;
static char *shared;		/* a page a vCPU */

static void start(void *(*fn)(void *), int nr)
{
	pthread_attr_t attr;

	REQUIRE(pthread_attr_init(&attr) == 0);
	REQUIRE(pthread_attr_setstacksize(&attr, 64 * KIB) == 0);
	for (int i = 0; i < nr; i++)
		REQUIRE(pthread_create(&threads[i], &attr, fn, (void *)(long)i) == 0);
	pthread_attr_destroy(&attr);
}

static void join(int nr)
{
	for (int i = 0; i < nr; i++)
		REQUIRE(pthread_join(threads[i], NULL) == 0);
}

static void arrive(void)
{
	__atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST);
}

/* The main thread has seen all of them arrive, and lets them go on. */
static void wait_to_go(int stage)
{
	int now;

	while ((now = __atomic_load_n(&go, __ATOMIC_ACQUIRE)) < stage)
		syscall(SYS_futex, &go, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
}

static void wait_for_all(int nr)
{
	while (__atomic_load_n(&arrived, __ATOMIC_ACQUIRE) < nr)
		usleep(1000);
}

static void let_go(int nr, int stage)
{
	wait_for_all(nr * stage);
	__atomic_store_n(&go, stage, __ATOMIC_RELEASE);
	syscall(SYS_futex, &go, FUTEX_WAKE_PRIVATE, nr, NULL, NULL, 0);
}

static void reset(void)
{
	arrived = go = 0;
}

/* The last references of a thread go shortly after pthread_join() returns. */
static void settle(uint64_t vcpus)
{
	uint64_t end = deadline(20);

	while (vm_stat(DUNE_VM_vcpus) > vcpus && now_ns() < end)
		syscall(SYS_sched_yield);
	CHECK_EQ(vm_stat(DUNE_VM_vcpus), vcpus);
}

/* ---- at once ---- */

static uint64_t do_work(int index)
{
	volatile uint64_t *mine = (uint64_t *)(shared + index * PAGE);
	uint64_t sum = 0;

	for (int i = 0; i < STEPS; i++) {
		sum += syscall(SYS_getppid) == getppid();
		sum += syscall(SYS_gettid) == gettid();
		mine[i] = (uint64_t)index << 32 | i;
		spin(1000);
		sum += mine[i] == ((uint64_t)index << 32 | i);
	}
	return sum;
}

static void *one_of_many(void *arg)
{
	int index = (long)arg;

	mode_enter();
	arrive();
	wait_to_go(1);
	work[index].sum = do_work(index);
	work[index].id = dune_ipi_self();	/* its lower half */
	arrive();
	wait_to_go(2);
	/* Odd ones leave first, even ones end inside. */
	if (index & 1)
		mode_exit();
	return NULL;
}

static void check_work(void)
{
	static bool taken[DUNE_MAX_VCPUS];

	for (int i = 0; i < VCPUS; i++) {
		CHECK_EQ(work[i].sum, 3 * STEPS);
		if (opt.native)
			continue;
		CHECK(work[i].id < DUNE_MAX_VCPUS && !taken[work[i].id]);
		taken[work[i].id % DUNE_MAX_VCPUS] = true;
	}
}

void vcpus_at_once(void)
{
	uint64_t before = vm_stat(DUNE_VM_vcpus);

	shared = mmap(NULL, VCPUS * PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(shared != MAP_FAILED);
	reset();
	start(one_of_many, VCPUS);
	let_go(VCPUS, 1);
	if (!opt.native)
		CHECK_EQ(vm_stat(DUNE_VM_vcpus), before + VCPUS);
	let_go(VCPUS, 2);
	join(VCPUS);
	check_work();
	settle(before);
	printf("    %d vCPUs in Dune mode at once\n", VCPUS);
}

/* ---- idle ---- */

/* In the guest once; then it waits in plain mode, as it did before. */
static void *idle(void *arg)
{
	volatile char stack[32 * KIB];
	void *volatile mine;

	/* Its own stack is no part of the vCPU, nor what libc keeps for who allocates. */
	memset((char *)stack, 1, sizeof(stack));
	mine = malloc(100);
	free(mine);
	arrive();
	wait_to_go(1);
	mode_enter();
	mode_exit();
	arrive();
	wait_to_go(2);
	return NULL;
}

/*
 * What the threads' areas have: the stacks of the run stub and of traps, and half a
 * page with struct dune_thread. Of all mappings these alone have no huge pages and are
 * kept by fork().
 */
static long areas_kb(void)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	long sum = 0, rss = 0;
	char line[512];

	REQUIRE(f);
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "Rss: %ld", &rss);
		if (!strncmp(line, "VmFlags:", 8) && strstr(line, " nh") && !strstr(line, " wf"))
			sum += rss;
	}
	fclose(f);
	return sum;
}

/*
 * More 512 GiB than one in which mmap() has put memory: Linux' random layout may be
 * across a border. Each costs a view a page.
 */
static long more_slots(void)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long from, end, start = 0, slot = -1ul;
	long more = 0, rss;
	char line[512];

	REQUIRE(f);
	while (fgets(line, sizeof(line), f)) {
		/* Not the program, nor the first thread's stack and the vDSO. */
		if (sscanf(line, "%lx-%lx ", &from, &end) == 2)
			start = from < MMAP_LOW || strchr(line, '[') ? 0 : from;
		if (sscanf(line, "Rss: %ld", &rss) != 1 || !rss || !start)
			continue;
		more += slot != -1ul && slot != start >> 39;
		slot = start >> 39;
	}
	fclose(f);
	return more;
}

void vcpus_idle(void)
{
	struct memory before, took;
	uint64_t vcpus;
	long each, stacks;

	/* What the process has once is no part of a vCPU. */
	mode_enter();
	mode_exit();
	vcpus = vm_stat(DUNE_VM_vcpus);
	stacks = -areas_kb();
	reset();
	start(idle, VCPUS);
	wait_for_all(VCPUS);
	before = memory_now();
	let_go(VCPUS, 1);
	wait_for_all(2 * VCPUS);
	took = memory_since(&before);
	stacks = (stacks + areas_kb()) * 1024 / VCPUS - PAGE / 2;
	let_go(VCPUS, 2);
	join(VCPUS);
	settle(vcpus);
	each = took.all_kb * 1024 / VCPUS - stacks;
	report_each("an idle vCPU, stacks included", &took, VCPUS);
	printf("    %-34s %8ld bytes of stacks, %ld beyond\n", "of it", stacks, each);
	if (!is_debug_kernel() && !opt.native)
		CHECK_IN(each, 8 * KIB, VCPU_BYTES + more_slots() * PAGE);
}

/* ---- one after the other ---- */

static uint32_t highest_id;

static void *short_life(void *arg)
{
	uint32_t id;

	mode_enter();
	id = dune_ipi_self();
	for (uint32_t old = highest_id;
	     id > old && !__atomic_compare_exchange_n(&highest_id, &old, id, false,
						      __ATOMIC_RELAXED, __ATOMIC_RELAXED);)
		;
	if ((long)arg & 1)
		mode_exit();
	return NULL;
}

static void lives(long nr)
{
	for (long left = nr; left > 0; left -= AT_A_TIME) {
		int some = left < AT_A_TIME ? left : AT_A_TIME;

		start(short_life, some);
		join(some);
	}
}

/*
 * --rounds of them; caches fill before. More of them may be there at once later on, by
 * chance: each has stacks and a struct, which are kept.
 */
void vcpu_lifetimes(void)
{
	struct memory before, took;
	uint64_t created;
	uint32_t warm, more;

	lives(400);
	settle(0);
	warm = highest_id;
	highest_id = 0;
	created = vm_stat(DUNE_VM_vcpus_created);
	before = memory_now();
	lives(opt.rounds);
	settle(0);
	took = memory_since(&before);
	printf("    %ld lifetimes, highest id %u: %ld kB of memory, %ld kB slab, %ld kB of the process, %ld EPT tables\n",
	       opt.rounds, highest_id, took.all_kb, took.slab_kb, took.process_kb,
	       (long)took.ept_tables);
	if (!opt.native)
		CHECK_EQ(vm_stat(DUNE_VM_vcpus_created) - created, opt.rounds);
	/* Who has ended may keep its id until a work item has run. */
	CHECK_IN(highest_id, 0, 4 * AT_A_TIME);
	CHECK_IN((long)took.ept_tables, -1000000, 8);
	more = highest_id > warm ? highest_id - warm : 0;
	CHECK_IN(took.process_kb, -1000000, 32 + 96 * more);
	if (is_debug_kernel())
		return;
	CHECK_IN(took.all_kb, -1000000, 2048 + opt.rounds / 32);
	CHECK_IN(took.slab_kb, -1000000, 1024 + opt.rounds / 64);
}
