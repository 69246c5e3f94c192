// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Torture of guest paging; vm_torture.h has the idea. The emulator's TLB sanitizer
 * judges what no access happens to show.
 *
 *	vm_torture --seconds 600
 *	vm_torture --only toggle,batch --seconds 10 --seed 1
 */
#include "vm_torture.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "emucount.h"
#include "probe.h"
#include "test.h"

#define ROUND_SECONDS	5
#define MANY_FAILURES	10
/* kB of a round: stacks, magazines of threads. */
#define SLACK_KB	2048

volatile int stop;
int nr_verifiers;
static int nr_changers;
static pthread_t verifier_threads[MAX_VERIFIERS];

static void verifier_create(int v)
{
	ended[v] = 0;
	REQUIRE(pthread_create(&verifier_threads[v], NULL, verifier, (void *)(intptr_t)v) == 0);
}

static void pause_ms(long ms)
{
	struct timespec t = { 0, ms * 1000000 };

	nanosleep(&t, NULL);
}

/* Blocked ones go on, and who has ended is born again. */
static void watch(uint64_t end)
{
	while (now_ns() < end && check_failures < MANY_FAILURES) {
		pause_ms(2);
		for (int v = 0; v < nr_verifiers; v++) {
			verifier_wake(v);
			if (!__atomic_load_n(&ended[v], __ATOMIC_ACQUIRE))
				continue;
			pthread_join(verifier_threads[v], NULL);
			verifier_create(v);
		}
	}
}

static void one_round(long round, uint64_t length)
{
	static struct changer c[MAX_CHANGERS];
	pthread_t changers[MAX_CHANGERS];

	windows_create();
	stop = 0;
	for (int v = 0; v < nr_verifiers; v++)
		verifier_create(v);
	for (int i = 0; i < nr_changers; i++) {
		c[i] = (struct changer){
			.index = i, .dune = i % 3 != 2,
			.seed = (opt.seed + round) * (2 * i + 101) | 1,
		};
		REQUIRE(pthread_create(&changers[i], NULL, changer, &c[i]) == 0);
	}
	watch(now_ns() + length);
	stop = 1;
	for (int v = 0; v < nr_verifiers; v++) {
		verifier_wake(v);
		pthread_join(verifier_threads[v], NULL);
	}
	for (int i = 0; i < nr_changers; i++)
		pthread_join(changers[i], NULL);
	windows_destroy();
}

/* Without Linux' huge pages, which come with stacks and heaps when Linux likes. */
static long resident_kb(void)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "r");
	long kb = 0;
	char line[256];

	REQUIRE(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, "Rss:", 4))
			kb += strtol(line + 4, NULL, 10);
		else if (!strncmp(line, "AnonHugePages:", 14))
			kb -= strtol(line + 14, NULL, 10);
	fclose(f);
	return kb;
}

/* Tables of a round go back to the pool, which the next one takes them from. */
static void rounds(long nr, uint64_t length)
{
	long first = 0;

	for (long i = 0; i < nr && check_failures < MANY_FAILURES; i++) {
		long kb;

		one_round(i, length);
		kb = resident_kb();
		printf("    round %ld: %ld kB resident\n", i + 1, kb);
		if (i == 0)
			first = kb;
		CHECK_IN(kb, 0, first + SLACK_KB);
	}
}

static void print_acts(void)
{
	for (const struct act *act = acts; act->name; act++) {
		printf("  %-10s %7llu runs, %7llu of them to the purpose\n", act->name,
		       (unsigned long long)act->runs, (unsigned long long)act->hits);
		if (!opt.only)
			CHECK(act->hits > 0);
	}
}

/* A verifier that judged nothing proves nothing. */
static void print_tally(void)
{
	struct tally all = { 0 };

	for (int v = 0; v < nr_verifiers; v++) {
		all.reads += tally[v].reads;
		all.writes += tally[v].writes;
		all.firm_reads += tally[v].firm_reads;
		all.firm_writes += tally[v].firm_writes;
		all.faults += tally[v].faults;
		CHECK(tally[v].firm_reads > 0 && tally[v].firm_writes > 0);
	}
	printf("  %llu reads (%llu in an unchanging state), %llu writes (%llu), %llu faults\n",
	       (unsigned long long)all.reads, (unsigned long long)all.firm_reads,
	       (unsigned long long)all.writes, (unsigned long long)all.firm_writes,
	       (unsigned long long)all.faults);
}

static bool has_counters;

static uint64_t count(enum emucount_id id)
{
	uint64_t sum = 0;

	for (unsigned int cpu = 0; cpu < emucount_nr_cpus(); cpu++)
		sum += emucount_read(cpu, id);
	return sum;
}

/* Was the TLB sanitizer told, and had anything to be flushed? errors: from before. */
static void check_sanitizer(uint64_t errors)
{
	static const struct {
		const char *name;
		enum emucount_id id;
	} seen[] = {
		{ "translations", EMU_GTLB_RECORDS }, { "removals", EMU_GTLB_REMOVALS },
		{ "shootdowns over", EMU_GTLB_DONES },
		{ "left to a flush before use", EMU_GTLB_CONDEMNED },
	};
	const char *tlbsan = getenv("DUNE_TLBSAN");

	if (!has_counters || (tlbsan && !strcmp(tlbsan, "0")))
		return;
	printf("  TLB sanitizer:");
	for (size_t i = 0; i < sizeof(seen) / sizeof(*seen); i++) {
		printf(" %llu %s,", (unsigned long long)count(seen[i].id), seen[i].name);
		CHECK(count(seen[i].id) > 0);
	}
	printf(" %llu errors\n", (unsigned long long)(count(EMU_TLBSAN_ERRORS) - errors));
	CHECK_EQ(count(EMU_TLBSAN_ERRORS) - errors, 0);
}

int main(int argc, char **argv)
{
	uint64_t ns, errors;
	long nr;

	test_start(argc, argv, (struct test_opts){ .threads = nr_cpus() + 1, .seconds = 10 });
	if (opt.native)
		SKIP("Linux has no guest page tables");
	nr_verifiers = opt.threads;
	REQUIRE(nr_verifiers >= 1 && nr_verifiers <= MAX_VERIFIERS);
	nr_changers = nr_cpus() < 3 ? 3 : nr_cpus();
	if (nr_changers > MAX_CHANGERS)
		nr_changers = MAX_CHANGERS;
	has_counters = emucount_available();
	errors = has_counters ? count(EMU_TLBSAN_ERRORS) : 0;
	probe_start();
	windows_reserve();
	verifiers_start();
	ns = opt.seconds * 1000000000ull;
	nr = (opt.seconds + ROUND_SECONDS - 1) / ROUND_SECONDS;
	rounds(nr, ns / nr);
	print_acts();
	print_tally();
	check_sanitizer(errors);
	return test_end();
}
