// SPDX-License-Identifier: GPL-2.0 OR MIT
/* dune-run: options, and finding the program. */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <numa.h>
#include <numaif.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load.h"
#include "run.h"

/* As env(1), nice(1) and others end when it was not the program that did. */
#define EXIT_OURS	125
#define EXIT_CANNOT	126
#define EXIT_NOT_FOUND	127

enum { OPT_STATS = 256, OPT_NO_FOLLOW, OPT_BACKEND, OPT_CPUS, OPT_NUMA, OPT_INSIDE };

static const struct argp_option options[] = {
	{ "backend", OPT_BACKEND, "fast|reissue", 0,
	  "where system calls are made: inside the kernel where that is the same (fast), or all by the thread in plain mode (reissue)", 0 },
	{ "cpus", OPT_CPUS, "LIST", 0, "run on these CPUs only, as taskset -c", 0 },
	{ "no-follow", OPT_NO_FOLLOW, NULL, 0, "programs that it executes run without Dune", 0 },
	{ "numa", OPT_NUMA, "local|interleave|bind:NODES|replicate", 0,
	  "where its memory and its EPT come from; replicate: an EPT for each node", 0 },
	{ "stats", OPT_STATS, NULL, 0, "print each process's counters to stderr at its end", 0 },
	{ "inside", OPT_INSIDE, "...", OPTION_HIDDEN, NULL, 0 },
	{ 0 },
};

struct args {
	struct program *program;
	bool inside;
	char *name;
};

static void fail(int status, const char *what, const char *why)
{
	fprintf(stderr, "dune-run: %s: %s\n", what, why);
	exit(status);
}

static void set_cpus(struct argp_state *state, const char *list)
{
	struct bitmask *cpus = numa_parse_cpustring(list);

	if (!cpus || numa_sched_setaffinity(0, cpus) < 0)
		argp_error(state, "--cpus=%s: no such CPUs here (a list as 0-3,6)", list);
	numa_bitmask_free(cpus);
}

static void bind_to(struct argp_state *state, const char *list)
{
	struct bitmask *nodes = numa_parse_nodestring(list);

	if (!nodes || set_mempolicy(MPOL_BIND, nodes->maskp, nodes->size + 1))
		argp_error(state, "--numa=bind:%s: no such nodes here (a list as 0,1)", list);
	numa_bitmask_free(nodes);
}

/* Kept: the program's stack will be where the arguments are. */
static int set_placement(const char *text)
{
	if (strlen(text) >= sizeof(run_options.numa))
		return -EINVAL;
	strcpy(run_options.numa, text);
	return dune_set_placement(text);
}

static void set_numa(struct argp_state *state, const char *policy)
{
	if (numa_available() < 0)
		argp_error(state, "--numa: this kernel has no NUMA policies");
	/* Not MPOL_LOCAL: such memory does not follow its threads, vma_policy_mof(). */
	if (!strcmp(policy, "local") || !strcmp(policy, "replicate"))
		set_mempolicy(MPOL_DEFAULT, NULL, 0);
	else if (!strcmp(policy, "interleave"))
		set_mempolicy(MPOL_INTERLEAVE, numa_all_nodes_ptr->maskp,
			      numa_all_nodes_ptr->size + 1);
	else if (!strncmp(policy, "bind:", 5))
		bind_to(state, policy + 5);
	else
		argp_error(state, "--numa=%s: local, interleave, bind:NODES or replicate", policy);
	if (set_placement(policy))
		argp_error(state, "--numa=%s: %s", policy, dune_why());
}

static void set_backend(struct argp_state *state, const char *name)
{
	if (!strcmp(name, "reissue"))
		run_options.reissue = true;
	else if (strcmp(name, "fast"))
		argp_error(state, "--backend=%s: fast or reissue", name);
}

/* What execve() in Dune mode passes on. */
void load_inside(char *text, size_t size, int fd, uint64_t mask)
{
	snprintf(text, size, "--inside=%d,%llx,%d,%d,%s", fd, (unsigned long long)mask,
		 run_options.reissue, run_options.stats, run_options.numa);
}

static void inside(struct argp_state *state, const char *text)
{
	struct args *a = state->input;
	unsigned long long mask;
	int reissue, stats, numa = 0;

	if (sscanf(text, "%d,%llx,%d,%d,%n", &a->program->fd, &mask, &reissue, &stats, &numa) != 4 ||
	    !numa || (text[numa] && set_placement(text + numa)))
		argp_error(state, "--inside is for dune-run itself");
	a->inside = true;
	a->program->mask = mask;
	run_options.reissue = reissue;
	run_options.stats = stats;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case OPT_STATS:
		run_options.stats = true;
		return 0;
	case OPT_NO_FOLLOW:
		run_options.follow = false;
		return 0;
	case OPT_BACKEND:
		set_backend(state, arg);
		return 0;
	case OPT_CPUS:
		set_cpus(state, arg);
		return 0;
	case OPT_NUMA:
		set_numa(state, arg);
		return 0;
	case OPT_INSIDE:
		inside(state, arg);
		return 0;
	case ARGP_KEY_ARGS:
		a->program->argv = state->argv + state->next;
		a->program->argc = state->argc - state->next;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "PROGRAM [ARGUMENT...]",
	.doc = "Run a program that knows nothing of Dune in Dune mode, with all its threads and the processes that it creates."
	       "\vExit status: the program's; 125 when Dune cannot be used, 126 when the program cannot be executed, 127 when it is not found. "
	       "See dune-run(1) and docs/compatibility.md.",
};

/* As execvp(): the first that may be executed. */
static char *in_path(const char *name)
{
	const char *path = getenv("PATH"), *end;
	char *full;

	if (strchr(name, '/'))
		return strdup(name);
	for (path = path ? path : "/bin:/usr/bin"; path; path = *end ? end + 1 : NULL) {
		end = strchrnul(path, ':');
		if (asprintf(&full, "%.*s%s%s", (int)(end - path), path,
			     end > path ? "/" : "", name) < 0)
			return NULL;
		if (!access(full, X_OK))
			return full;
		free(full);
	}
	return NULL;
}

static void find(struct program *p)
{
	p->execfn = in_path(p->argv[0]);
	if (!p->execfn)
		fail(EXIT_NOT_FOUND, p->argv[0], "not found in PATH");
	if (access(p->execfn, X_OK))
		fail(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT, p->argv[0], strerror(errno));
	p->fd = open(p->execfn, O_RDONLY | O_CLOEXEC);
	if (p->fd < 0)
		fail(EXIT_CANNOT, p->argv[0], strerror(errno));
	if (!load_is_possible(p->fd))
		fail(EXIT_CANNOT, p->argv[0],
		     "not a 64-bit x86 program, or one with rights of its own (set-user-ID): run it without dune-run");
	p->mask = run_block_all();
}

int main(int argc, char **argv)
{
	static char *no_args[] = { "", NULL };
	struct program p = { .fd = -1, .envp = environ };
	struct args a = { .program = &p };
	char *name;
	int err;

	argp_err_exit_status = EXIT_OURS;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &a);
	if (a.inside) {
		/* The first is the name that execve() was told. */
		p.execfn = p.argv[0];
		p.argv++;
		p.argc--;
		/* As Linux gives one to who is given none. */
		if (!p.argc)
			p.argv = no_args;
		if (!p.argc)
			p.argc = 1;
	} else {
		find(&p);
	}
	name = p.execfn;
	/* Linux needs no descriptors to load it: it may have inherited all. */
	run_fds_begin(&p.limit);
	err = script_resolve(&p);
	if (!err)
		err = program_start(&p);
	if (err == -ENXIO)
		return EXIT_OURS;
	fail(EXIT_CANNOT, name, strerror(-err));
}
