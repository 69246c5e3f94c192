// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Antagonists that concern threads and processes: forks, migrations between
 * CPUs, sleeps, entries and exits, births and deaths.
 */
#include "torture.h"
#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

/* ---- fork ---- */

enum child_finding {
	CHILD_OK,
	CHILD_STAMP = 10,	/* a stamp is not the one of the fork */
	CHILD_LOST,		/* a write told before the fork is not there */
	CHILD_PARENT_WRITES,	/* the snapshot changes */
	CHILD_SHARES,		/* what the child wrote is overwritten */
	CHILD_PARENT_POISON,	/* read in the parent after the fork */
};

static const char *const child_text[] = {
	[CHILD_STAMP] = "a stamp is not that of the time of the fork",
	[CHILD_LOST] = "a write made before the fork is missing",
	[CHILD_PARENT_WRITES] = "the parent's writes are seen",
	[CHILD_SHARES] = "the child's own writes were overwritten",
};

#define CHILD_PAGES 8

/* What a child that owns a copy of the block sees. told: at the fork. */
static int child_looks(struct block *b, uint64_t told[][MAX_VERIFIERS])
{
	static uint64_t seen[CHILD_PAGES][NR_WORDS];

	for (int n = 0; n < CHILD_PAGES; n++)
		for (int i = 0; i < NR_STAMPS + nr_verifiers; i++) {
			unsigned int page = b->first_page + n;
			uint64_t value = *word_of(page, i);

			seen[n][i] = value;
			if (i < NR_STAMPS && value != stamp_of(page, i, page_gen(page)))
				return CHILD_STAMP;
			if (i >= NR_STAMPS && value < told[n][i - NR_STAMPS])
				return CHILD_LOST;
		}
	for (int look = 0; look < 5; look++) {
		spin(4000);
		for (int n = 0; n < CHILD_PAGES; n++)
			for (int i = 0; i < NR_STAMPS + nr_verifiers; i++)
				if (*word_of(b->first_page + n, i) != seen[n][i])
					return CHILD_PARENT_WRITES;
	}
	for (int n = 0; n < CHILD_PAGES; n++)
		for (int i = 0; i < NR_WORDS; i++)
			*word_of(b->first_page + n, i) = POISON;
	spin(8000);
	for (int n = 0; n < CHILD_PAGES; n++)
		for (int i = 0; i < NR_WORDS; i++)
			if (*word_of(b->first_page + n, i) != POISON)
				return CHILD_SHARES;
	return CHILD_OK;
}

static void child(struct block *b, uint64_t told[][MAX_VERIFIERS], bool enters)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (enters && !opt.native) {
		child_init();
		mode_enter();
	}
	_exit(child_looks(b, told));
}

/* The child is a copy; both go on writing, each to its own pages. */
static bool fork_child(struct antagonist *a)
{
	struct block *b = block_claim(a->index, AREA_PRIVATE, &a->seed);
	uint64_t told[CHILD_PAGES][MAX_VERIFIERS];
	bool enters = rnd(&a->seed) % 4 == 0;
	int status = -1, code;
	pid_t pid;

	if (!b)
		return false;
	/* What is in the pages, not what was told: contents may have vanished. */
	for (int n = 0; n < CHILD_PAGES; n++)
		for (int v = 0; v < nr_verifiers; v++)
			told[n][v] = *word_of(b->first_page + n, NR_STAMPS + v);
	pid = fork();
	if (pid == 0)
		child(b, told, enters);
	if (pid > 0) {
		block_stamp(b, 0);
		REQUIRE(waitpid(pid, &status, 0) == pid);
		code = WEXITSTATUS(status);
		if (WIFEXITED(status) && code >= CHILD_STAMP &&
		    code < CHILD_PARENT_POISON)
			FAIL("forked child%s: %s", enters ? " in Dune mode" : "",
			     child_text[code]);
		else
			CHECK_EQ(status, 0);
	} else {
		CHECK(errno == EAGAIN || errno == ENOMEM);
	}
	block_release(b);
	return pid > 0;
}

/* ---- threads ---- */

static bool to_other_cpu(struct antagonist *a)
{
	pid_t tid = verifier_tid[rnd(&a->seed) % nr_verifiers];
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(rnd(&a->seed) % nr_cpus(), &set);
	if (tid && sched_setaffinity(tid, sizeof(set), &set) == 0 &&
	    rnd(&a->seed) % 4 == 0) {
		for (int cpu = 0; cpu < nr_cpus(); cpu++)
			CPU_SET(cpu, &set);
		sched_setaffinity(tid, sizeof(set), &set);
	}
	return tid != 0;
}

/* What went away during the sleep must be gone when the thread is back. */
static bool block_and_look(struct antagonist *a)
{
	struct timespec t = { 0, 200000 + rnd(&a->seed) % 2000000 };

	verify_some(a->who, 4, &a->seed);
	nanosleep(&t, NULL);
	verify_some(a->who, 16, &a->seed);
	return true;
}

static bool leave_and_enter(struct antagonist *a)
{
	if (!a->dune)
		mode_enter();
	verify_some(a->who, 8, &a->seed);
	mode_exit();
	verify_some(a->who, 8, &a->seed);
	if (a->dune)
		mode_enter();
	return true;
}

/* Threads of a wave borrow their antagonist's seed and tally. */
static void *short_life(void *arg)
{
	struct antagonist *a = arg;
	uint64_t seed = __atomic_fetch_add(&a->seed, 0x9e3779b97f4a7c15ull,
					   __ATOMIC_RELAXED) | 1;

	mode_enter();
	verify_some(a->who, 8, &seed);
	if (rnd(&seed) & 1)
		mode_exit();
	return NULL;
}

static bool births_and_deaths(struct antagonist *a)
{
	pthread_t thread[3];
	int n;

	for (n = 0; n < 3; n++)
		if (pthread_create(&thread[n], NULL, short_life, a))
			break;
	verify_some(a->who, 4, &(uint64_t){ opt.seed + n });
	for (int i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	return n > 0;
}

struct act thread_acts[] = {
	{ "fork", fork_child, NULL, .one_in = 6 },
	{ "affinity", to_other_cpu, NULL, .one_in = 1 },
	{ "block", block_and_look, NULL, .one_in = 1 },
	{ "reenter", leave_and_enter, NULL, .one_in = 1 },
	{ "churn", births_and_deaths, NULL, .one_in = 3 },
	{ .name = NULL },
};

/* ---- a neighbour who gets what is freed ---- */

#define HOG_PAGES 192

static pid_t hog_pid;
static volatile int *hog_bad;

static void hog(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		struct timespec ms = { 0, 3000000 };

		poison_fresh(HOG_PAGES, 20000);
		if (check_failures)
			*hog_bad = 1;
		nanosleep(&ms, NULL);
	}
}

void hog_start(void)
{
	hog_bad = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(hog_bad != MAP_FAILED);
	fflush(stdout);
	hog_pid = fork();
	REQUIRE(hog_pid >= 0);
	if (hog_pid == 0)
		hog();
}

void hog_stop(void)
{
	kill(hog_pid, SIGKILL);
	waitpid(hog_pid, NULL, 0);
	if (*hog_bad)
		FAIL("stray write: another process's pages were overwritten");
}
