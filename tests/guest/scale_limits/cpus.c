// SPDX-License-Identifier: GPL-2.0 OR MIT
/* A vCPU on each CPU of the machine, all in the guest at a time. See scale.h. */
#include "test.h"

#include <sched.h>
#include <sys/mman.h>

#include "scale.h"

#define TURNS	3		/* of each to take the page away */

static struct {
	unsigned int arrived;
	volatile uint64_t *page;	/* a word a thread */
	long stale;			/* words that were not gone */
	long moved;			/* threads that were not where they should be */
} all;

/* Nobody leaves the guest for this. */
static void meet(unsigned int *times, unsigned int nr)
{
	unsigned int goal = ++*times * nr;

	__atomic_add_fetch(&all.arrived, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&all.arrived, __ATOMIC_SEQ_CST) < goal)
		asm volatile("pause");
}

/* Each has the page in its TLB when one of them takes it away. */
static void take_turns(int index, void *arg)
{
	unsigned int nr = nr_cpus(), times = 0;

	pin_to(index);
	for (unsigned int turn = 0; turn < TURNS * nr; turn++) {
		all.page[index] = turn + 1;
		meet(&times, nr);
		if (turn % nr == (unsigned int)index)
			CHECK_EQ(madvise((void *)all.page, PAGE, MADV_DONTNEED), 0);
		meet(&times, nr);
		if (all.page[index])
			__atomic_add_fetch(&all.stale, 1, __ATOMIC_RELAXED);
		meet(&times, nr);
	}
	if (sched_getcpu() != index)
		__atomic_add_fetch(&all.moved, 1, __ATOMIC_RELAXED);
}

void every_cpu(void)
{
	uint64_t created = vm_stat(DUNE_VM_vcpus_created);
	int nr = nr_cpus();

	REQUIRE(nr <= 512);
	all.page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(all.page != MAP_FAILED);
	run_threads(nr, take_turns, NULL);
	CHECK_EQ(all.stale, 0);
	CHECK_EQ(all.moved, 0);
	if (!opt.native)
		CHECK_EQ(vm_stat(DUNE_VM_vcpus_created) - created, nr);
	printf("    %d CPUs, each took a page from all of them %d times\n", nr, TURNS);
}
