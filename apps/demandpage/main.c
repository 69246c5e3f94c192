// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * demandpage: threads read and write a file that is larger than the memory they
 * have for it, by pread() and pwrite(), and in Dune mode through a window that a
 * page fault handler fills. Both must leave the same file.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "meter.h"
#include "pager.h"
#include "team.h"
#include "work.h"

static struct {
	unsigned long threads, pages, frames, operations, seed;
	const char *dir;
	bool native, dune;
} options = {
	.threads = 4, .pages = 256, .frames = 48, .operations = 4000, .seed = 1, .dir = "/tmp",
};

static void usage(FILE *out)
{
	fputs("usage: demandpage [OPTIONS]\n"
	      "Read and write a file at random, by pread() and pwrite(), then by demand\n"
	      "paging in Dune mode, and compare.\n"
	      "\n"
	      "  --native        pread() and pwrite() only, on any machine\n"
	      "  --dune          demand paging only\n"
	      "  --threads N     that read and write (4)\n"
	      "  --pages N       of 4 KiB in the file (256)\n"
	      "  --frames N      of memory for them; more than 2 a thread (48)\n"
	      "  --operations N  per thread (4000)\n"
	      "  --seed N        of what the threads do (1)\n"
	      "  --dir DIR       where the files are made, without a name (/tmp)\n"
	      "  --help          this text\n"
	      "\n"
	      "stdout: the result. stderr: what it took.\n"
	      "Exit status: 0 all is well, 1 something failed, 2 wrong usage.\n",
	      out);
}

static int check_options(void)
{
	if (options.frames < 2 * options.threads + 1) {
		fprintf(stderr, "demandpage: --threads %lu need --frames %lu at least\n",
			options.threads, 2 * options.threads + 1);
		return 2;
	}
	cli_both(&options.native, &options.dune);
	return 0;
}

static int parse(int argc, char **argv)
{
	const struct cli_option list[] = {
		{ "native", .flag = &options.native },
		{ "dune", .flag = &options.dune },
		{ "threads", .number = &options.threads, .min = 1, .max = MAX_THREADS },
		{ "pages", .number = &options.pages, .min = 1, .max = 1ul << 20 },
		{ "frames", .number = &options.frames, .min = 3, .max = 1ul << 20 },
		{ "operations", .number = &options.operations, .min = 0, .max = 1ul << 40 },
		{ "seed", .number = &options.seed, .min = 0, .max = ~0ul },
		{ "dir", .text = &options.dir },
		{ NULL },
	};
	int err = cli_parse(argc, argv, list, usage);

	return err ? err : check_options();
}

/* --- the two ways to a word --- */

static uint64_t file_get(void *ctx, size_t word)
{
	uint64_t value = 0;

	if (pread(*(int *)ctx, &value, sizeof(value), word * sizeof(value)) != sizeof(value))
		cli_die("pread: %m");
	return value;
}

static void file_put(void *ctx, size_t word, uint64_t value)
{
	if (pwrite(*(int *)ctx, &value, sizeof(value), word * sizeof(value)) != sizeof(value))
		cli_die("pwrite: %m");
}

static uint64_t window_get(void *ctx, size_t word)
{
	return __atomic_load_n((uint64_t *)((struct pager *)ctx)->window + word, __ATOMIC_RELAXED);
}

static void window_put(void *ctx, size_t word, uint64_t value)
{
	__atomic_store_n((uint64_t *)((struct pager *)ctx)->window + word, value,
			 __ATOMIC_RELAXED);
}

/* --- a run --- */

struct run {
	int fd;
	struct pager pager;
	enum mode mode;
	struct work work[MAX_THREADS];
	uint64_t checksum, bad;
};

static void fill_file(int fd)
{
	uint64_t words[WORDS_PER_PAGE];

	for (unsigned long page = 0; page < options.pages; page++) {
		for (unsigned int i = 0; i < WORDS_PER_PAGE; i++)
			words[i] = work_first_value(page * WORDS_PER_PAGE + i);
		if (write(fd, words, sizeof(words)) != sizeof(words))
			cli_die("write in %s: %m\n  next: another --dir", options.dir);
	}
}

static int make_file(void)
{
	char name[4096];
	int fd;

	snprintf(name, sizeof(name), "%s/demandpage-XXXXXX", options.dir);
	fd = mkstemp(name);
	if (fd < 0)
		cli_die("a file in %s: %m\n  next: another --dir", options.dir);
	unlink(name);
	fill_file(fd);
	return fd;
}

static void worker_main(unsigned int number, void *arg)
{
	struct run *run = arg;

	if (run->mode == MODE_DUNE)
		pager_enter(&run->pager);
	work_run(&run->work[number]);
	if (run->mode == MODE_DUNE)
		pager_leave();
}

static void report_pager(const struct pager *pager)
{
	const struct pager_stats *s = &pager->stats;

	fprintf(stderr, "demand paging: %lu pages, %lu frames\n", options.pages, options.frames);
	fprintf(stderr, "  %-22s %" PRIu64 ", %" PRIu64 " of them read a page\n", "faults",
		s->faults, s->reads);
	fprintf(stderr, "  %-22s %" PRIu64 ", %" PRIu64 " of them dirty and written back\n",
		"evictions", s->evictions, s->writes);
	fprintf(stderr, "  %-22s %" PRIu64 " in %" PRIu64 " rounds\n", "second chances", s->spared,
		s->rounds);
}

static void run_threads(struct run *run, const struct store *store)
{
	struct team team;

	for (unsigned int i = 0; i < options.threads; i++)
		run->work[i] = (struct work){
			.store = store,
			.number = i,
			.nr_threads = options.threads,
			.nr_pages = options.pages,
			.operations = options.operations,
			.seed = options.seed,
		};
	team_start(&team, options.threads, run->mode, worker_main, run);
	team_join(&team);
	for (unsigned int i = 0; i < options.threads; i++) {
		run->checksum = run->checksum * 31 + run->work[i].checksum;
		run->bad += run->work[i].bad;
	}
	if (run->bad)
		fprintf(stderr, "demandpage: %" PRIu64 " words of other places were read\n",
			run->bad);
}

static void run_native(struct run *run)
{
	const struct store store = { file_get, file_put, &run->fd };
	struct meter start, took;

	run->mode = MODE_LINUX;
	run->fd = make_file();
	start = meter_read();
	run_threads(run, &store);
	took = meter_since(&start);
	fprintf(stderr, "pread() and pwrite(): %lu pages\n", options.pages);
	meter_print("the run took", &took, options.threads * options.operations, "operation");
}

static void run_dune(struct run *run)
{
	const struct store store = { window_get, window_put, &run->pager };
	struct meter start, took;

	run->mode = MODE_DUNE;
	run->fd = make_file();
	pager_create(&run->pager, run->fd, options.pages, options.frames);
	start = meter_read();
	run_threads(run, &store);
	pager_sync(&run->pager);
	took = meter_since(&start);
	report_pager(&run->pager);
	meter_print("the run took", &took, options.threads * options.operations, "operation");
	pager_destroy(&run->pager);
}

/* The number of pages that differ. */
static unsigned long compare_files(int a, int b)
{
	unsigned long differ = 0;
	char x[PAGE], y[PAGE];

	for (unsigned long page = 0; page < options.pages; page++)
		if (pread(a, x, PAGE, page * PAGE) != PAGE ||
		    pread(b, y, PAGE, page * PAGE) != PAGE || memcmp(x, y, PAGE))
			differ++;
	return differ;
}

static uint64_t sum_of_file(int fd)
{
	uint64_t words[WORDS_PER_PAGE], sum = 0;

	for (unsigned long page = 0; page < options.pages; page++) {
		if (pread(fd, words, PAGE, page * PAGE) != PAGE)
			cli_die("pread: %m");
		for (unsigned int i = 0; i < WORDS_PER_PAGE; i++)
			sum = sum * 31 + words[i];
	}
	return sum;
}

static bool compare(const struct run *native, const struct run *dune)
{
	unsigned long differ = compare_files(native->fd, dune->fd);

	if (differ)
		fprintf(stderr, "demandpage: the files DIFFER in %lu pages\n", differ);
	if (native->checksum != dune->checksum)
		fprintf(stderr, "demandpage: what was read DIFFERS\n");
	return !differ && native->checksum == dune->checksum;
}

int main(int argc, char **argv)
{
	static struct run native, dune;
	const struct run *last = &native;
	int status = parse(argc, argv);
	bool ok = true;

	if (status)
		return status;
	meter_init();
	if (options.dune)
		cli_need_dune();
	if (options.native)
		run_native(&native);
	if (options.dune) {
		run_dune(&dune);
		last = &dune;
	}
	if (options.native && options.dune)
		ok = compare(&native, &dune);
	printf("%lu threads, %lu operations each, %lu pages, read %016" PRIx64 ", left %016" PRIx64 "\n",
	       options.threads, options.operations, options.pages, last->checksum,
	       sum_of_file(last->fd));
	return ok && !native.bad && !dune.bad ? 0 : 1;
}
