// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * heapsnap: threads change a table in memory; now and then they stand for a moment,
 * in which a snapshot is made, and go on while it is checked and written to a
 * file. By fork(), and in Dune mode by a clone of the guest page table.
 */
#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "meter.h"
#include "rand.h"
#include "snapshot.h"
#include "table.h"
#include "team.h"
#include "world.h"

#define MAX_THREADS	64
#define TELL_EVERY	8	/* transfers */

static struct {
	unsigned long threads, rows, operations, every, seed;
	const char *dir;
	bool native, dune;
} options = {
	.threads = 3, .rows = 16384, .operations = 8000, .every = 1500, .seed = 1, .dir = "/tmp",
};

static void usage(FILE *out)
{
	fputs("usage: heapsnap [OPTIONS]\n"
	      "Save snapshots of a table while threads change it: by fork(), then by a clone\n"
	      "of the guest page table in Dune mode, and compare.\n"
	      "\n"
	      "  --native        fork() only, on any machine\n"
	      "  --dune          clones only\n"
	      "  --threads N     that change the table (3)\n"
	      "  --rows N        of 64 bytes (16384)\n"
	      "  --operations N  transfers per thread (8000)\n"
	      "  --every N       transfers of all threads from a snapshot to the next (1500)\n"
	      "  --seed N        of what the threads do (1)\n"
	      "  --dir DIR       where the snapshots are written, without a name (/tmp)\n"
	      "  --help          this text\n"
	      "\n"
	      "stdout: the result. stderr: what it took.\n"
	      "Exit status: 0 all is well, 1 something failed, 2 wrong usage.\n",
	      out);
}

static int parse(int argc, char **argv)
{
	const struct cli_option list[] = {
		{ "native", .flag = &options.native },
		{ "dune", .flag = &options.dune },
		{ "threads", .number = &options.threads, .min = 1, .max = MAX_THREADS },
		{ "rows", .number = &options.rows, .min = 2, .max = 1ul << 30 },
		{ "operations", .number = &options.operations, .min = 0, .max = 1ul << 40 },
		{ "every", .number = &options.every, .min = 1, .max = 1ul << 40 },
		{ "seed", .number = &options.seed, .min = 0, .max = ~0ul },
		{ "dir", .text = &options.dir },
		{ NULL },
	};
	int err = cli_parse(argc, argv, list, usage);

	cli_both(&options.native, &options.dune);
	return err;
}

/* --- a run --- */

struct run {
	enum mode mode;
	struct table table;
	struct world world;
	struct snapshot snapshot;
	unsigned long snapshots, wrong;
	unsigned long beside;	/* transfers made while snapshots were saved */
	struct meter made, took;
	struct summary end;
};

static void worker_main(unsigned int number, void *arg)
{
	struct run *run = arg;
	uint64_t rand = mix(options.seed * MAX_THREADS + number);

	for (unsigned long n = 1; n <= options.operations; n++) {
		unsigned long from = rand_below(&rand, options.rows);
		unsigned long to = (from + 1 + rand_below(&rand, options.rows - 1)) % options.rows;

		table_transfer(&run->table, from, to, rand_below(&rand, 100));
		if (n % TELL_EVERY == 0)
			world_pause(&run->world, TELL_EVERY);
	}
	world_leave(&run->world, options.operations % TELL_EVERY);
}

static void verdict(struct run *run, const char *what, const struct summary *summary,
		    uint64_t transfers)
{
	const char *wrong = summary_wrong(summary, options.rows, transfers);

	if (!wrong)
		return;
	run->wrong++;
	fprintf(stderr, "heapsnap: snapshot %lu, %s: %s\n", run->snapshots, what, wrong);
}

static unsigned long transfers_now(struct run *run)
{
	return __atomic_load_n(&run->world.operations, __ATOMIC_RELAXED);
}

/* So that what is saved is no longer what the table has, unless all have ended. */
static void wait_for_transfers(struct run *run, unsigned long before)
{
	while (transfers_now(run) == before &&
	       __atomic_load_n(&run->world.mutators, __ATOMIC_RELAXED))
		sched_yield();
}

/*
 * The threads stand only while it is made. They say what they did before they
 * stand, so the number of transfers is exact.
 */
static void take_snapshot(struct run *run)
{
	struct snapshot *snapshot = &run->snapshot;
	struct summary file;
	unsigned long transfers;
	struct meter start, made;
	int err;

	world_stop(&run->world);
	transfers = transfers_now(run);
	start = meter_read();
	err = snapshot->way->make(snapshot);
	made = meter_since(&start);
	world_start(&run->world);
	wait_for_transfers(run, transfers);
	if (!err)
		err = snapshot->way->save(snapshot);
	if (err)
		cli_die("%s: %s\n  next: fewer --rows, or another --dir", snapshot->way->name,
			strerror(-err));
	run->beside += transfers_now(run) - transfers;
	snapshot->way->drop(snapshot);

	run->made.instructions += made.instructions;
	run->made.ns += made.ns;
	run->snapshots++;
	verdict(run, "in memory", snapshot_summary(snapshot), transfers);
	if (snapshot_read_back(snapshot, &file))
		cli_die("read a snapshot back: %m");
	verdict(run, "in the file", &file, transfers);
}

static int make_file(void)
{
	char name[4096];
	int fd;

	snprintf(name, sizeof(name), "%s/heapsnap-XXXXXX", options.dir);
	fd = mkstemp(name);
	if (fd < 0)
		cli_die("a file in %s: %m\n  next: another --dir", options.dir);
	unlink(name);
	return fd;
}

static void report(const struct run *run)
{
	fprintf(stderr, "%s: %lu snapshots of %lu rows, %lu wrong\n", run->snapshot.way->name,
		run->snapshots, options.rows, run->wrong);
	fprintf(stderr, "  %-22s %lu of %lu\n", "transfers beside them", run->beside,
		options.threads * options.operations);
	meter_print("the threads stood for", &run->made, run->snapshots, "snapshot");
	meter_print("the run took", &run->took, options.threads * options.operations, "transfer");
}

static void run(struct run *run, enum mode mode, const struct snapshot_way *way)
{
	struct meter start;
	struct team team;

	run->mode = mode;
	table_create(&run->table, options.rows);
	world_init(&run->world, options.threads);
	snapshot_init(&run->snapshot, way, &run->table, make_file());
	start = meter_read();
	team_start(&team, options.threads, mode, worker_main, run);
	mode_enter(mode);
	while (world_wait_for_work(&run->world, options.every))
		take_snapshot(run);
	mode_leave(mode);
	team_join(&team);
	run->took = meter_since(&start);
	summary_add(&run->end, run->table.rows, 0, options.rows);
	verdict(run, "the table in the end", &run->end, options.threads * options.operations);
	report(run);
	snapshot_destroy(&run->snapshot);
	table_destroy(&run->table);
}

/* A run in which no thread changed anything beside a snapshot shows nothing. */
static bool is_sound(const struct run *run)
{
	if (!run->snapshots || !run->beside) {
		fprintf(stderr, "heapsnap: %s\n  next: more --operations, or a smaller --every\n",
			run->snapshots ? "no thread ran beside a snapshot" : "no snapshot was made");
		return false;
	}
	return !run->wrong;
}

int main(int argc, char **argv)
{
	static struct run native, dune;
	int status = parse(argc, argv);
	bool ok = true;

	if (status)
		return status;
	meter_init();
	if (options.dune)
		cli_need_dune();
	if (options.native) {
		run(&native, MODE_LINUX, &snapshot_fork);
		ok &= is_sound(&native);
	}
	if (options.dune) {
		run(&dune, MODE_DUNE, &snapshot_clone);
		ok &= is_sound(&dune);
	}
	if (options.native && options.dune && native.end.content != dune.end.content) {
		fprintf(stderr, "heapsnap: the tables DIFFER\n");
		ok = false;
	}
	printf("%lu threads, %lu transfers each, %lu rows, left %016" PRIx64 "\n", options.threads,
	       options.operations, options.rows,
	       options.dune ? dune.end.content : native.end.content);
	return ok ? 0 : 1;
}
