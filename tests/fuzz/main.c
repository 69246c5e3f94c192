// SPDX-License-Identifier: GPL-2.0 OR MIT
/* dune-fuzz: options, the corpus, the run. */
#include "fuzz.h"

#include <argp.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test.h"

static const char doc[] =
	"Seeded fuzzing of /dev/dune: hostile arguments of every call, and hostile "
	"guests. After each batch of cases the kernel log, the live vms and vCPUs, "
	"and vms in this and in a fresh process must be as before."
	"\vEach case depends on its number and the seed alone, and --print shows "
	"it as text. Exit status: 0 all well, 1 a failure (it says how to run the "
	"case again), 77 no /dev/dune.";

enum { OPT_SEED = 's', OPT_FIRST = 'f', OPT_CASES = 'c', OPT_THREADS = 't',
       OPT_ONLY = 'o', OPT_REPLAY = 'r', OPT_CORPUS = 'd', OPT_BATCH = 'b',
       OPT_PRINT = 'p' };

static const struct argp_option options[] = {
	{ "seed", OPT_SEED, "N", 0, "seed of the cases (default 1)", 0 },
	{ "first", OPT_FIRST, "N", 0, "number of the first case (default 0)", 0 },
	{ "cases", OPT_CASES, "N", 0,
	  "how many (default 10000, 0 with --replay or --corpus)", 0 },
	{ "threads", OPT_THREADS, "N", 0,
	  "threads that race with the case's own (default 1)", 0 },
	{ "only", OPT_ONLY, "ENGINE", 0, "ioctl, guest or all (default)", 0 },
	{ "replay", OPT_REPLAY, "FILE", 0, "run the cases in FILE, in one process", 0 },
	{ "corpus", OPT_CORPUS, "DIR", 0, "run each file DIR/*.case", 0 },
	{ "batch", OPT_BATCH, "N", 0, "cases a process at most (default 1024)", 0 },
	{ "print", OPT_PRINT, NULL, 0, "print the cases (of FILE, too) as text, run nothing", 0 },
	{ 0 },
};

struct args {
	struct plan plan;
	uint64_t cases;
	bool cases_given, print;
	const char *replay, *corpus;
};

static uint64_t number(struct argp_state *state, const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);

	if (end == text || *end)
		argp_error(state, "not a number: %s", text);
	return n;
}

static unsigned int engines(struct argp_state *state, const char *text)
{
	if (!strcmp(text, "ioctl"))
		return 1u << ENGINE_IOCTL;
	if (!strcmp(text, "guest"))
		return 1u << ENGINE_GUEST;
	if (strcmp(text, "all"))
		argp_error(state, "no such engine: %s", text);
	return 3;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case OPT_SEED: a->plan.source.seed = number(state, arg); break;
	case OPT_FIRST: a->plan.first = number(state, arg); break;
	case OPT_CASES:
		a->cases = number(state, arg);
		a->cases_given = true;
		break;
	case OPT_THREADS: a->plan.threads = number(state, arg); break;
	case OPT_ONLY: a->plan.source.engines = engines(state, arg); break;
	case OPT_REPLAY: a->replay = arg; break;
	case OPT_CORPUS: a->corpus = arg; break;
	case OPT_BATCH:
		a->plan.batch = number(state, arg);
		if (!a->plan.batch)
			argp_error(state, "a batch has cases");
		break;
	case OPT_PRINT: a->print = true; break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

/* The cases of a file; lines that are empty or begin with # are none. */
static struct fuzz_case *read_cases(const char *path, uint64_t *n)
{
	struct fuzz_case *list = NULL;
	char line[4096];
	FILE *f = fopen(path, "r");
	const char *wrong;

	*n = 0;
	if (!f) {
		perror(path);
		exit(2);
	}
	for (int nr = 1; fgets(line, sizeof(line), f); nr++) {
		if (line[0] == '#' || line[strspn(line, " \t\n")] == '\0')
			continue;
		list = realloc(list, (*n + 1) * sizeof(*list));
		REQUIRE(list);
		wrong = case_parse(&list[*n], line);
		if (wrong) {
			fprintf(stderr, "%s:%d: %s\n", path, nr, wrong);
			exit(2);
		}
		++*n;
	}
	fclose(f);
	return list;
}

/* A file's cases run in one process, so that they can build on each other. */
static bool replay(const struct plan *plan, const char *path)
{
	const char *base = strrchr(path, '/');
	struct plan p = *plan;
	uint64_t n;
	bool ok;

	p.source.list = read_cases(path, &n);
	p.first = 0;
	p.last = n;
	p.batch = n ? n : 1;
	p.name = base ? base + 1 : path;
	ok = batches_run(&p);
	printf("  %-32s %llu cases: %s\n", p.name, (unsigned long long)n,
	       ok ? "ok" : "FAILED");
	free((void *)p.source.list);
	return ok && n;
}

static int is_case_file(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n > 5 && !strcmp(d->d_name + n - 5, ".case");
}

static bool replay_all(const struct plan *plan, const char *dir)
{
	struct dirent **names;
	int n = scandir(dir, &names, is_case_file, alphasort);
	bool ok = n > 0;
	char path[4096];

	if (n <= 0)
		printf("corpus: FAILED: no cases in %s\n", dir);
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
		ok &= replay(plan, path);
	}
	return ok;
}

static void print_all(const struct plan *p)
{
	static struct fuzz_case c;

	for (uint64_t i = p->first; i < p->last; i++) {
		source_get(&p->source, i, &c);
		case_print(&c);
	}
}

int main(int argc, char **argv)
{
	static const struct argp argp = { options, parse, NULL, doc, NULL, NULL, NULL };
	struct args a = {
		.plan = { .source = { .seed = 1, .engines = 3 }, .batch = 1024,
			  .threads = 1, .name = "fuzz" },
		.cases = 10000,
	};
	bool ok = true;

	setvbuf(stdout, NULL, _IOLBF, 0);
	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if ((a.replay || a.corpus) && !a.cases_given)
		a.cases = 0;
	a.plan.last = a.plan.first + a.cases;
	if (a.print) {
		if (a.replay)
			a.plan.source.list = read_cases(a.replay, &a.plan.last);
		print_all(&a.plan);
		return 0;
	}
	printf("dune-fuzz: seed 0x%llx, cases %llu to %llu, %d racing threads\n",
	       (unsigned long long)a.plan.source.seed,
	       (unsigned long long)a.plan.first,
	       (unsigned long long)a.plan.last, a.plan.threads);
	if (access(DUNE_DEVICE_PATH, F_OK))
		SKIP("no " DUNE_DEVICE_PATH);
	batches_setup();
	health_start();
	summary_start();
	if (a.replay)
		ok &= replay(&a.plan, a.replay);
	if (a.corpus)
		ok &= replay_all(&a.plan, a.corpus);
	if (ok && a.cases)
		ok = batches_run(&a.plan);
	summary_print(a.cases);
	if (a.cases >= 5000 && a.plan.source.engines == 3)
		ok &= summary_saw_all();
	printf("dune-fuzz: %s\n", ok ? "all well" : "not well");
	return ok ? 0 : 1;
}
