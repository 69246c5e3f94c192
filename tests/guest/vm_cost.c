// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What guest paging costs, in instructions counted by the emulator, with limits
 * where there are any. One thread in Dune mode; a second one is blocked.
 */
#include "test.h"

#include <pthread.h>
#include <sys/mman.h>

#include "emucount.h"

#define PAGE	4096ul
#define RW	(DUNE_R | DUNE_W)
#define PAGES	512ul

static char *heap;

static uint64_t instructions(void)
{
	return emucount_read(EMUCOUNT_SELF, EMU_INSN);
}

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
	best_; })

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

static void protect(const char *how)
{
	static const struct { unsigned long pages, limit; } sizes[] = {
		{ 1, 250 }, { 32, 0 }, { 64, 900 }, { 512, 0 },
	};
	char name[80];

	for (unsigned int s = 0; s < 4; s++) {
		unsigned long len = sizes[s].pages * PAGE;

		snprintf(name, sizeof(name), "protect %lu pages, %s", sizes[s].pages, how);
		report(name, COST(touch(sizes[s].pages),
				  dune_vm_protect(NULL, heap, len, DUNE_R);
				  t1_ = instructions();
				  dune_vm_protect(NULL, heap, len, RW);
				  t0_ += instructions() - t1_), sizes[s].limit);
		snprintf(name, sizeof(name), "give back %lu pages, %s", sizes[s].pages, how);
		report(name, COST(dune_vm_protect(NULL, heap, len, DUNE_R),
				  dune_vm_protect(NULL, heap, len, RW)), sizes[s].limit);
	}
}

static void alone(void)
{
	struct dune_vm_entry entry;
	char *far = (char *)0x100000000000;

	mode_enter();
	dune_vm_split(NULL, heap, PAGES * PAGE, PAGE);
	protect("alone");
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

static int fds[2];

static void *blocked(void *arg)
{
	char c;

	mode_enter();
	*(volatile char *)heap = 1;
	__atomic_store_n((int *)arg, 1, __ATOMIC_RELEASE);
	if (read(fds[0], &c, 1) != 1)
		CHECK(false);
	mode_exit();
	return NULL;
}

/* It is a member of the heap's region, and outside of the guest. */
static void beside_a_blocked_one(void)
{
	volatile int up = 0;
	pthread_t thread;

	REQUIRE(pipe(fds) == 0);
	REQUIRE(pthread_create(&thread, NULL, blocked, (void *)&up) == 0);
	CHECK(wait_for(&up, 1, 10));
	spin(1000000);		/* up to its read() */
	mode_enter();
	protect("beside a blocked one");
	mode_exit();
	CHECK_EQ(write(fds[1], "x", 1), 1);
	pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
	test_start(argc, argv, (struct test_opts){ .rounds = 20 });
	if (opt.native)
		SKIP("there is nothing to measure natively");
	if (!emucount_available())
		SKIP("this machine does not count instructions");
	heap = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	REQUIRE(heap != MAP_FAILED);
	test_part("alone", alone);
	test_part("beside_a_blocked_one", beside_a_blocked_one);
	return test_end();
}
