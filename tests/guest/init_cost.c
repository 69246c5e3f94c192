// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What dune_init() and dune_enter() cost, in instructions counted by the
 * emulator, does not depend on the size of the address space: at most 2 M for
 * dune_init(), 200 k for a thread's first dune_enter().
 */
#include "test.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "emucount.h"

#define MAX_INIT 2000000
#define MAX_ENTER 200000
#define TRIES 3		/* the cheapest one counts: in others there is an interrupt */

/* Shared with the children. */
static struct costs {
	uint64_t init, enter, enter_second, again;
} *costs;

static struct {
	size_t gib;
	struct costs *costs;
} job;

static uint64_t instructions(void)
{
	return emucount_read(EMUCOUNT_SELF, EMU_INSN);
}

static void *second_thread(void *arg)
{
	uint64_t t0, t1, t2;

	pin_to(0);
	t0 = instructions();
	CHECK_EQ(dune_enter(), 0);
	t1 = instructions();
	CHECK_EQ(dune_exit(), 0);
	CHECK_EQ(dune_enter(), 0);
	t2 = instructions();
	dune_exit();
	job.costs->enter_second = t1 - t0;
	job.costs->again = t2 - t1;
	return NULL;
}

/* In a child, so that each size starts from nothing. */
static void measure(void *arg)
{
	uint64_t t0, t1, t2;
	pthread_t thread;
	char *p;

	(void)arg;
	pin_to(0);
	p = mmap(NULL, job.gib << 30, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	REQUIRE(p != MAP_FAILED);
	for (size_t i = 0; i < job.gib; i++)
		p[i << 30] = 1;
	t0 = instructions();
	CHECK_EQ(dune_init(), 0);
	t1 = instructions();
	CHECK_EQ(dune_enter(), 0);
	t2 = instructions();
	CHECK_EQ(dune_exit(), 0);
	job.costs->init = t1 - t0;
	job.costs->enter = t2 - t1;
	REQUIRE(pthread_create(&thread, NULL, second_thread, NULL) == 0);
	pthread_join(thread, NULL);
}

static void keep_least(uint64_t *least, uint64_t cost)
{
	if (cost < *least)
		*least = cost;
}

static void check(size_t gib)
{
	struct costs least = { ~0ull, ~0ull, ~0ull, ~0ull };

	job.gib = gib;
	for (int i = 0; i < TRIES; i++) {
		job.costs = &costs[i];
		CHECK_EQ(run_child(60, measure, NULL), 0);
		keep_least(&least.init, costs[i].init);
		keep_least(&least.enter, costs[i].enter);
		keep_least(&least.enter_second, costs[i].enter_second);
		keep_least(&least.again, costs[i].again);
	}
	printf("    %zu GiB mapped: dune_init %llu, dune_enter %llu instructions\n", gib,
	       (unsigned long long)least.init, (unsigned long long)least.enter);
	printf("    second thread: dune_enter %llu, exit and enter again %llu\n",
	       (unsigned long long)least.enter_second, (unsigned long long)least.again);
	CHECK_IN(least.init, 1, MAX_INIT);
	CHECK_IN(least.enter, 1, MAX_ENTER);
	CHECK_IN(least.enter_second, 1, MAX_ENTER);
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = { 1, 200 };

	test_start_raw(argc, argv, (struct test_opts){ 0 });
	if (opt.native)
		SKIP("there is nothing to measure natively");
	if (!emucount_available())
		SKIP("this machine does not count instructions");
	opt.native = true;	/* children call dune_init() themselves */
	costs = mmap(NULL, TRIES * sizeof(*costs), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(costs != MAP_FAILED);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		check(sizes[i]);
	return test_end();
}
