// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What it costs to change the program's own page table, and whom it disturbs:
 * dune_vm_protect() and dune_vm_unmap() of some pages in Dune mode, alone and beside
 * threads that run, sleep or poll, which use the same page, the same GiB or another
 * one; beside mprotect() and munmap() in plain Linux.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "helper.h"
#include "limits.h"

/* Instructions: what holds, and what is aimed at. Of 512 pages nothing is asked. */
#define ONE_GOAL	250
#define ONE_MOST	150
#define MANY_MOST	900	/* of 64 pages */
#define BLOCKED_MOST	235	/* it has run since, so it is told anew */
#define POLLING_MOST	500	/* the caller waits for its next look */
#define ONE_KICK_MOST	1500

#define RW		(DUNE_R | DUNE_W)

enum op { NOTHING, PROTECT, UNPROTECT, UNMAP };
static const char *const op_names[] = { "nothing", "protect", "unprotect", "unmap" };

/* What the others use: the changed pages, others of the same GiB, of another one. */
enum near { SHARED, NEIGHBOUR, LOCAL };
static const char *const near_names[] = { "shared", "neighbour", "local" };

#define NOBODY		"none"
static struct crowd crowds[] = {
	{ NOBODY, HELPER_BLOCK, 0, 0, 1 },
	{ "spin", HELPER_SPIN, 1, 1, 1 },
	{ "blocked", HELPER_BLOCK, 1, 1, 1 },
	{ "poll", HELPER_POLL, 1, 1, 1 },
	/* One on each other CPU; with two CPUs those are the ones above. */
	{ "spinall", HELPER_SPIN, 0, 1, 0 },
	{ "pollall", HELPER_POLL, 0, 1, 0 },
};
#define NR_CROWDS	(sizeof(crowds) / sizeof(*crowds))

static const int sizes[] = { 1, 32, 64, 512 };
#define NR_SIZES	(sizeof(sizes) / sizeof(*sizes))

#define AREA_BASE	((char *)0x200000000000)
#define AREA_SIZE	(2 * GIB)
/* With a whole table before and behind, that no change touches. */
#define PAGES_AT	(4 * MIB)
#define NEIGHBOUR_AT	(64 * MIB)
#define LOCAL_AT	GIB

struct job {
	enum op op;
	int pages;
	enum near near;
	const struct crowd *crowd;
	enum mode mode;
};

static char *const pages = AREA_BASE + PAGES_AT;

static size_t size_of(const struct job *j)
{
	return j->pages * PAGE;
}

static const volatile char *used_by_others(enum near near)
{
	switch (near) {
	case NEIGHBOUR: return AREA_BASE + NEIGHBOUR_AT;
	case LOCAL: return AREA_BASE + LOCAL_AT;
	default: return pages;
	}
}

static void touch_pages(const struct job *j)
{
	for (int i = 0; i < j->pages; i++)
		touch(pages + i * PAGE);
}

/* ---- Dune ---- */

static void dune_setup(void *arg, int rep)
{
	const struct job *j = arg;

	if (j->op == UNMAP) {
		int err = dune_vm_map(NULL, pages, size_of(j), pages, RW, DUNE_VM_4K);

		/* The first time it is there, as everything is. */
		MUST(err == 0 || err == -EEXIST);
	} else {
		MUST(dune_vm_protect(NULL, pages, size_of(j), RW) == 0);
	}
	touch_pages(j);
	if (j->op == UNPROTECT)
		MUST(dune_vm_protect(NULL, pages, size_of(j), DUNE_R) == 0);
	helpers_settle();
}

static void dune_op(void *arg, int rep)
{
	const struct job *j = arg;

	if (j->op == PROTECT)
		dune_vm_protect(NULL, pages, size_of(j), DUNE_R);
	else if (j->op == UNPROTECT)
		dune_vm_protect(NULL, pages, size_of(j), RW);
	else if (j->op == UNMAP)
		dune_vm_unmap(NULL, pages, size_of(j));
}

/* Who reads the page while it is not mapped tries again, and goes on polling. */
DUNE_TRAP_FAST_FN static enum dune_trap_action try_again(struct dune_trap *trap, void *arg)
{
	dune_vm_poll();
	return DUNE_TRAP_RESUME;
}

/* ---- plain Linux ---- */

static void linux_setup(void *arg, int rep)
{
	const struct job *j = arg;

	if (j->op == UNMAP && rep)
		map_area_at(pages, size_of(j));
	else
		MUST(sys_mprotect(pages, size_of(j), PROT_READ | PROT_WRITE) == 0);
	touch_pages(j);
	if (j->op == UNPROTECT)
		MUST(sys_mprotect(pages, size_of(j), PROT_READ) == 0);
	helpers_settle();
}

static void linux_op(void *arg, int rep)
{
	const struct job *j = arg;

	if (j->op == PROTECT)
		sys_mprotect(pages, size_of(j), PROT_READ);
	else if (j->op == UNPROTECT)
		sys_mprotect(pages, size_of(j), PROT_READ | PROT_WRITE);
	else if (j->op == UNMAP)
		sys_munmap(pages, size_of(j));
}

/* ---- both ---- */

static struct label label_of(const struct job *j)
{
	struct label label = { .mode = j->mode, .pages = j->pages, .vcpus = 1 + j->crowd->nr };

	strcpy(label.op, op_names[j->op]);
	strcpy(label.state, near_names[j->near]);
	strcpy(label.who, j->crowd->name);
	strcpy(label.caller, j->mode == DUNE ? "guest" : "plain");
	return label;
}

static void run(const void *arg)
{
	struct job j = *(const struct job *)arg;
	struct label label = label_of(&j);
	int reps = j.pages > 100 && options.reps > 40 ? 40 : options.reps;

	map_area_at(AREA_BASE, AREA_SIZE);
	touch((char *)used_by_others(j.near));
	if (j.mode == DUNE) {
		dune_on();
		MUST(!dune_trap_register(DUNE_VECTOR_PF, try_again, NULL, DUNE_TRAP_FAST));
		guest_enter();
		/* As small pages, and in the EPT, before anybody reads them. */
		dune_setup(&j, 0);
	}
	/* In plain Linux nobody may read what is unmapped. */
	if (j.mode == DUNE || j.near != SHARED || j.op != UNMAP)
		helpers_read(used_by_others(j.near));
	helpers_start(j.crowd, j.mode);
	result_print(measure(&label, reps, j.mode == DUNE ? dune_setup : linux_setup,
			     j.mode == DUNE ? dune_op : linux_op, &j));
	if (j.mode == DUNE) {
		MUST(dune_inside());
		/* Who still reads an unmapped page never hears of the end. */
		dune_setup(&j, 0);
	}
	helpers_stop();
	if (j.mode == DUNE)
		guest_leave();
}

static bool sensible(const struct job *j)
{
	bool all = !strcmp(j->crowd->name, "spinall") || !strcmp(j->crowd->name, "pollall");

	if (j->crowd->first_cpu >= nr_cpus || (all && j->crowd->nr < 2))
		return false;
	if (j->mode == NATIVE && j->crowd->kind == HELPER_POLL)
		return false;
	if (j->op == NOTHING || !j->crowd->nr)
		return j->near == SHARED && (j->op != NOTHING || (j->pages == 1 && !j->crowd->nr));
	/* Only where the others are changes with the way there. */
	if (j->op == UNPROTECT || j->near != SHARED)
		return j->pages == 1;
	return true;
}

static void run_all(void)
{
	char part[80];

	for (enum op op = NOTHING; op <= UNMAP; op++)
	for (size_t s = 0; s < NR_SIZES; s++)
	for (enum near near = SHARED; near <= LOCAL; near++)
	for (size_t c = 0; c < NR_CROWDS; c++)
	for (enum mode mode = NATIVE; mode <= DUNE; mode++) {
		struct job j = { op, sizes[s], near, &crowds[c], mode };

		snprintf(part, sizeof(part), "%s-%d-%s-%s", op_names[op], sizes[s],
			 near_names[near], crowds[c].name);
		if (wanted(part) && sensible(&j) && (mode == NATIVE || !options.native_only))
			in_child(run, &j);
	}
}

/* ---- limits ---- */

static const struct result *find(enum op op, int nr, enum near near, const struct crowd *crowd,
				 enum mode mode)
{
	struct label like = label_of(&(struct job){ op, nr, near, crowd, mode });

	return result_find(&like);
}

/* One hypercall, and one kick for each that runs and may remember: no more. */
static void limit_kicks(const struct result *r, const char *name, long kicked)
{
	char what[120];

	snprintf(what, sizeof(what), "%s: vCPUs kicked", name);
	limit_exact(what, vcpus_counter(r, DUNE_VCPU_kicks_sent), kicked);
	snprintf(what, sizeof(what), "%s: hypercalls", name);
	limit_exact(what, event_per_op(r, EVENTS_VCPU + DUNE_VCPU_hypercalls),
		    kicked ? 1 : 0);
}

/* Instructions, for one other thread at most. */
static void limit_cost(const char *name, const struct result *r, bool kicks, double own)
{
	const struct label *l = &r->label;
	double most = l->pages == 1 ? ONE_MOST : MANY_MOST, cost = r->median - own;
	double aimed = l->pages == 1 ? ONE_GOAL : MANY_MOST;

	if (l->vcpus > 2 || l->pages > 64 || (l->pages > 1 && (kicks || l->vcpus > 1)))
		return;
	goal(name, cost, kicks ? ONE_KICK_MOST : aimed);
	if (kicks)
		most = limit_6_1(ONE_KICK_MOST);
	else if (l->vcpus > 1 && !strcmp(l->op, op_names[PROTECT]) &&
		 strcmp(l->state, near_names[LOCAL]))
		most = strcmp(l->who, "poll") ? BLOCKED_MOST : POLLING_MOST;
	limit(name, cost, most, -1);
}

static void limit_op(enum op op, int nr, enum near near, const struct crowd *crowd)
{
	const struct result *r = find(op, nr, near, crowd, DUNE);
	const struct result *nothing = find(NOTHING, 1, SHARED, &crowds[0], DUNE);
	bool kicks = crowd->kind == HELPER_SPIN && near != LOCAL && op != UNPROTECT;
	char name[80];

	if (!r)
		return;
	snprintf(name, sizeof(name), "%s of %d, %s, %s", op_names[op], nr, near_names[near],
		 crowd->name);
	if (nothing && op != UNMAP && crowd->kind != HELPER_POLL)
		limit_cost(name, r, kicks, nothing->median);
	limit_kicks(r, name, kicks ? crowd->nr : 0);
}

static void limits(void)
{
	for (enum op op = PROTECT; op <= UNMAP; op++)
		for (size_t s = 0; s < NR_SIZES; s++)
			for (enum near near = SHARED; near <= LOCAL; near++)
				for (size_t c = 0; c < NR_CROWDS; c++)
					limit_op(op, sizes[s], near, &crowds[c]);
}

int main(int argc, char **argv)
{
	bench_start(argc, argv,
		    "Cost of changing the program's own page table, and whom it disturbs.\n"
		    "Parts: OPERATION-PAGES-WHERE-OTHERS; protect, unprotect, unmap; 1, 32, 64,\n"
		    "512; the others use what is shared, neighbour (the same GiB), local; none,\n"
		    "spin, blocked, poll, spinall, pollall.");
	results_init();
	for (size_t c = NR_CROWDS - 2; c < NR_CROWDS; c++)
		crowds[c].nr = crowds[c].nr_cpus =
			nr_cpus <= MAX_HELPERS ? nr_cpus - 1 : MAX_HELPERS;
	run_all();
	limits();
	return limits_end();
}
