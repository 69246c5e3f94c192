// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The counter guest_tsc: work in Dune mode is in it, waiting in the kernel and
 * work in plain Linux mode are not. It is read through an exit, which brings
 * it up to date.
 */
#include "test.h"

#include <time.h>
#include <x86intrin.h>

static uint64_t guest_tsc(void)
{
	return vcpu_stat(DUNE_VCPU_guest_tsc);
}

/* Spins for so many TSC cycles; returns how many it were. */
static uint64_t spin_tsc(uint64_t cycles)
{
	uint64_t begin = __rdtsc();

	while (__rdtsc() - begin < cycles)
		;
	return __rdtsc() - begin;
}

static void work(void)
{
	uint64_t outer = __rdtsc(), before, spun, counted;

	mode_enter();
	before = guest_tsc();
	spun = spin_tsc(20000000);
	counted = guest_tsc() - before;
	mode_exit();
	outer = __rdtsc() - outer;
	printf("    spun %llu cycles, counted %llu\n", (unsigned long long)spun,
	       (unsigned long long)counted);
	if (opt.native)
		return;
	/* Interrupts of the host and other threads take their part. */
	CHECK_IN(counted, spun / 2, outer);
}

static void waiting(void)
{
	struct timespec ts = { .tv_nsec = 200000000 };
	uint64_t begin, before, waited, counted;

	mode_enter();
	before = guest_tsc();
	begin = __rdtsc();
	CHECK_EQ(nanosleep(&ts, NULL), 0);
	waited = __rdtsc() - begin;
	counted = guest_tsc() - before;
	mode_exit();
	printf("    slept %llu cycles, counted %llu\n",
	       (unsigned long long)waited, (unsigned long long)counted);
	if (!opt.native)
		CHECK_IN(counted, 1, waited / 4);
}

static void outside(void)
{
	uint64_t before, after;

	mode_enter();
	mode_exit();
	before = guest_tsc();
	spin_tsc(2000000);
	after = guest_tsc();
	CHECK_EQ(after, before);
}

int main(int argc, char **argv)
{
	test_start(argc, argv, (struct test_opts){ 0 });
	test_part("work", work);
	test_part("waiting", waiting);
	test_part("outside", outside);
	return test_end();
}
