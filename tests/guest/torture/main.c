// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Coherence torture; torture.h has the idea. Verifiers in Dune mode judge what
 * they read and write while antagonists, some in Dune mode, some in plain
 * mode, do to the same memory whatever Linux offers. After each round nothing
 * of it is mapped any more, and the books must balance.
 *
 *	torture --seconds 600
 *	torture --only dontneed,fork --seconds 10 --seed 1
 */
#include "torture.h"
#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>

/* Without --rounds: seconds of one round. */
#define ROUND_SECONDS 5
/* Enough is known after so many failures. */
#define MANY_FAILURES 10

static struct act *const act_tables[] = { map_acts, move_acts, thread_acts };
#define NR_TABLES 3
#define MAX_ACTS 64

volatile int stop;
volatile pid_t verifier_tid[MAX_VERIFIERS];
int nr_verifiers;
static int nr_antagonists;
static struct act *acts[MAX_ACTS];
static int nr_acts;

/* ---- which antagonists ---- */

/* One name of --only; true if it was there. */
static bool wanted(const char *name)
{
	size_t n = strlen(name);

	for (const char *p = opt.only; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
		if (!strncmp(p, name, n) && (!p[n] || p[n] == ','))
			return true;
	return !opt.only;
}

static void choose_acts(void)
{
	for (int t = 0; t < NR_TABLES; t++)
		for (struct act *act = act_tables[t]; act->name; act++) {
			const char *lacks;

			if (!wanted(act->name))
				continue;
			lacks = act->lacks ? act->lacks() : NULL;
			if (lacks) {
				printf("  not run: %-14s %s\n", act->name, lacks);
				continue;
			}
			REQUIRE(nr_acts < MAX_ACTS);
			acts[nr_acts++] = act;
		}
	if (nr_acts)
		return;
	printf("no antagonist to run; there are:\n");
	for (int t = 0; t < NR_TABLES; t++)
		for (struct act *act = act_tables[t]; act->name; act++)
			printf("  %s\n", act->name);
	exit(2);
}

static void print_acts(void)
{
	for (int i = 0; i < nr_acts; i++)
		printf("  %-14s %7llu runs, %7llu of them to the purpose\n",
		       acts[i]->name, (unsigned long long)acts[i]->runs,
		       (unsigned long long)acts[i]->hits);
}

/* ---- threads ---- */

static void verifier_step(int v, uint64_t *seed)
{
	const struct area *twin = &areas[NR_AREAS - 1];
	unsigned int n;

	switch (rnd(seed) % 16) {
	case 0:
		n = rnd(seed) % (twin->nr_pages / nr_verifiers);
		verify_twin(v, twin->first_page + n * nr_verifiers + v);
		break;
	case 1: case 2: case 3: case 4: case 5: case 6:
		verify_write(v, pick_page(AREA_ANY, seed));
		break;
	default:
		verify_read(v, pick_page(AREA_ANY, seed), seed);
	}
}

static void *verifier(void *arg)
{
	int v = (int)(intptr_t)arg;
	uint64_t seed = opt.seed * (2 * v + 3);

	mode_enter();
	verifier_tid[v] = syscall(SYS_gettid);
	while (!stop)
		verifier_step(v, &seed);
	verifier_tid[v] = 0;
	if (!opt.native && CHECK(dune_inside()))
		mode_exit();
	return NULL;
}

/* Each antagonist in its turn, in an order that changes every time. */
static void one_turn(struct antagonist *a, int order[])
{
	for (int i = nr_acts - 1; i > 0; i--) {
		int j = rnd(&a->seed) % (i + 1), old = order[i];

		order[i] = order[j];
		order[j] = old;
	}
	for (int i = 0; i < nr_acts && !stop; i++) {
		struct act *act = acts[order[i]];

		if (rnd(&a->seed) % act->one_in)
			continue;
		__atomic_add_fetch(&act->runs, 1, __ATOMIC_RELAXED);
		if (act->fn(a))
			__atomic_add_fetch(&act->hits, 1, __ATOMIC_RELAXED);
	}
}

static void *antagonist(void *arg)
{
	struct antagonist *a = arg;
	int order[MAX_ACTS];

	for (int i = 0; i < nr_acts; i++)
		order[i] = i;
	if (a->dune)
		mode_enter();
	while (!stop)
		one_turn(a, order);
	if (a->dune && !opt.native && CHECK(dune_inside()))
		mode_exit();
	return NULL;
}

static void wait_round(uint64_t end)
{
	while (now_ns() < end && check_failures < MANY_FAILURES) {
		struct timespec t = { 0, 20000000 };

		nanosleep(&t, NULL);
	}
}

static void one_round(long round, uint64_t length)
{
	static struct antagonist a[MAX_ANTAGONISTS];
	pthread_t thread[MAX_VERIFIERS + MAX_ANTAGONISTS];
	int n = 0;

	areas_map();
	stop = 0;
	for (int i = 0; i < nr_verifiers; i++)
		REQUIRE(pthread_create(&thread[n++], NULL, verifier,
				       (void *)(intptr_t)i) == 0);
	for (int i = 0; i < nr_antagonists; i++) {
		a[i] = (struct antagonist){
			.index = i, .who = MAX_VERIFIERS + i, .dune = i & 1,
			.seed = (opt.seed + round) * (2 * i + 101) | 1,
			.aside = (char *)(1ul << 41) + i * 16 * HUGE,
		};
		REQUIRE(pthread_create(&thread[n++], NULL, antagonist, &a[i]) == 0);
	}
	wait_round(now_ns() + length);
	stop = 1;
	while (n)
		pthread_join(thread[--n], NULL);
	areas_unmap();
}

/* ---- the books ---- */

static uint64_t number_after(const char *path, const char *name)
{
	FILE *f = fopen(path, "r");
	uint64_t value = 0;
	char line[256];

	REQUIRE(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			value = strtoull(line + strlen(name), NULL, 10);
	fclose(f);
	return value;
}

/* Of the process: one, or one for each node. */
static unsigned int nr_epts(void)
{
	const char *placement = getenv("DUNE_NUMA");
	unsigned int nr = 0;
	char path[64];

	if (!placement || strcmp(placement, "replicate"))
		return 1;
	do
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%u", nr);
	while (!access(path, F_OK) && ++nr);
	return nr;
}

/* Nobody else runs: every leaf mirrors a page that the process has mapped. */
static uint64_t check_leaves(void)
{
	struct dune_stats s;
	uint64_t leaves, pages, resident;

	if (opt.native)
		return 0;
	CHECK_EQ(dune_stats(&s), 0);
	leaves = s.vm[DUNE_VM_ept_4k] + s.vm[DUNE_VM_ept_2m] + s.vm[DUNE_VM_ept_1g];
	CHECK_EQ(leaves, s.vm[DUNE_VM_ept_installed] - s.vm[DUNE_VM_ept_removed]);
	pages = s.vm[DUNE_VM_ept_4k] + 512 * s.vm[DUNE_VM_ept_2m];
	resident = number_after("/proc/self/smaps_rollup", "Rss:") / 4;
	/* Zero pages, the vDSO and the vCPUs' pages do not count as resident. */
	CHECK_IN(pages, 0, nr_epts() * (resident + 64));
	printf("    EPT: %llu tables, %llu leaves of %llu pages, %llu resident\n",
	       (unsigned long long)s.vm[DUNE_VM_ept_tables],
	       (unsigned long long)leaves, (unsigned long long)pages,
	       (unsigned long long)resident);
	return s.vm[DUNE_VM_ept_tables];
}

/* KASAN keeps what was freed for a while: up to 1/32 of memory. */
static long kept_by_kernel_kb(void)
{
	struct utsname name;

	REQUIRE(uname(&name) == 0);
	return strstr(name.release, "debug") ?
		       number_after("/proc/meminfo", "MemTotal:") / 32 : 0;
}

/* tests/check-beside-stress has others use the machine's memory meanwhile. */
static bool memory_is_ours(void)
{
	return may_turn_knobs() && !getenv("DUNE_BESIDE");
}

static void rounds(long nr, uint64_t length)
{
	uint64_t tables;
	long first_kb = 0, kb, lost;

	for (long i = 0; i < nr && check_failures < MANY_FAILURES; i++) {
		one_round(i, length);
		tables = check_leaves();
		kb = available_kb();
		printf("    round %ld: %ld kB available\n", i + 1, kb);
		/*
		 * The upper levels, what stacks and heaps lie in, and the guest's
		 * own tables: a view for each thread, half of 2 MiB.
		 */
		CHECK_IN(tables, 0, nr_epts() * (32 + 5 * (nr_verifiers + nr_antagonists)));
		/* Caches of the kernel fill in the first rounds. */
		if (i <= 1)
			first_kb = kb;
		lost = first_kb - kb;
		if (memory_is_ours())
			CHECK_IN(lost, -10000000,
				 4000 + 50 * i + kept_by_kernel_kb());
	}
}

/* A verifier that judged nothing proves nothing. */
static void check_tally(void)
{
	struct tally all = { 0 };

	for (int i = 0; i < MAX_VERIFIERS + MAX_ANTAGONISTS; i++) {
		all.reads += tally[i].reads;
		all.writes += tally[i].writes;
		all.firm_reads += tally[i].firm_reads;
		all.firm_writes += tally[i].firm_writes;
		all.faults += tally[i].faults;
		if (i < nr_verifiers)
			CHECK(tally[i].firm_reads > 0 && tally[i].firm_writes > 0);
	}
	printf("  %llu reads (%llu in an unchanging state), %llu writes (%llu), %llu faults\n",
	       (unsigned long long)all.reads, (unsigned long long)all.firm_reads,
	       (unsigned long long)all.writes,
	       (unsigned long long)all.firm_writes,
	       (unsigned long long)all.faults);
}

int main(int argc, char **argv)
{
	uint64_t ns;

	test_start(argc, argv, (struct test_opts){ .threads = nr_cpus() + 1,
						   .rounds = 0,
						   .seconds = 10 });
	nr_verifiers = opt.threads;
	nr_antagonists = nr_cpus() < 3 ? 3 : nr_cpus();
	REQUIRE(nr_verifiers >= 1 && nr_verifiers <= MAX_VERIFIERS);
	if (nr_antagonists > MAX_ANTAGONISTS)
		nr_antagonists = MAX_ANTAGONISTS;
	verify_setup();
	move_setup();
	choose_acts();
	hog_start();
	ns = opt.seconds * 1000000000ull;
	if (opt.rounds <= 1)
		opt.rounds = (opt.seconds + ROUND_SECONDS - 1) / ROUND_SECONDS;
	rounds(opt.rounds, ns / opt.rounds);
	hog_stop();
	move_finish();
	print_acts();
	check_tally();
	return test_end();
}
