// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * One EPT for all threads: a page that one thread faulted in is not installed
 * again by another. Threads touch the same pages at the same time; the sum of
 * their installs is the number of pages, the rest is counted as spurious.
 */
#include "test.h"

#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096ul
#define MAX_THREADS 64

static char *area;
static long nr_pages;
static volatile int arrived, phase;
static uint64_t installs[MAX_THREADS], faults[MAX_THREADS],
	spurious[MAX_THREADS], retries[MAX_THREADS];

static void barrier(int round)
{
	if (__atomic_add_fetch(&arrived, 1, __ATOMIC_ACQ_REL) == opt.threads) {
		arrived = 0;
		__atomic_store_n(&phase, round, __ATOMIC_RELEASE);
	}
	wait_for(&phase, round, 60);
}

static void touch(int index, bool from_the_end)
{
	for (long i = 0; i < nr_pages; i++) {
		long page = from_the_end ? nr_pages - 1 - i : i;

		*(volatile char *)(area + page * PAGE + 64 * index) = 1;
	}
}

static void toucher(int index, void *arg)
{
	struct dune_stats before, after;
	bool crossing = *(bool *)arg;

	/* Everything this thread needs besides the pages is there already. */
	dune_stats(&before);
	barrier(1);
	barrier(2);
	dune_stats(&before);
	barrier(3);
	touch(index, crossing && (index & 1));
	dune_stats(&after);
	installs[index] = after.vcpu[DUNE_VCPU_ept_installs] -
			  before.vcpu[DUNE_VCPU_ept_installs];
	faults[index] = after.vcpu[DUNE_VCPU_ept_faults] -
			before.vcpu[DUNE_VCPU_ept_faults];
	spurious[index] = after.vcpu[DUNE_VCPU_ept_spurious] -
			  before.vcpu[DUNE_VCPU_ept_spurious];
	retries[index] = after.vcpu[DUNE_VCPU_ept_retries] -
			 before.vcpu[DUNE_VCPU_ept_retries];
	barrier(4);
}

static void run(bool crossing)
{
	uint64_t all_installs = 0, all_faults = 0, all_spurious = 0, all_retries = 0;
	uint64_t installed;

	area = mmap(NULL, nr_pages * PAGE + (2ul << 20), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	REQUIRE(area != MAP_FAILED);
	madvise(area, nr_pages * PAGE, MADV_NOHUGEPAGE);
	/* Present and writable in the host, so that no fault races with it. */
	for (long i = 0; i < nr_pages; i++)
		area[i * PAGE] = 1;
	arrived = 0;
	phase = 0;
	installed = vm_stat(DUNE_VM_ept_installed);
	run_threads(opt.threads, toucher, &crossing);
	installed = vm_stat(DUNE_VM_ept_installed) - installed;
	for (int t = 0; t < opt.threads; t++) {
		all_installs += installs[t];
		all_faults += faults[t];
		all_spurious += spurious[t];
		all_retries += retries[t];
	}
	printf("    %ld pages: %llu faults, %llu installs, %llu spurious, %llu retries; vm installed %llu in all\n",
	       nr_pages, (unsigned long long)all_faults,
	       (unsigned long long)all_installs,
	       (unsigned long long)all_spurious, (unsigned long long)all_retries,
	       (unsigned long long)installed);
	for (long i = 0; i < nr_pages; i++)
		for (int t = 0; t < opt.threads; t++)
			if (area[i * PAGE + 64 * t] != 1) {
				FAIL("page %ld lost thread %d's write", i, t);
				i = nr_pages - 1;
				break;
			}
	munmap(area, nr_pages * PAGE + (2ul << 20));
	if (opt.native)
		return;
	/* A few of the threads' own pages may come on top. */
	CHECK_IN(all_installs, nr_pages, nr_pages + 2 * opt.threads);
	CHECK(all_faults >= all_installs);
	CHECK_EQ(all_faults, all_installs + all_spurious + all_retries);
	CHECK(installed >= (uint64_t)nr_pages);
}

static void same_order(void)
{
	run(false);
}

static void opposite_orders(void)
{
	run(true);
}

/* The books balance: leaves now = installed - removed. */
static void balance(void)
{
	struct dune_stats s;

	if (opt.native)
		return;
	CHECK_EQ(dune_stats(&s), 0);
	CHECK_EQ(s.vm[DUNE_VM_ept_4k] + s.vm[DUNE_VM_ept_2m] + s.vm[DUNE_VM_ept_1g],
		 s.vm[DUNE_VM_ept_installed] - s.vm[DUNE_VM_ept_removed]);
	CHECK(s.vm[DUNE_VM_notifier_calls] >= s.vm[DUNE_VM_notifier_hits]);
}

int main(int argc, char **argv)
{
	test_start(argc, argv, (struct test_opts){ .rounds = 1000, .threads = 4 });
	REQUIRE(opt.threads <= MAX_THREADS);
	nr_pages = opt.rounds;
	test_part("same_order", same_order);
	test_part("opposite_orders", opposite_orders);
	test_part("balance", balance);
	return test_end();
}
