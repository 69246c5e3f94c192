// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What unmapping and protecting memory costs the thread that does it, and
 * whom it interrupts, with the EPT following; natively in the same process
 * before it has a vm.
 */
#include <string.h>
#include <sys/mman.h>

#include "helper.h"
#include "invalidate_limits.h"
#include "limits.h"
#include "team.h"

enum op { DONTNEED, MPROTECT, UNPROTECT, MUNMAP, MUNMAP_SPARSE, NOTHING };
/*
 * Of the pages, before each operation: written in Dune mode; only read there,
 * so that they are the zero page; written in plain mode; untouched.
 */
enum state { MAPPED, READ_ONLY, HOST_ONLY, EMPTY };

static const char *const op_names[] = {
	"dontneed", "mprotect", "unprotect", "munmap", "munmap_1t", "nothing",
};
static const char *const state_names[] = { "mapped", "read", "host", "none" };

struct scenario {
	enum op op;
	enum state state;
	int pages;
};

static const struct scenario scenarios[] = {
	{ NOTHING, EMPTY, 1 },
	{ DONTNEED, MAPPED, 1 },
	{ DONTNEED, HOST_ONLY, 1 },
	{ DONTNEED, EMPTY, 1 },
	{ DONTNEED, MAPPED, 64 },
	{ MPROTECT, MAPPED, 1 },
	{ UNPROTECT, MAPPED, 1 },
	/* Linux changes no entry, so it does not flush: it is all ours. */
	{ MPROTECT, READ_ONLY, 1 },
	{ MPROTECT, READ_ONLY, 64 },
	{ MUNMAP, MAPPED, 1 },
	{ MUNMAP_SPARSE, MAPPED, 8 },
};

/* Alone, or beside others; the initiator is on CPU 0. */
#define NOBODY "none"
static struct crowd crowds[] = {
	{ NOBODY, HELPER_BLOCK, 0, 0, 1 },
	{ "spin", HELPER_SPIN, 1, 1, 1 },
	{ "blocked", HELPER_BLOCK, 1, 1, 1 },
	{ "blocked7", HELPER_BLOCK, 7, 1, 1 },
	{ "blocked7same", HELPER_BLOCK, 7, 0, 1 },
	/* One on each other CPU; with two CPUs that is "spin". */
	{ SPIN_ALL, HELPER_SPIN, 0, 1, 0 },
};

/* Where no mmap() of a library puts anything, in the holes neither. */
#define AREA_BASE ((char *)0x200000000000)
#define SPARSE_SIZE (1024 * GIB)
#define SPARSE_BASE ((char *)0x100000000000)

/* One scenario as it runs. */
struct job {
	const struct scenario *what;
	const struct crowd *crowd;
	enum mode mode;
	bool from_guest;
	char *area;
	char *pages;		/* what the operation is on */
};

static char *sparse_page(const struct job *j, int i)
{
	return SPARSE_BASE + i * (SPARSE_SIZE / j->what->pages) + 5 * PAGE;
}

static char *page(const struct job *j, int i)
{
	return j->what->op == MUNMAP_SPARSE ? sparse_page(j, i) : j->pages + i * PAGE;
}

/* The mapping itself, where the operation takes it away or changes it. */
static void make_mapping(struct job *j)
{
	size_t size = j->what->pages * PAGE;

	switch (j->what->op) {
	case MUNMAP:
		map_at(j->pages, size, PROT_READ | PROT_WRITE);
		break;
	case MUNMAP_SPARSE:
		map_at(SPARSE_BASE, SPARSE_SIZE, PROT_NONE);
		for (int i = 0; i < j->what->pages; i++)
			MUST(sys_mprotect(page(j, i), PAGE, PROT_READ | PROT_WRITE) == 0);
		break;
	case MPROTECT:
	case UNPROTECT:
		MUST(sys_mprotect(j->pages, size, PROT_READ | PROT_WRITE) == 0);
		break;
	default:
		break;
	}
}

static void touch_all(const struct job *j)
{
	for (int i = 0; i < j->what->pages; i++)
		touch(page(j, i));
}

/* Reading maps the pages as they are now, in the EPT too. */
static void read_all(const struct job *j)
{
	for (int i = 0; i < j->what->pages; i++)
		(void)*(volatile char *)page(j, i);
}

/* In guest mode when there is one, so that the EPT has them. */
static void fill(const struct job *j)
{
	bool enter = j->mode == DUNE && !j->from_guest;

	if (enter)
		guest_enter();
	if (j->what->state == READ_ONLY)
		read_all(j);
	else
		touch_all(j);
	if (j->what->op == UNPROTECT) {
		MUST(sys_mprotect(j->pages, j->what->pages * PAGE, PROT_READ) == 0);
		read_all(j);
	}
	if (enter)
		guest_leave();
}

static void setup(void *arg, int rep)
{
	struct job *j = arg;

	make_mapping(j);
	if (j->what->state == HOST_ONLY)
		touch_all(j);
	else if (j->what->state != EMPTY)
		fill(j);
	helpers_settle();
}

static void op_dontneed(void *arg, int rep)
{
	struct job *j = arg;

	sys_madvise(j->pages, j->what->pages * PAGE, MADV_DONTNEED);
}

static void op_mprotect(void *arg, int rep)
{
	struct job *j = arg;

	sys_mprotect(j->pages, j->what->pages * PAGE, PROT_READ);
}

static void op_unprotect(void *arg, int rep)
{
	struct job *j = arg;

	sys_mprotect(j->pages, j->what->pages * PAGE, PROT_READ | PROT_WRITE);
}

static void op_munmap(void *arg, int rep)
{
	struct job *j = arg;

	sys_munmap(j->pages, j->what->pages * PAGE);
}

static void op_munmap_sparse(void *arg, int rep)
{
	sys_munmap(SPARSE_BASE, SPARSE_SIZE);
}

/* What measuring itself costs. */
static void op_nothing(void *arg, int rep)
{
}

static const step_fn op_fns[] = {
	[DONTNEED] = op_dontneed,
	[MPROTECT] = op_mprotect,
	[UNPROTECT] = op_unprotect,
	[MUNMAP] = op_munmap,
	[MUNMAP_SPARSE] = op_munmap_sparse,
	[NOTHING] = op_nothing,
};

/*
 * The pages in the middle of 2 MiB, with a neighbour that stays mapped: the
 * page-table page stays too. Mappings of their own get holes around them.
 */
static void prepare(struct job *j)
{
	size_t size = j->what->pages * PAGE;

	j->area = map_area_at(AREA_BASE, 2 * MIB);
	j->pages = j->area + MIB;
	touch(j->area);
	if (j->what->op == MPROTECT || j->what->op == UNPROTECT ||
	    j->what->op == MUNMAP)
		MUST(munmap(j->pages - PAGE, size + 2 * PAGE) == 0);
	if (j->what->op == MPROTECT || j->what->op == UNPROTECT)
		map_at(j->pages, size, PROT_READ | PROT_WRITE);
}

static void run_one(struct job *j)
{
	const struct scenario *what = j->what;
	int reps = options.reps;
	struct label label = {
		.mode = j->mode,
		.pages = what->pages,
		.vcpus = 1 + j->crowd->nr,
	};

	strcpy(label.op, op_names[what->op]);
	strcpy(label.state, state_names[what->state]);
	strcpy(label.who, j->crowd->name);
	strcpy(label.caller, j->from_guest ? "guest" : "plain");
	if (what->pages > 1)
		reps = reps / 4 > 20 ? reps / 4 : 20;
	if (j->mode == DUNE) {
		guest_enter();
		touch(j->area);
		if (!j->from_guest)
			guest_leave();
	}
	result_print(measure(&label, reps, setup, op_fns[what->op], j));
	if (j->from_guest) {
		MUST(dune_inside());
		guest_leave();
	}
}

/* Natively, then in the same process with a vm. */
static void run_scenario(const void *arg)
{
	struct job j = *(const struct job *)arg;

	prepare(&j);
	helpers_start(j.crowd, NATIVE);
	run_one(&j);
	helpers_stop();
	if (options.native_only)
		return;
	dune_on();
	j.mode = DUNE;
	helpers_start(j.crowd, DUNE);
	run_one(&j);
	/* The host alone cannot map a page from inside. */
	j.from_guest = true;
	if (j.what->state != HOST_ONLY)
		run_one(&j);
	helpers_stop();
}

static bool sensible(const struct scenario *s, const struct crowd *c)
{
	/* Many vCPUs and the large ones: only where a limit needs it. */
	if (!strncmp(c->name, "blocked7", 8))
		return s->op == DONTNEED && s->state != HOST_ONLY;
	if (!strcmp(c->name, SPIN_ALL))
		return c->nr > 1 && (s->op == DONTNEED || s->state == READ_ONLY);
	if (s->op == NOTHING || s->op == MUNMAP_SPARSE)
		return !strcmp(c->name, NOBODY);
	return true;
}

static void crowd_of_all_cpus(void)
{
	struct crowd *all = &crowds[sizeof(crowds) / sizeof(*crowds) - 1];

	all->nr = all->nr_cpus = nr_cpus - 1 < MAX_HELPERS ? nr_cpus - 1 : MAX_HELPERS;
}

static void run_all(void)
{
	char part[64];

	for (size_t s = 0; s < sizeof(scenarios) / sizeof(*scenarios); s++)
		for (size_t c = 0; c < sizeof(crowds) / sizeof(*crowds); c++) {
			struct job j = { &scenarios[s], &crowds[c], NATIVE };

			snprintf(part, sizeof(part), "%s-%s-%d-%s",
				 op_names[j.what->op], state_names[j.what->state],
				 j.what->pages, j.crowd->name);
			if (j.crowd->first_cpu < nr_cpus && wanted(part) &&
			    sensible(j.what, j.crowd))
				in_child(run_scenario, &j);
		}
}

static void nothing_to_prepare(volatile char *page)
{
}

static void give_back(volatile char *page)
{
	sys_madvise((char *)page, PAGE, MADV_DONTNEED);
}

struct sweep {
	enum layout layout;
	int vcpus;
};

/* All threads of the team at once: touch a page, give it back. */
static void run_sweep(const void *arg)
{
	const struct sweep *s = arg;
	const struct work work = {
		.layout = s->layout,
		.prepare = nothing_to_prepare,
		.before = touch,
		.op = give_back,
		.samples = ALL,		/* the others' interrupts are a part of it */
	};
	struct label label = { .op = "dontneed", .state = "mapped", .pages = 1,
			       .caller = "plain", .vcpus = s->vcpus };

	strcpy(label.who, layout_name(s->layout));
	result_print(team_measure(&label, &work));
	if (options.native_only)
		return;
	dune_on();
	label.mode = DUNE;
	strcpy(label.caller, "guest");
	result_print(team_measure(&label, &work));
}

static void run_sweeps(void)
{
	for (int layout = 0; layout < NR_LAYOUTS; layout++)
		for (int n = 1; n <= options.max_vcpus; n++) {
			struct sweep s = { layout, n };

			if (wanted(layout_name(layout)) && team_size_wanted(n))
				in_child(run_sweep, &s);
		}
}

int main(int argc, char **argv)
{
	bench_start(argc, argv,
		    "Cost of taking memory away from a process with an EPT.\n"
		    "Parts: OPERATION-STATE-PAGES-OTHERS, local, neighbour, shared.");
	results_init();
	crowd_of_all_cpus();
	run_all();
	run_sweeps();
	invalidate_limits();
	return limits_end();
}
