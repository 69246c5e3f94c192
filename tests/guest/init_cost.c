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
#define MAX_ENTER 220000	/* tables of its own, most of it Linux' zeroing of pages */

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
	printf("    second thread: dune_enter %llu, exit and enter again %llu\n",
	       (unsigned long long)(t1 - t0), (unsigned long long)(t2 - t1));
	CHECK_IN(t1 - t0, 1, MAX_ENTER);
	return NULL;
}

/* In a child, so that each size starts from nothing. */
static void measure(void *arg)
{
	size_t gib = *(size_t *)arg;
	uint64_t t0, t1, t2;
	pthread_t thread;
	char *p;

	pin_to(0);
	p = mmap(NULL, gib << 30, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	REQUIRE(p != MAP_FAILED);
	for (size_t i = 0; i < gib; i++)
		p[i << 30] = 1;
	t0 = instructions();
	CHECK_EQ(dune_init(), 0);
	t1 = instructions();
	CHECK_EQ(dune_enter(), 0);
	t2 = instructions();
	CHECK_EQ(dune_exit(), 0);
	printf("    %zu GiB mapped: dune_init %llu, dune_enter %llu instructions\n",
	       gib, (unsigned long long)(t1 - t0), (unsigned long long)(t2 - t1));
	CHECK_IN(t1 - t0, 1, MAX_INIT);
	CHECK_IN(t2 - t1, 1, MAX_ENTER);
	REQUIRE(pthread_create(&thread, NULL, second_thread, NULL) == 0);
	pthread_join(thread, NULL);
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
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		CHECK_EQ(run_child(60, measure, (void *)&sizes[i]), 0);
	return test_end();
}
