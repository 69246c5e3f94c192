// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What guest paging costs, in instructions counted by the emulator, with limits
 * where there are any; and whom it interrupts: one thread in Dune mode, beside a
 * second one that is blocked, polls, or runs in the guest.
 */
#include "test.h"

#include <pthread.h>
#include <sys/mman.h>

#include "emucount.h"

#define PAGE	4096ul
#define RW	(DUNE_R | DUNE_W)
#define PAGES	512ul
#define HUGE	(PAGES * PAGE)

static char *heap;

static inline uint64_t instructions(void)
{
	return emucount_read(EMUCOUNT_SELF, EMU_INSN);
}

static uint64_t counting;	/* what it takes to count nothing */

/* The smallest of some: others have an interrupt in between. */
#define COST(setup, what) ({ \
	uint64_t best_ = ~0ull; \
	for (long i_ = 0; i_ < opt.rounds; i_++) { \
		uint64_t t0_, t1_; \
		setup; \
		t0_ = instructions(); \
		what; \
		t1_ = instructions(); \
		if (t1_ - t0_ < best_) \
			best_ = t1_ - t0_; \
	} \
	best_ - counting; })

static void report(const char *what, uint64_t cost, uint64_t limit)
{
	printf("    %-40s %6llu%s\n", what, (unsigned long long)cost,
	       limit ? "" : " (no limit)");
	if (limit)
		CHECK_IN(cost, 1, limit);
}

static void touch(unsigned long pages)
{
	for (unsigned long i = 0; i < pages; i++)
		*(volatile char *)(heap + i * PAGE) = 1;
}

struct limits {
	uint64_t take[4], give[4];	/* by size; 0: no limit */
};

static const struct limits alone_limits = { { 110, 0, 900 }, { 105, 0, 900 } };
static const struct limits blocked_limits = { { 210, 0, 900 }, { 105, 0, 900 } };

static void protect(const char *how, const struct limits *limits)
{
	static const unsigned long sizes[] = { 1, 32, 64, 512 };
	char name[80];

	for (unsigned int s = 0; s < 4; s++) {
		unsigned long len = sizes[s] * PAGE;

		snprintf(name, sizeof(name), "protect %lu pages, %s", sizes[s], how);
		report(name, COST(dune_vm_protect(NULL, heap, len, RW); touch(sizes[s]),
				  dune_vm_protect(NULL, heap, len, DUNE_R)), limits->take[s]);
		snprintf(name, sizeof(name), "give back %lu pages, %s", sizes[s], how);
		report(name, COST(dune_vm_protect(NULL, heap, len, DUNE_R),
				  dune_vm_protect(NULL, heap, len, RW)), limits->give[s]);
	}
	dune_vm_protect(NULL, heap, PAGES * PAGE, RW);
}

static void protect_in_two_tables(uint64_t limit)
{
	char *at = heap + HUGE - 16 * PAGE;

	report("protect 64 pages of two tables, alone",
	       COST(dune_vm_protect(NULL, at, 64 * PAGE, RW),
		    dune_vm_protect(NULL, at, 64 * PAGE, DUNE_R)), limit);
	report("give back 64 pages of two tables, alone",
	       COST(dune_vm_protect(NULL, at, 64 * PAGE, DUNE_R),
		    dune_vm_protect(NULL, at, 64 * PAGE, RW)), limit);
}

static void alone(void)
{
	struct dune_vm_entry entry;
	char *far = (char *)0x100000000000;

	mode_enter();
	dune_vm_split(NULL, heap, 2 * HUGE, PAGE);
	counting = COST(, );
	protect("alone", &alone_limits);
	protect_in_two_tables(1050);
	report("look a page up", COST(, dune_vm_lookup(NULL, heap + PAGE, &entry)), 0);
	dune_vm_unmap(NULL, far, 1ul << 30);
	dune_vm_map(NULL, far + PAGE, PAGE, heap, RW, 0);
	report("map a page", COST(dune_vm_unmap(NULL, far, PAGE),
				  dune_vm_map(NULL, far, PAGE, heap, RW, 0)), 0);
	report("unmap a page", COST(dune_vm_map(NULL, far, PAGE, heap, RW, 0);
				    *(volatile char *)far = 1,
				    dune_vm_unmap(NULL, far, PAGE)), 0);
	report("scan 512 pages for dirty ones",
	       COST(touch(8), dune_vm_scan(NULL, heap, PAGES * PAGE, DUNE_SCAN_DIRTY, NULL)), 0);
	report("the same, and clear",
	       COST(touch(8), dune_vm_scan(NULL, heap, PAGES * PAGE,
					   DUNE_SCAN_DIRTY | DUNE_SCAN_CLEAR, NULL)), 0);
	report("poll, nothing to do", COST(dune_vm_poll_begin(),
					   dune_vm_poll();
					   t1_ = instructions();
					   dune_vm_poll_end();
					   t0_ += instructions() - t1_), 0);
	mode_exit();
}

/* --- beside another one --- */

static volatile int up, down;
static int fds[2];

/* It is a member of the heap's region. */
static void join_region(int cpu)
{
	pin_to(cpu);
	mode_enter();
	*(volatile char *)heap = 1;
	__atomic_store_n(&up, 1, __ATOMIC_RELEASE);
}

static void *blocked(void *arg)
{
	char c;

	join_region(1);
	if (read(fds[0], &c, 1) != 1)
		CHECK(false);
	mode_exit();
	return NULL;
}

static void *polling(void *arg)
{
	join_region(1);
	dune_vm_poll_begin();
	while (!down)
		dune_vm_poll();
	dune_vm_poll_end();
	mode_exit();
	return NULL;
}

static void *running(void *arg)
{
	join_region(1);
	while (!down)
		*(volatile char *)heap;
	mode_exit();
	return NULL;
}

static pthread_t beside(void *(*fn)(void *))
{
	pthread_t thread;

	up = down = 0;
	REQUIRE(pthread_create(&thread, NULL, fn, NULL) == 0);
	CHECK(wait_for(&up, 1, 10));
	spin(1000000);
	pin_to(0);
	mode_enter();
	return thread;
}

static void alone_again(pthread_t thread)
{
	mode_exit();
	down = 1;
	pthread_join(thread, NULL);
}

/* Outside of the guest: it flushes when it comes back. */
static void beside_a_blocked_one(void)
{
	uint64_t kicks;
	pthread_t thread;

	REQUIRE(pipe(fds) == 0);
	thread = beside(blocked);
	kicks = vcpu_stat(DUNE_VCPU_kick_calls);
	protect("beside a blocked one", &blocked_limits);
	CHECK_EQ(vcpu_stat(DUNE_VCPU_kick_calls), kicks);
	CHECK_EQ(write(fds[1], "x", 1), 1);
	alone_again(thread);
}

/* What takes a right waits for its next look; that depends on what it does. */
static void beside_a_polling_one(void)
{
	static const struct limits limits = { .give = { 105, 0, 900 } };
	uint64_t kicks;
	pthread_t thread;

	thread = beside(polling);
	kicks = vcpu_stat(DUNE_VCPU_kick_calls);
	protect("beside a polling one", &limits);
	CHECK_EQ(vcpu_stat(DUNE_VCPU_kick_calls), kicks);
	alone_again(thread);
}

/* One call beside a thread in the guest: what it costs, if it sent an IPI. */
static uint64_t one_kick(unsigned long len)
{
	uint64_t took, ipis;

	dune_vm_protect(NULL, heap, len, RW);
	touch(len / PAGE);
	spin(1000);		/* until it is in the guest again */
	ipis = emucount_read(EMUCOUNT_SELF, EMU_IPI);
	took = instructions();
	dune_vm_protect(NULL, heap, len, DUNE_R);
	took = instructions() - took;
	return emucount_read(EMUCOUNT_SELF, EMU_IPI) == ipis + 1 ? took : 0;
}

/* One hypercall, one kick each; Linux may have interrupted it now and then. */
static void kicks(unsigned long pages, uint64_t limit)
{
	static const enum dune_vcpu_counter counters[] = {
		DUNE_VCPU_hypercalls, DUNE_VCPU_kick_calls, DUNE_VCPU_kicks_sent,
	};
	uint64_t before[3], best = ~0ull, kicked = 0;
	char name[80];

	for (int i = 0; i < 3; i++)
		before[i] = vcpu_stat(counters[i]);
	for (long i = 0; i < opt.rounds; i++) {
		uint64_t took = one_kick(pages * PAGE);

		kicked += took != 0;
		if (took && took < best)
			best = took;
	}
	CHECK_IN(kicked, opt.rounds / 2, opt.rounds);
	CHECK_IN(vcpu_stat(counters[0]) - before[0], kicked, opt.rounds);
	CHECK_EQ(vcpu_stat(counters[1]) - before[1], vcpu_stat(counters[0]) - before[0]);
	CHECK_IN(vcpu_stat(counters[2]) - before[2], kicked, opt.rounds);
	snprintf(name, sizeof(name), "protect %lu pages, beside a running one", pages);
	report(name, best - counting, limit);
}

static void beside_a_running_one(void)
{
	pthread_t thread = beside(running);

	kicks(1, 1500);
	kicks(32, 0);
	kicks(512, 0);
	report("give back a page, beside a running one",
	       COST(dune_vm_protect(NULL, heap, PAGE, DUNE_R),
		    dune_vm_protect(NULL, heap, PAGE, RW)), 250);
	alone_again(thread);
}

/* Of one table, with a second one behind it that belongs to the same region. */
static void map_heap(void)
{
	char *at = mmap(NULL, 4 * HUGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	REQUIRE(at != MAP_FAILED);
	heap = (char *)(((uintptr_t)at + HUGE - 1) & ~(HUGE - 1));
	if (((uintptr_t)heap + HUGE) % (1ul << DUNE_SLOT_SHIFT) == 0)
		heap += HUGE;
}

int main(int argc, char **argv)
{
	test_start(argc, argv, (struct test_opts){ .rounds = 20 });
	if (opt.native)
		SKIP("there is nothing to measure natively");
	if (!emucount_available())
		SKIP("this machine does not count instructions");
	map_heap();
	test_part("alone", alone);
	test_part("beside_a_blocked_one", beside_a_blocked_one);
	test_part("beside_a_polling_one", beside_a_polling_one);
	test_part("beside_a_running_one", beside_a_running_one);
	return test_end();
}
