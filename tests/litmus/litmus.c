// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The two threads, the forms they run, and what is allowed. */
#define _GNU_SOURCE
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "litmus.h"

#define EXIT_SKIP	77
#define NR_FORMS	4
/* The strong form, where other programs take the CPUs away: */
#define ENOUGH_INSTANCES 20000
#define LONGEST_SECONDS	 8

/* Which function each side runs. */
struct form {
	const char *name;
	bool (*side[2])(unsigned int i);
	unsigned long long rounds, bad;
};

static const struct litmus *litmus;
static struct form *form;
static const char strong[] = "strong";
static bool missed[2][LITMUS_BATCH];
static _Atomic unsigned int stop;
static int cpus[2];

/* How often each thread has come to a meeting; apart, to be read cheaply. */
static struct {
	_Alignas(128) _Atomic unsigned int times;
} met[2];

/* Both threads are here. Spins: the two have to start together. */
static void meet(int me)
{
	unsigned int times = atomic_load(&met[me].times) + 1;

	atomic_store(&met[me].times, times);
	for (unsigned int spins = 0;
	     (int)(atomic_load(&met[!me].times) - times) < 0; spins++)
		if (spins > 2000) {
			sched_yield();	/* the other has lost its CPU */
			spins = 0;
		}
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		perror("litmus: sched_setaffinity");
}

static void count(void)
{
	for (unsigned int i = 0; i < LITMUS_BATCH; i++)
		form->bad += missed[0][i] && missed[1][i];
	form->rounds += LITMUS_BATCH;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/*
 * A wait of varying length after the meeting: at which offset of the two sides
 * the bad outcome shows depends on the CPU.
 */
static void jitter(unsigned int *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	for (volatile unsigned int n = *seed >> 28; n; n--)
		;
}

static void run_batch(int me, unsigned int *seed)
{
	for (unsigned int i = 0; i < LITMUS_BATCH; i++) {
		meet(me);
		jitter(seed);
		missed[me][i] = form->side[me](i);
	}
}

static void *other_side(void *unused)
{
	unsigned int seed = 1;

	(void)unused;
	pin(cpus[1]);
	for (;;) {
		meet(1);
		if (atomic_load(&stop))
			return NULL;
		run_batch(1, &seed);
		meet(1);
	}
}

/* A weak twin has done its work with one bad outcome. */
static bool goes_on(double began, double seconds)
{
	double past = now() - began;

	if (form->name != strong)
		return past < seconds && !form->bad;
	return past < seconds ||
	       (form->rounds < ENOUGH_INSTANCES && past < LONGEST_SECONDS);
}

static void run_form(double seconds)
{
	double began = now();
	unsigned int seed = 2;
	pthread_t other;

	atomic_store(&met[0].times, 0);
	atomic_store(&met[1].times, 0);
	atomic_store(&stop, 0);
	if (pthread_create(&other, NULL, other_side, NULL)) {
		perror("litmus: pthread_create");
		exit(1);
	}
	while (goes_on(began, seconds)) {
		for (unsigned int i = 0; i < LITMUS_BATCH; i++)
			litmus->reset(i);
		meet(0);
		run_batch(0, &seed);
		meet(0);
		count();
	}
	atomic_store(&stop, 1);
	meet(0);
	pthread_join(other, NULL);
}

static int pick_cpus(void)
{
	cpu_set_t set;
	int nr = 0;

	if (sched_getaffinity(0, sizeof(set), &set))
		return 0;
	for (int cpu = 0; cpu < CPU_SETSIZE && nr < 2; cpu++)
		if (CPU_ISSET(cpu, &set))
			cpus[nr++] = cpu;
	return nr;
}

static int show(const struct form *f)
{
	bool weak = f->name != strong;
	bool ok = weak == (f->bad != 0);

	printf("%-22s %-28s %12llu instances %10llu bad  %s\n", litmus->name,
	       f->name, f->rounds, f->bad,
	       ok ? "ok" : weak ? "FAIL: not seen" : "FAIL: must not be");
	return !ok;
}

static int run_all(double seconds)
{
	struct form forms[NR_FORMS] = {
		{ strong, { litmus->side[0], litmus->side[1] }, 0, 0 },
		{ litmus->weak_side[0], { litmus->weak[0], litmus->side[1] }, 0, 0 },
		{ litmus->weak_side[1], { litmus->side[0], litmus->weak[1] }, 0, 0 },
		{ "neither fence", { litmus->weak[0], litmus->weak[1] }, 0, 0 },
	};
	int failed = 0;

	for (int i = 0; i < NR_FORMS; i++) {
		if (!forms[i].side[0] || !forms[i].side[1])
			continue;
		form = &forms[i];
		run_form(seconds);
		failed |= show(form);
	}
	return failed;
}

static void usage(FILE *out, const char *name)
{
	fprintf(out, "usage: %s [--seconds S]\n\n"
		"Store-buffering test of %s on two CPUs of this machine: S seconds\n"
		"(default: 2) of the code as it is, which must never show the bad\n"
		"outcome, and at most as long of each twin with a fence missing,\n"
		"which must. Exit status 77: fewer than two CPUs.\n",
		name, litmus->labels);
}

int litmus_main(const struct litmus *l, int argc, char **argv)
{
	static const struct option options[] = {
		{ "seconds", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	double seconds = 2;
	int c;

	litmus = l;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 's')
			seconds = atof(optarg);
		if (c == 'h') {
			usage(stdout, argv[0]);
			return 0;
		}
		if (c == '?' || seconds <= 0) {
			usage(stderr, argv[0]);
			return 2;
		}
	}
	if (pick_cpus() < 2) {
		puts("SKIP: needs two CPUs");
		return EXIT_SKIP;
	}
	pin(cpus[0]);
	return run_all(seconds);
}
