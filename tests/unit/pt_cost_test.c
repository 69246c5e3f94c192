// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What operations of the engine cost, in instructions, built as libdune builds
 * it: on the guest backend, optimised. A child steps through each operation,
 * its parent counts the steps. Arguments are ready; the call counts, the caller
 * does not. docs/guest-paging.md has the numbers.
 */
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "gather.h"
#include "pt_range.h"

#define GPA_BASE	(3ull << 30)
#define HEAP		0x7f1200000000ull

static char *arena;
static unsigned int next_page = 1;
static u64 slot_hva[4];
static struct pt pt;
static struct pt_cache cache;

static void *page_alloc(void)
{
	return arena + ((u64)next_page++ << PLAT_PAGE_SHIFT);
}

static void page_free(void *page)
{
	(void)page;
}

static void *object_alloc(size_t size)
{
	return calloc(1, size);
}

static u64 pa(const void *page)
{
	return (u64)((const char *)page - arena) + GPA_BASE;
}

static void kick(const plat_cpumask_t *mask)
{
	(void)mask;
}

static void yield(void)
{
	sched_yield();
}

static void warn(const char *msg)
{
	printf("FAIL warning: %s\n", msg);
	abort();
}

/* --- counting --- */

struct operation {
	const char *name;
	void (*setup)(void);
	void (*run)(void);
	long limit;
};

/*
 * Steps of run() in a child, from its SIGTRAP before to that after; the
 * child's memory is a copy. Once before for lazy binding.
 */
static long steps(void (*setup)(void), void (*run)(void))
{
	siginfo_t info = { 0 };
	pid_t pid = fork();
	long nr = -1;
	int status;

	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		setup();
		run();
		setup();
		raise(SIGTRAP);
		run();
		raise(SIGTRAP);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (!WIFSTOPPED(status))
		return -1;
	do {
		nr++;
		ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL);
		waitpid(pid, &status, 0);
		ptrace(PTRACE_GETSIGINFO, pid, NULL, &info);
	} while (WIFSTOPPED(status) && info.si_code > 0);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return nr;
}

static void nothing(void)
{
}

/* --- operations --- */

static struct pt_change to_read, to_write;
static struct gather gather;
static struct pt_table *pd;
static struct pt_protect protect;
static struct pt_scan scan;
static struct pt_unmap unmap;
static struct pt_map_range map;
static u64 bitmap[8];

static void setup_protect(unsigned int pages, const struct pt_change *before,
			  const struct pt_change *change, struct pt_table *top)
{
	protect = (struct pt_protect){
		.range = { .addr = HEAP, .end = HEAP + (512 << 12),
			   .gather = &gather },
		.change = before,
	};
	pt_protect(&pt, &protect);
	protect = (struct pt_protect){
		.range = { .addr = HEAP + (64 << 12), .top = top,
			   .end = HEAP + ((64ull + pages) << 12),
			   .gather = &gather },
		.change = change,
	};
}

static void setup_one(void)
{
	setup_protect(1, &to_write, &to_read, pd);
}

static void setup_one_from_root(void)
{
	setup_protect(1, &to_write, &to_read, NULL);
}

static void setup_one_up(void)
{
	setup_protect(1, &to_read, &to_write, pd);
}

static void setup_64(void)
{
	setup_protect(64, &to_write, &to_read, pd);
}

static void setup_512(void)
{
	setup_protect(448, &to_write, &to_read, pd);
}

static void run_protect(void)
{
	pt_protect(&pt, &protect);
}

static void run_small(void)
{
	pt_protect_small(pd, protect.range.addr, protect.range.end,
			 protect.change, &gather);
}

static void run_small_with_rcu(void)
{
	plat_rcu_lock();
	run_small();
	plat_rcu_unlock();
}

static void setup_scan(void)
{
	scan = (struct pt_scan){
		.range = { .addr = HEAP, .end = HEAP + (512 << 12), .top = pd,
			   .gather = &gather },
		.what = PT_SCAN_DIRTY, .bitmap = bitmap, .base = HEAP,
	};
}

static void setup_clear(void)
{
	setup_scan();
	scan.mode = PT_SCAN_CLEAR;
}

static void run_scan(void)
{
	pt_scan(&pt, &scan);
}

static void setup_unmap(void)
{
	setup_protect(1, &to_write, &to_read, pd);
	unmap = (struct pt_unmap){ .range = protect.range };
	map = (struct pt_map_range){
		.range = protect.range, .level = 1, .rights = PT_R | PT_W,
	};
	pt_map_range(&pt, &map);
}

static void run_unmap(void)
{
	pt_unmap(&pt, &unmap);
}

static void setup_map(void)
{
	setup_unmap();
	pt_unmap(&pt, &unmap);
	map.range = protect.range;
}

static void run_map(void)
{
	pt_map_range(&pt, &map);
}

static const struct operation operations[] = {
	{ "protect 1 page, small", setup_one, run_small, 90 },
	{ "protect 1 page, small, with RCU", setup_one, run_small_with_rcu, 120 },
	{ "protect 1 page to more rights, small", setup_one_up, run_small, 90 },
	{ "protect 64 pages, small", setup_64, run_small, 90 + 63 * 8 },
	{ "protect 448 pages, small", setup_512, run_small, 90 + 447 * 8 },
	{ "protect 1 page", setup_one, run_protect, 300 },
	{ "protect 1 page, from the root", setup_one_from_root, run_protect, 350 },
	{ "protect 64 pages", setup_64, run_protect, 300 + 63 * 8 },
	{ "unmap 1 page", setup_unmap, run_unmap, 300 },
	{ "map 1 page", setup_map, run_map, 400 },
	{ "scan 512 pages, none dirty", setup_scan, run_scan, 200 + 512 * 4 },
	{ "clear 512 pages, none dirty", setup_clear, run_scan, 200 + 512 * 4 },
};

static void map_heap(void)
{
	pt_cache_fill_to(&cache, 16);
	map = (struct pt_map_range){
		.range = { .addr = HEAP, .end = HEAP + (512 << 12),
			   .cache = &cache },
		.level = 1, .rights = PT_R | PT_W,
	};
	CHECK_EQ(pt_map_range(&pt, &map), PT_DONE);
	pd = pt_find_table(&pt, HEAP, 2);
}

static void operations_are_within_their_limits(void)
{
	long empty = steps(nothing, nothing);

	CHECK(empty > 0);
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		const struct operation *op = &operations[i];
		long cost = steps(op->setup, op->run) - empty;

		printf("# %s: %ld instructions, at most %ld\n", op->name, cost,
		       op->limit);
		CHECK(cost > 0 && cost <= op->limit);
	}
}

int main(void)
{
	static const struct plat_guest_ops ops = {
		page_alloc, page_free, object_alloc, free, pa, slot_hva, kick,
		warn, yield,
	};

	arena = aligned_alloc(PLAT_ARENA_SIZE, PLAT_ARENA_SIZE);
	if (!arena)
		return 1;
	memset(arena, 0, PLAT_ARENA_SIZE);
	slot_hva[GPA_BASE >> PLAT_SLOT_SHIFT] = (uintptr_t)arena;
	plat_guest_init(&ops);
	plat_rcu_register();
	if (pt_init(&pt, &pt_x86))
		return 1;
	pt_change_init(&to_read, &pt_x86, PT_U | PT_COW, PT_R);
	pt_change_init(&to_write, &pt_x86, PT_U | PT_COW, PT_R | PT_W);
	map_heap();
	CASE(operations_are_within_their_limits);
	plat_rcu_unregister();
	return CHECK_EXIT();
}
