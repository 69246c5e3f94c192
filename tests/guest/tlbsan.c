// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Cached EPT translations end with their shootdown, on every CPU. Nothing here
 * could read stale data in an emulator that forgets its TLB at each VM exit:
 * the emulator's TLB sanitizer is the judge. The test makes the cases that a
 * missing flush needs, and requires that the sanitizer saw them.
 *
 * Whoever removes pages is a thread in plain Linux mode: one in Dune mode would
 * flush its own CPU at its next entry, and so hide a missing flush there.
 */
#include "test.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "emucount.h"

#define PAGE 4096ul
#define NR_PAGES 64

static volatile char *area;
static volatile int phase, stop;

static uint64_t count(enum emucount_id id)
{
	uint64_t sum = 0;

	for (unsigned int cpu = 0; cpu < emucount_nr_cpus(); cpu++)
		sum += emucount_read(cpu, id);
	return sum;
}

static void remove_page(long page)
{
	CHECK_EQ(madvise((char *)area + page * PAGE, PAGE, MADV_DONTNEED), 0);
}

static void set_phase(int value)
{
	__atomic_store_n(&phase, value, __ATOMIC_RELEASE);
}

static uint64_t condemned_before;

static void must_be_condemned(void)
{
	uint64_t now = count(EMU_TLBSAN_CONDEMNED);

	CHECK(now > condemned_before);
	condemned_before = now;
}

/*
 * Home caches a page and waits elsewhere; the page goes; home is visited
 * again. What the vCPU flushed elsewhere says nothing about home.
 */
static void visitor(int index, void *arg)
{
	for (long i = 0; i < opt.rounds; i++) {
		pin_to(0);
		area[0] = 1;
		pin_to(1);
		area[0] = 2;
		set_phase(2 * i + 1);
		wait_for(&phase, 2 * i + 2, 30);
		getppid();
		area[0] = 3;
		pin_to(0);
		area[0] = 4;
	}
}

static void *plain_thread(void *fn)
{
	((void (*)(void))fn)();
	return NULL;
}

/* fn on a plain thread, guest on one (or more) in Dune mode. */
static void run_with(void (*fn)(void), int n, thread_fn guest)
{
	pthread_t thread;

	set_phase(0);
	stop = 0;
	condemned_before = count(EMU_TLBSAN_CONDEMNED);
	errno = pthread_create(&thread, NULL, plain_thread, fn);
	REQUIRE(errno == 0);
	run_threads(n, guest, NULL);
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
}

static void remove_while_away(void)
{
	for (long i = 0; i < opt.rounds; i++) {
		wait_for(&phase, 2 * i + 1, 30);
		remove_page(0);
		must_be_condemned();
		set_phase(2 * i + 2);
	}
}

static void migration(void)
{
	run_with(remove_while_away, 1, visitor);
}

/* In the guest without a pause while the page goes. */
static void spinner(int index, void *arg)
{
	for (long i = 0; i < opt.rounds; i++) {
		area[0] = 1;
		set_phase(2 * i + 1);
		while (__atomic_load_n(&phase, __ATOMIC_ACQUIRE) != 2 * i + 2)
			;
	}
}

/*
 * The module interrupts the vCPU itself, and mostly says so before that is back:
 * not when something else has ended the run just then.
 */
static void protect_meanwhile(void)
{
	char *page = (char *)area;
	long condemned = 0;

	for (long i = 0; i < opt.rounds; i++) {
		wait_for(&phase, 2 * i + 1, 30);
		CHECK_EQ(mprotect(page, PAGE, PROT_READ), 0);
		condemned += count(EMU_TLBSAN_CONDEMNED) > condemned_before;
		condemned_before = count(EMU_TLBSAN_CONDEMNED);
		CHECK_EQ(mprotect(page, PAGE, PROT_READ | PROT_WRITE), 0);
		set_phase(2 * i + 2);
	}
	CHECK(2 * condemned >= opt.rounds);
}

/*
 * Linux' own flush interrupts it. When the module says that the shootdown is
 * over, the vCPU is mostly back and has flushed: nothing is left to condemn.
 */
static void remove_meanwhile(void)
{
	uint64_t dones = count(EMU_TLBSAN_DONES);

	for (long i = 0; i < opt.rounds; i++) {
		wait_for(&phase, 2 * i + 1, 30);
		remove_page(0);
		CHECK(count(EMU_TLBSAN_DONES) > dones);
		dones = count(EMU_TLBSAN_DONES);
		set_phase(2 * i + 2);
	}
}

static void in_guest(void)
{
	run_with(protect_meanwhile, 1, spinner);
	run_with(remove_meanwhile, 1, spinner);
}

/* Everybody wanders, pages come and go. */
static void wanderer(int index, void *arg)
{
	uint64_t state = opt.seed + 977 * index;

	for (long i = 0; i < 40 * opt.rounds; i++) {
		if (i % 8 == 0)
			pin_to(rnd(&state) % nr_cpus());
		area[rnd(&state) % NR_PAGES * PAGE] = 1;
		if (i % 4 == 0)
			(void)area[rnd(&state) % NR_PAGES * PAGE];
	}
}

static void remove_at_random(void)
{
	uint64_t state = opt.seed;

	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		long page = rnd(&state) % NR_PAGES;

		if (rnd(&state) % 4) {
			remove_page(page);
			continue;
		}
		CHECK_EQ(mprotect((char *)area + page * PAGE, PAGE, PROT_READ), 0);
		CHECK_EQ(mprotect((char *)area + page * PAGE, PAGE,
				  PROT_READ | PROT_WRITE), 0);
	}
	must_be_condemned();
}

static void reader(int index, void *arg)
{
	uint64_t state = opt.seed + 31 * index;

	for (long i = 0; i < 100 * opt.rounds; i++) {
		if (i % 16 == 0)
			pin_to(rnd(&state) % nr_cpus());
		(void)area[rnd(&state) % NR_PAGES * PAGE];
	}
}

static void only_dontneed(void)
{
	uint64_t state = opt.seed;

	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
		remove_page(rnd(&state) % NR_PAGES);
	must_be_condemned();
}

static void wandering(void)
{
	run_with(only_dontneed, opt.threads, wanderer);
	run_with(remove_at_random, opt.threads, reader);
}

int main(int argc, char **argv)
{
	uint64_t records, bumps, dones, errors;
	const char *tlbsan = getenv("DUNE_TLBSAN");

	test_start(argc, argv, (struct test_opts){ .threads = 3, .rounds = 10 });
	if (opt.native)
		SKIP("needs Dune mode: no EPT, nothing to judge");
	if (!emucount_available() || (tlbsan && !strcmp(tlbsan, "0")))
		SKIP("no TLB sanitizer here");
	area = mmap(NULL, NR_PAGES * PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(area != MAP_FAILED);
	records = count(EMU_TLBSAN_RECORDS);
	bumps = count(EMU_TLBSAN_BUMPS);
	dones = count(EMU_TLBSAN_DONES);
	errors = count(EMU_TLBSAN_ERRORS);

	test_part("migration", migration);
	test_part("in_guest", in_guest);
	test_part("wandering", wandering);

	CHECK(count(EMU_TLBSAN_RECORDS) > records);
	CHECK(count(EMU_TLBSAN_BUMPS) > bumps);
	CHECK(count(EMU_TLBSAN_DONES) > dones);
	CHECK_EQ(count(EMU_TLBSAN_ERRORS), errors);
	return test_end();
}
