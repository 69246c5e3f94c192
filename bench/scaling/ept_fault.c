// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What a page costs on its first access in Dune mode: mapped by the host
 * already (an EPT violation and no more), or by nobody yet; natively the
 * latter in the same process before it has a vm.
 */
#include <string.h>
#include <sys/mman.h>

#include "limits.h"
#include "team.h"

/* Page 0 of each 2 MiB is touched before: its table pages are there. */
#define PER_TABLE 511

struct job {
	char *area;
	volatile char *next;
};

static volatile char *page(const struct job *j, int rep)
{
	return j->area + rep / PER_TABLE * 2 * MIB + (rep % PER_TABLE + 1) * PAGE;
}

static void find_page(void *arg, int rep)
{
	struct job *j = arg;

	j->next = page(j, rep);
}

static void op_touch(void *arg, int rep)
{
	touch(((struct job *)arg)->next);
}

/* An exit that the module answers at once: what a fault costs beyond that. */
static void op_cpuid(void *arg, int rep)
{
	unsigned int a = 0, b, c = 0, d;

	asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
}

static size_t area_size(void)
{
	return ((options.reps + WARM_UP) / PER_TABLE + 1) * 2 * MIB;
}

/* A GiB of its own for each measurement, where nothing else is mapped. */
static char *area_base(void)
{
	static uintptr_t next = 0x200000000000;

	next += GIB;
	return (char *)next;
}

static void make_tables(const struct job *j)
{
	for (size_t i = 0; i < area_size(); i += 2 * MIB)
		touch(j->area + i);
}

static void run_one(enum mode mode, const char *op, const char *state)
{
	step_fn fn = strcmp(op, "cpuid") ? op_touch : op_cpuid;
	struct job j = { map_area_at(area_base(), area_size()) };
	struct label label = { .mode = mode, .pages = 1, .vcpus = 1 };

	strcpy(label.op, op);
	strcpy(label.state, state);
	strcpy(label.who, "none");
	strcpy(label.caller, mode == DUNE ? "guest" : "plain");
	make_tables(&j);
	if (!strcmp(state, "host"))
		for (int rep = 0; rep < options.reps + WARM_UP; rep++)
			touch(page(&j, rep));
	if (mode == DUNE) {
		guest_enter();
		make_tables(&j);
	}
	result_print(measure(&label, options.reps, find_page, fn, &j));
	if (mode == DUNE) {
		MUST(dune_inside());
		guest_leave();
	}
	/* How many mappings there are is part of a fault's cost. */
	MUST(munmap(j.area, area_size()) == 0);
}

static void run_single(const void *unused)
{
	run_one(NATIVE, "cpuid", "none");
	run_one(NATIVE, "touch", "none");
	if (options.native_only)
		return;
	dune_on();
	run_one(DUNE, "cpuid", "none");
	run_one(DUNE, "touch", "host");
	run_one(DUNE, "touch", "none");
}

static void leave_alone(volatile char *page)
{
}

/* Before the access. */
enum pages { MAPPED_BY_HOST, MAPPED_BY_NOBODY };

/* A row of the sweep: so many vCPUs fault at once. */
struct sweep {
	enum layout layout;
	enum pages pages;
	int vcpus;
};

static struct label sweep_label(const struct sweep *s, enum mode mode)
{
	struct label label = { .mode = mode, .pages = 1, .vcpus = s->vcpus };

	strcpy(label.op, "fault");
	strcpy(label.state, s->pages == MAPPED_BY_HOST ? "host" : "none");
	strcpy(label.who, layout_name(s->layout));
	strcpy(label.caller, mode == DUNE ? "guest" : "plain");
	return label;
}

static void run_sweep(const void *arg)
{
	const struct sweep *s = arg;
	const struct work work = {
		.layout = s->layout,
		.prepare = s->pages == MAPPED_BY_HOST ? touch : leave_alone,
		.before = leave_alone,
		.op = touch,
		.samples = UNDISTURBED,
	};
	struct label label = sweep_label(s, NATIVE);

	/* Natively there is nothing left to do for a page that is there. */
	if (s->pages == MAPPED_BY_NOBODY)
		result_print(team_measure(&label, &work));
	if (options.native_only)
		return;
	dune_on();
	label = sweep_label(s, DUNE);
	result_print(team_measure(&label, &work));
}

static void run_sweeps(void)
{
	for (int pages = 0; pages < 2; pages++)
		for (int layout = 0; layout < NR_LAYOUTS; layout++)
			for (int n = 1; n <= options.max_vcpus; n++) {
				struct sweep s = { layout, pages, n };

				if (wanted(layout_name(layout)) &&
				    team_size_wanted(n))
					in_child(run_sweep, &s);
			}
}

static const struct result *single(const char *state, enum mode mode)
{
	struct label like = { .op = "touch", .who = "none", .mode = mode };

	strcpy(like.state, state);
	strcpy(like.caller, mode == DUNE ? "guest" : "plain");
	return result_find(&like);
}

static void limits_single(void)
{
	const struct result *present = single("host", DUNE);
	const struct result *first = single("none", DUNE);
	double native;

	if (!present || !first)
		return;
	limit("EPT violation, page mapped by the host", present->median,
	      limit_6_1(800), -1);
	limit_exact_of("EPT violation, page mapped by the host", "VM exits",
		       present->event[EVENTS_SELF + EMU_VMEXIT], 1);
	native = single("none", NATIVE)->median;
	limit("first touch of anonymous memory", first->median,
	      limit_here(3900, 2910, native), native);
}

/* Rows of one vCPU, and of several in regions of their own. */
struct local {
	const struct result *one, *all;
	double linux_adds;	/* to the mean, natively */
};

static const char *say(const struct result *r, const char *what)
{
	static char text[128];

	snprintf(text, sizeof(text), "%d vCPUs, %s, pages mapped by %s: %s",
		 r->label.vcpus, r->label.who,
		 strcmp(r->label.state, "host") ? "nobody" : "the host", what);
	return text;
}

/* No waiting for each other: as cheap as alone, no lock met, no retry. */
static void limits_local(const struct local *l)
{
	const struct result *r = l->all;

	limit(say(r, "median, against one vCPU + 5 %"), r->median,
	      l->one->median * 1.05, -1);
	limit(say(r, "mean, against one vCPU + 5 % + what plain Linux adds"),
	      r->mean, l->one->mean * 1.05 + l->linux_adds, -1);
	limit_exact(say(r, "retries"), vcpus_counter(r, DUNE_VCPU_ept_retries), 0);
	if (counters_named(r, "contended") < 0)
		limit_unknown(say(r, "contended locks"), "the module has no counter for it");
	else
		limit_exact(say(r, "contended locks"), counters_named(r, "contended"), 0);
}

static void limits_shared(const struct result *r)
{
	limit_exact(say(r, "installs"), vm_counter(r, DUNE_VM_ept_installed), TEAM_OPS);
	limit_exact(say(r, "spurious faults"),
		    vcpus_counter(r, DUNE_VCPU_ept_spurious),
		    vcpus_counter(r, DUNE_VCPU_ept_faults) - TEAM_OPS);
}

static const struct result *sweep_row(enum layout layout, enum pages pages, int vcpus,
				      enum mode mode)
{
	struct sweep s = { layout, pages, vcpus };
	struct label like = sweep_label(&s, mode);

	return result_find(&like);
}

static void limits_sweep(enum pages pages)
{
	for (int n = 2; n <= options.max_vcpus; n++) {
		const struct result *shared = sweep_row(SHARED, pages, n, DUNE);
		struct local l = {
			.one = sweep_row(LOCAL, pages, 1, DUNE),
			.all = sweep_row(LOCAL, pages, n, DUNE),
		};

		if (l.all && pages == MAPPED_BY_NOBODY)
			l.linux_adds = sweep_row(LOCAL, pages, n, NATIVE)->mean -
				       sweep_row(LOCAL, pages, 1, NATIVE)->mean;
		if (l.linux_adds < 0)
			l.linux_adds = 0;
		if (l.one && l.all && n <= 4)
			limits_local(&l);
		if (shared)
			limits_shared(shared);
	}
}

int main(int argc, char **argv)
{
	bench_start(argc, argv,
		    "Cost of a page's first access in Dune mode, alone and at once.\n"
		    "Parts: single, local, neighbour, shared.");
	results_init();
	if (wanted("single"))
		in_child(run_single, NULL);
	run_sweeps();
	limits_single();
	limits_sweep(MAPPED_BY_HOST);
	limits_sweep(MAPPED_BY_NOBODY);
	return limits_end();
}
