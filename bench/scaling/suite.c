// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "suite.h"

#include <string.h>

#include "helper.h"
#include "limits.h"

#define BESIDE_MOST	40	/* repetitions */

struct job {
	const struct suite_op *op;
	enum mode mode;
	enum layout layout;		/* at once */
	int vcpus;
	enum suite_beside beside;	/* alone, beside others */
};

static const char *const beside_names[NR_BESIDE] = { "runs_near", "runs_far" };

/* One thread is comparable with several only if it is not alone either. */
static const struct crowd sleeper = { "sleeps", HELPER_BLOCK, 1, 0, 1 };

static struct label label_of(const struct suite_op *op, const char *who, enum mode mode,
			     int vcpus)
{
	struct label label = { .mode = mode, .vcpus = vcpus };

	label.pages = op->group ? op->group : 1;
	snprintf(label.op, sizeof(label.op), "%s", op->name);
	snprintf(label.state, sizeof(label.state), "%s", op->by);
	snprintf(label.who, sizeof(label.who), "%s", who);
	strcpy(label.caller, mode == DUNE ? "guest" : "plain");
	return label;
}

struct label suite_team_label(const struct suite_op *op, enum layout layout, int vcpus,
			      enum mode mode)
{
	return label_of(op, layout_name(layout), mode, vcpus);
}

struct label suite_beside_label(const struct suite_op *op, enum suite_beside beside,
				enum mode mode)
{
	return label_of(op, beside_names[beside], mode, options.max_vcpus);
}

void suite_clear_elsewhere(void)
{
	char *area = suite_elsewhere(team_near());

	for (int i = 0; i < options.max_vcpus; i++)
		MUST(dune_vm_unmap(NULL, area + i * GIB, GIB) == 0);
	MUST(dune_vm_map(NULL, area, PAGE, (void *)team_near(), DUNE_R, DUNE_VM_4K) == 0);
}

volatile char *suite_near_elsewhere(void)
{
	return suite_elsewhere(team_near());
}

static void nothing(volatile char *page)
{
}

/* --reps are all that a thread makes in the rounds that count. */
static int ops_in_round(const struct suite_op *op)
{
	int groups = TEAM_PAGES / (op->group ? op->group : 1);
	int wanted = (options.reps + TEAM_ROUNDS - 1) / TEAM_ROUNDS;

	return wanted < groups ? wanted : groups;
}

/* Where others have a part in it, all count. */
static int samples_of(const struct job *j)
{
	return j->layout == SHARED || j->op->flat >= NOT_FLAT ? ALL : UNDISTURBED;
}

static struct work work_of(const struct job *j)
{
	const struct suite_way *way = j->op->way[j->mode];

	return (struct work){
		.layout = j->layout,
		.prepare = way->prepare ? way->prepare : nothing,
		.before = way->before ? way->before : nothing,
		.op = way->op,
		.samples = samples_of(j),
		.group = j->op->group,
		.costs = OF_AN_OPERATION,
		.ops = ops_in_round(j->op),
		.begin = way->begin,
		.end = way->end,
	};
}

static void setup_process(const struct job *j)
{
	const struct suite_way *way = j->op->way[j->mode];

	if (j->mode == DUNE)
		dune_on();
	if (way->setup)
		way->setup();
}

static void run_team(const void *arg)
{
	const struct job *j = arg;
	struct label label = suite_team_label(j->op, j->layout, j->vcpus, j->mode);
	struct work work = work_of(j);

	setup_process(j);
	helpers_start(&sleeper, NATIVE);
	result_print(team_measure(&label, &work));
	helpers_stop();
}

/* ---- one thread beside others ---- */

struct solo {
	struct work work;
	const struct suite_protocol *protocol;
	volatile char *next;
};

static void solo_setup(void *arg, int rep)
{
	struct solo *s = arg;
	int group = s->work.group ? s->work.group : 1;

	s->next = team_page(rep * group % TEAM_PAGES);
	s->work.before(s->next);
	helpers_settle();
	measure_own_begin();
}

/* What the others do because of it belongs to it as well: their flush comes later. */
static void solo_op(void *arg, int rep)
{
	struct solo *s = arg;
	uint64_t begun = cost_now();

	s->work.op(s->next);
	measure_cost(cost_now() - begun);
	if (s->protocol->sent == IPIS_ARE_OURS)
		measure_own_end(s->protocol->threads);
	helpers_settle();
}

static volatile char *near_of(const struct job *j)
{
	const struct suite_way *way = j->op->way[j->mode];

	return way->near ? way->near() : team_near();
}

static void run_beside(const void *arg)
{
	const struct job *j = arg;
	struct label label = suite_beside_label(j->op, j->beside, j->mode);
	struct solo solo = { .work = work_of(j), .protocol = j->op->protocol };
	const struct crowd crowd = {
		"runs", HELPER_SPIN, options.max_vcpus - 1, 1, options.max_vcpus - 1,
	};

	int reps = options.reps < BESIDE_MOST ? options.reps : BESIDE_MOST;

	solo.work.layout = APART;
	setup_process(j);
	team_open(&solo.work, j->mode, 1);
	if (crowd.nr) {
		helpers_read(j->beside == BESIDE_NEAR ? near_of(j) : team_far());
		helpers_start(&crowd, j->mode);
	} else {
		helpers_start(&sleeper, NATIVE);
	}
	team_prepare();
	result_print(measure(&label, reps, solo_setup, solo_op, &solo));
	if (solo.work.end)
		solo.work.end(0);
	if (j->mode == DUNE) {
		MUST(dune_inside());
		guest_leave();
	}
	helpers_stop();
	team_close();
}

/* ---- all ---- */

static void both_modes(void (*run)(const void *job), struct job *j)
{
	for (j->mode = NATIVE; j->mode <= DUNE; j->mode++)
		if (j->op->way[j->mode] && (j->mode == NATIVE || !options.native_only))
			in_child(run, j);
}

static void run_layout(const struct suite_op *op, enum layout layout)
{
	struct job j = { .op = op, .layout = layout };
	char part[64];

	snprintf(part, sizeof(part), "%s-%s-%s", op->name, op->by, layout_name(layout));
	if (!(op->layouts & SUITE_IN(layout)) || !wanted(part))
		return;
	for (j.vcpus = 1; j.vcpus <= options.max_vcpus; j.vcpus++)
		if (team_size_wanted(j.vcpus))
			both_modes(run_team, &j);
}

static void run_op_beside(const struct suite_op *op, enum suite_beside beside)
{
	struct job j = { .op = op, .beside = beside };
	char part[64];

	snprintf(part, sizeof(part), "%s-%s-%s", op->name, op->by, beside_names[beside]);
	/* The EPT is the process's: where the others are makes no difference to it. */
	if (beside == BESIDE_FAR && strcmp(op->by, BY_DUNE))
		return;
	if (op->protocol && wanted(part))
		both_modes(run_beside, &j);
}

int suite_main(int argc, char **argv, const char *about, const struct suite_op *ops,
	       int nr)
{
	bench_start(argc, argv, about);
	results_init();
	for (int i = 0; i < nr; i++) {
		for (int layout = 0; layout <= APART; layout++)
			run_layout(&ops[i], layout);
		for (int beside = 0; beside < NR_BESIDE; beside++)
			run_op_beside(&ops[i], beside);
	}
	suite_limits(ops, nr);
	return limits_end();
}
