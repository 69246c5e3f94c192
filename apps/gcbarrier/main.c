// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * gcbarrier: threads change a garbage-collected heap while the collector runs.
 * What was written to it learns from page protection or dirty bits. The result
 * on stdout is the same in Linux and in Dune mode.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "collect.h"
#include "meter.h"
#include "mutate.h"
#include "team.h"

static struct {
	unsigned long threads, heap, operations, every, seed;
	const struct barrier *barrier;	/* of Dune mode */
	bool native, dune;
} options = {
	.threads = 4, .heap = 768, .operations = 8000, .every = 1000, .seed = 1,
};

static void usage(FILE *out)
{
	fputs("usage: gcbarrier [OPTIONS]\n"
	      "Collect garbage beside the threads that make it, natively and in Dune mode,\n"
	      "and compare. Every collection is checked by a full mark.\n"
	      "\n"
	      "  --barrier KIND  in Dune mode: fault (default; protected pages) or dirty\n"
	      "                  (dirty bits). Natively: mprotect() and SIGSEGV\n"
	      "  --native        natively only, on any machine\n"
	      "  --dune          in Dune mode only\n"
	      "  --threads N     that change the heap (4)\n"
	      "  --heap PAGES    of 4 KiB; a thread needs 44 at least (768)\n"
	      "  --operations N  per thread (8000)\n"
	      "  --every N       operations of all threads from a collection to the next (1000)\n"
	      "  --seed N        of what the threads do (1)\n"
	      "  --help          this text\n"
	      "\n"
	      "stdout: the result. stderr: what it took.\n"
	      "Exit status: 0 all is well, 1 something failed, 2 wrong usage.\n",
	      out);
}

static int check_options(const char *barrier)
{
	if (strcmp(barrier, "fault") && strcmp(barrier, "dirty")) {
		fprintf(stderr, "gcbarrier: --barrier is fault or dirty\n");
		return 2;
	}
	options.barrier = *barrier == 'f' ? &barrier_fault : &barrier_dirty;
	if (options.heap < options.threads * 44) {
		fprintf(stderr, "gcbarrier: --threads %lu need a --heap of %lu pages at least\n",
			options.threads, options.threads * 44);
		return 2;
	}
	cli_both(&options.native, &options.dune);
	return 0;
}

static int parse(int argc, char **argv)
{
	const char *barrier = "fault";
	const struct cli_option list[] = {
		{ "barrier", .text = &barrier },
		{ "native", .flag = &options.native },
		{ "dune", .flag = &options.dune },
		{ "threads", .number = &options.threads, .min = 1, .max = MAX_THREADS },
		{ "heap", .number = &options.heap, .min = 44, .max = 1ul << 20 },
		{ "operations", .number = &options.operations, .min = 0, .max = 1ul << 40 },
		{ "every", .number = &options.every, .min = 1, .max = 1ul << 40 },
		{ "seed", .number = &options.seed, .min = 0, .max = ~0ul },
		{ NULL },
	};
	int err = cli_parse(argc, argv, list, usage);

	return err ? err : check_options(barrier);
}

/* --- a run --- */

struct run {
	struct heap heap;
	struct world world;
	struct collector collector;
	struct mutator mutators[MAX_THREADS];
	uint64_t checksum;
	unsigned long bad;
};

static void mutator_main(unsigned int number, void *arg)
{
	struct run *run = arg;

	mutate(&run->mutators[number]);
}

static void run_prepare(struct run *run, const struct barrier *barrier)
{
	int err;

	memset(run, 0, sizeof(*run));
	heap_create(&run->heap, options.heap);
	world_init(&run->world, options.threads);
	run->collector.heap = &run->heap;
	run->collector.world = &run->world;
	run->collector.barrier = barrier;
	run->collector.operations = options.every;
	collect_init(&run->collector);
	for (unsigned int i = 0; i < options.threads; i++) {
		run->mutators[i].heap = &run->heap;
		run->mutators[i].world = &run->world;
		run->mutators[i].number = i;
		run->mutators[i].operations = options.operations;
		run->mutators[i].seed = options.seed;
	}
	err = barrier->start(run->heap.base, options.heap * PAGE);
	if (err)
		cli_die("barrier %s: %s\n  next: a smaller --heap", barrier->name, strerror(-err));
}

static void run_report(const struct run *run, const struct meter *took, uint64_t traps)
{
	const struct collect_stats *s = &run->collector.stats;
	unsigned long collections = s->minors + s->fulls;

	fprintf(stderr, "barrier %s: %lu collections, %lu of them full\n",
		run->collector.barrier->name, collections, s->fulls);
	fprintf(stderr, "  %-22s %" PRIu64 "\n", "faults of the barrier", traps);
	fprintf(stderr, "  %-22s %lu beside the threads, %lu while they stood, of %lu\n",
		"pages scanned", s->pages_beside, s->pages_stopped, collections * options.heap);
	fprintf(stderr, "  %-22s %lu reached by the checks, %lu lost\n", "objects", s->checked,
		s->lost);
	meter_print("the run took", took, options.threads * options.operations, "operation");
}

/* The collector is the calling thread. */
static void run(struct run *run, enum mode mode, const struct barrier *barrier)
{
	struct meter start, took;
	struct team team;

	run_prepare(run, barrier);
	start = meter_read();
	team_start(&team, options.threads, mode, mutator_main, run);
	mode_enter(mode);
	collect_loop(&run->collector);
	mode_leave(mode);
	team_join(&team);
	took = meter_since(&start);
	barrier->stop();
	for (unsigned int i = 0; i < options.threads; i++) {
		run->checksum = run->checksum * 31 + run->mutators[i].checksum;
		run->bad += run->mutators[i].bad;
	}
	run_report(run, &took, barrier->traps());
	collect_destroy(&run->collector);
	heap_destroy(&run->heap);
}

/* A run in which the barrier had nothing to tell shows nothing. */
static bool is_sound(const struct run *run)
{
	const struct collect_stats *s = &run->collector.stats;

	if (run->bad)
		fprintf(stderr, "gcbarrier: %lu objects are not what was put there\n", run->bad);
	if (!s->minors || !s->pages_beside)
		fprintf(stderr, "gcbarrier: the barrier was not needed\n"
				"  next: more --operations, or a smaller --every\n");
	return !run->bad && !s->lost && s->minors && s->pages_beside;
}

int main(int argc, char **argv)
{
	static struct run native, dune;
	bool ok = true;
	int status = parse(argc, argv);

	if (status)
		return status;
	meter_init();
	if (options.dune)
		cli_need_dune();
	if (options.native) {
		run(&native, MODE_LINUX, &barrier_mprotect);
		ok &= is_sound(&native);
	}
	if (options.dune) {
		run(&dune, MODE_DUNE, options.barrier);
		ok &= is_sound(&dune);
	}
	if (options.native && options.dune && native.checksum != dune.checksum) {
		fprintf(stderr, "gcbarrier: the heaps DIFFER: %016" PRIx64 " natively\n",
			native.checksum);
		ok = false;
	}
	printf("%lu threads, %lu operations each, %lu objects live, checksum %016" PRIx64 "\n",
	       options.threads, options.operations, options.threads * TREE_OBJECTS,
	       options.dune ? dune.checksum : native.checksum);
	return ok ? 0 : 1;
}
