// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "measure.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "quantile.h"
#include "switches.h"

#define MAX_RESULTS 400
#define MAX_REPS 420
#define MAX_WATCHED 64
/* So many times the repetitions, at most, until one is quiet. */
#define TRIES 10

struct results {
	int nr;
	struct result r[MAX_RESULTS];
};
static struct results *results;

static int emu_used[EMU_NR], nr_emu_used;
static const uint64_t *watched[MAX_WATCHED];
static int nr_watched;

/* Of the measurement that runs: written between repetitions. */
static uint32_t cost[MAX_REPS], own_cost;
static uint32_t delta[MAX_REPS][NR_EVENTS];
static bool quiet[MAX_REPS];
static uint64_t before[NR_EVENTS], after[NR_EVENTS];

/* Of the repetition that runs. */
static struct {
	uint64_t switches;	/* before it */
	bool ended, alone;
	bool rested;		/* it begins with a sleep */
	uint64_t events[NR_EVENTS];
} own;

void results_init(void)
{
	results = mmap(NULL, sizeof(*results), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	MUST(results != MAP_FAILED);
	for (int i = 0; i < EMU_NR; i++)
		if (i != EMU_INSN && (i < EMU_NR_NAMED || i >= EMU_EXIT_BASE))
			emu_used[nr_emu_used++] = i;
}

static bool matches(const struct label *a, const struct label *like)
{
	return !strcmp(a->op, like->op) && !strcmp(a->state, like->state) &&
	       !strcmp(a->who, like->who) && !strcmp(a->caller, like->caller) &&
	       a->mode == like->mode && (!like->pages || a->pages == like->pages) &&
	       (!like->vcpus || a->vcpus == like->vcpus);
}

const struct result *result_find(const struct label *like)
{
	for (int i = 0; i < results->nr; i++)
		if (matches(&results->r[i].label, like))
			return &results->r[i];
	return NULL;
}

struct result *result_new(const struct label *label)
{
	struct result *r;

	MUST(results->nr < MAX_RESULTS);
	r = &results->r[results->nr++];
	r->label = *label;
	return r;
}

void watch_vcpu(int vcpu_fd)
{
	struct dune_vcpu_page *page;

	page = mmap(NULL, DUNE_VCPU_PAGE_SIZE, PROT_READ, MAP_SHARED, vcpu_fd, 0);
	MUST(page != MAP_FAILED && nr_watched < MAX_WATCHED);
	watched[nr_watched++] = (const uint64_t *)page->counters;
}

void watch_none(void)
{
	while (nr_watched)
		munmap((void *)((uintptr_t)watched[--nr_watched] & ~(PAGE - 1)),
		       DUNE_VCPU_PAGE_SIZE);
}

static void snapshot_dune(uint64_t *v)
{
	struct dune_stats stats;
	int i, k;

	memset(v + EVENTS_VM, 0, (NR_EVENTS - EVENTS_VM) * sizeof(*v));
	if (dune_stats(&stats))
		return;
	memcpy(v + EVENTS_VM, stats.vm, sizeof(stats.vm));
	memcpy(v + EVENTS_VCPU, stats.vcpu, sizeof(stats.vcpu));
	for (k = 0; k < nr_watched; k++)
		for (i = 0; i < DUNE_NR_VCPU_COUNTERS; i++)
			v[EVENTS_VCPUS + i] += watched[k][i];
}

static void snapshot_cpu(uint64_t *v, unsigned int cpu)
{
	for (int k = 0; k < nr_emu_used; k++)
		v[emu_used[k]] += emucount_read(cpu, emu_used[k]);
}

static void snapshot_others(uint64_t *v)
{
	/* Asked once: measuring threads are pinned. */
	static __thread int self = -1;

	if (self < 0)
		self = sched_getcpu();
	for (int cpu = 0; cpu < nr_cpus; cpu++)
		if (cpu != self)
			snapshot_cpu(v + EVENTS_OTHERS, cpu);
}

/* This CPU's counters are read next to the operation. */
static void snapshot_before(uint64_t *v)
{
	memset(v, 0, 2 * EMU_NR * sizeof(*v));
	snapshot_dune(v);
	if (have_emucount) {
		snapshot_others(v);
		snapshot_cpu(v + EVENTS_SELF, EMUCOUNT_SELF);
	}
}

static void snapshot_after(uint64_t *v)
{
	memset(v, 0, 2 * EMU_NR * sizeof(*v));
	if (have_emucount) {
		snapshot_cpu(v + EVENTS_SELF, EMUCOUNT_SELF);
		snapshot_others(v);
	}
	snapshot_dune(v);
}

void snapshot(uint64_t v[NR_EVENTS])
{
	snapshot_before(v);
}

/* How one repetition is made: in this thread's mode, or by somebody else. */
struct sampling {
	step_fn setup, op;
	sample_fn sample;
	void *arg;
};

static int label_ops(const struct label *label)
{
	return label->ops ? label->ops : 1;
}

double event_per_op(const struct result *r, int event)
{
	return (double)(int32_t)r->event[event] / label_ops(&r->label);
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static bool disturbed(const uint32_t *d)
{
	return d[EVENTS_SELF + EMU_EXTINT] || d[EVENTS_SELF + EMU_EXIT(1)];
}

void result_costs(struct result *r, uint32_t *cost, const uint8_t *clean, int n)
{
	double sum = 0;
	int i, kept = 0;

	for (i = 0; i < n; i++)
		kept += clean[i];
	r->reps = n;
	r->clean = kept;
	if (kept && kept >= n / 10) {
		for (kept = 0, i = 0; i < n; i++)
			if (clean[i])
				cost[kept++] = cost[i];
		n = kept;
	}
	for (i = 0; i < n; i++)
		sum += cost[i];
	qsort(cost, n, sizeof(*cost), by_value);
	r->min = cost[0];
	r->median = cost[n / 2];
	r->max = cost[n - 1];
	r->p99 = quantile_p99(cost, n);
	quantile_median_bounds(cost, n, &r->low, &r->high);
	r->mean = sum / n;
}

static void sum_up_quiet(struct result *r, int reps)
{
	uint32_t v[MAX_REPS];

	for (int k = 0; k < reps; k++)
		if (quiet[k])
			v[r->quiet++] = delta[k][EVENTS_SELF + EMU_IPI];
	qsort(v, r->quiet, sizeof(*v), by_value);
	if (r->quiet)
		r->quiet_ipis = v[r->quiet / 2];
}

static void sum_up(struct result *r, int reps)
{
	uint8_t clean[MAX_REPS];
	uint32_t v[MAX_REPS];
	double sum;
	int i, k;

	for (k = 0; k < reps; k++)
		clean[k] = !disturbed(delta[k]);
	result_costs(r, cost, clean, reps);
	for (i = 0; i < NR_EVENTS; i++) {
		for (sum = 0, k = 0; k < reps; k++) {
			v[k] = delta[k][i];
			sum += (int32_t)v[k] / (double)label_ops(&r->label);
		}
		qsort(v, reps, sizeof(*v), by_value);
		r->event[i] = v[reps / 2];
		r->event_mean[i] = sum / reps;
	}
}

void measure_cost(uint64_t c)
{
	own_cost = c;
}

/*
 * After a long wait for others it is another thread's turn on this CPU, whenever the
 * operation sleeps: let that one have it before.
 */
static void rest(void)
{
	static const struct timespec some_ticks = { .tv_nsec = 20000000 };

	sys3(SYS_nanosleep, (long)&some_ticks, 0, 0);
}

/* An interrupt while it is read may switch after what was read. */
void measure_own_begin(void)
{
	uint64_t irqs;

	if (!have_emucount)
		return;
	if (own.rested)
		rest();
	do {
		irqs = interrupts_now();
		own.switches = switches_here();
	} while (interrupts_now() != irqs);
}

/* The count of switches last: reading it makes system calls. */
void measure_own_end(int threads)
{
	if (!have_emucount)
		return;
	memset(own.events, 0, sizeof(own.events));
	snapshot_cpu(own.events + EVENTS_SELF, EMUCOUNT_SELF);
	snapshot_dune(own.events);
	own.alone = switches_here() - own.switches == (uint64_t)threads;
	own.ended = true;
}

/* What came after the operation's end is not its own. */
static void take_own_events(void)
{
	if (!own.ended)
		return;
	memcpy(after + EVENTS_SELF, own.events + EVENTS_SELF, EMU_NR * sizeof(*after));
	memcpy(after + EVENTS_VCPU, own.events + EVENTS_VCPU,
	       DUNE_NR_VCPU_COUNTERS * sizeof(*after));
}

static uint64_t sample_here(const struct sampling *s, int rep)
{
	uint64_t t0, t1;

	own_cost = 0;
	own.ended = own.alone = false;
	s->setup(s->arg, rep);
	snapshot_before(before);
	t0 = cost_now();
	s->op(s->arg, rep);
	t1 = cost_now();
	snapshot_after(after);
	take_own_events();
	return own_cost ? own_cost : t1 - t0;
}

static void store_delta(uint32_t d[NR_EVENTS])
{
	for (int i = 0; i < NR_EVENTS; i++)
		d[i] = after[i] - before[i];
}

bool beside_load(void)
{
	return getenv("DUNE_BESIDE");
}

/* Beyond those that count, until one is quiet. */
static void wait_for_quiet(struct result *r, int reps, const struct sampling *s)
{
	uint32_t d[NR_EVENTS];

	own.rested = true;
	for (int k = reps; !r->quiet && k < reps * TRIES; k++) {
		sample_here(s, k + WARM_UP);
		store_delta(d);
		if (own.alone && !disturbed(d)) {
			r->quiet = 1;
			r->quiet_ipis = d[EVENTS_SELF + EMU_IPI];
		}
	}
	own.rested = false;
}

static const struct result *measure_by(const struct label *label, int reps,
				       const struct sampling *s)
{
	struct result *r = result_new(label);
	uint64_t c;

	MUST(reps <= MAX_REPS);
	memset(cost, 0, sizeof(cost));
	memset(delta, 0, sizeof(delta));
	for (int k = -WARM_UP; k < reps; k++) {
		c = s->sample ? s->sample(s->arg, before, after) :
				sample_here(s, k + WARM_UP);
		if (k < 0)
			continue;
		cost[k] = c / label_ops(label);
		store_delta(delta[k]);
		quiet[k] = own.alone && !disturbed(delta[k]);
	}
	sum_up(r, reps);
	sum_up_quiet(r, reps);
	if (own.ended && !r->quiet && beside_load())
		wait_for_quiet(r, reps, s);
	return r;
}

const struct result *measure(const struct label *label, int reps,
			     step_fn setup, step_fn op, void *arg)
{
	const struct sampling s = { .setup = setup, .op = op, .arg = arg };

	return measure_by(label, reps, &s);
}

const struct result *measure_samples(const struct label *label, int reps,
				     sample_fn sample, void *arg)
{
	const struct sampling s = { .sample = sample, .arg = arg };

	return measure_by(label, reps, &s);
}

static const char *emu_name(int i)
{
	static char name[64];

	if (i < EMU_NR_NAMED) {
		snprintf(name, sizeof(name), "%s", emucount_name(i));
	} else if (emucount_exit_name(i - EMU_EXIT_BASE)) {
		snprintf(name, sizeof(name), "exit:%s",
			 emucount_exit_name(i - EMU_EXIT_BASE));
	} else {
		snprintf(name, sizeof(name), "exit:%d", i - EMU_EXIT_BASE);
	}
	for (char *c = name; *c; c++)
		if (*c == ' ')
			*c = '_';
	return name;
}

const char *event_name(int i, enum where *where)
{
	if (i < EVENTS_VM) {
		*where = i < EVENTS_OTHERS ? AT_SELF : AT_OTHERS;
		return emu_name(i % EMU_NR);
	}
	if (i < EVENTS_VCPU) {
		*where = AT_VM;
		return dune_vm_counter_name(i - EVENTS_VM);
	}
	*where = i < EVENTS_VCPUS ? AT_VCPU : AT_VCPUS;
	return dune_vcpu_counter_name((i - EVENTS_VCPU) % DUNE_NR_VCPU_COUNTERS);
}

void result_print(const struct result *r)
{
	static const char *const names[NR_WHERE] = {
		"self", "others", "vm", "vcpu", "vcpus",
	};
	const struct label *l = &r->label;
	enum where where;

	printf("result op=%s pages=%d state=%s who=%s caller=%s mode=%s vcpus=%d reps=%d clean=%d min=%u median=%u mean=%.1f max=%u p99=%u low=%u high=%u quiet=%d\n",
	       l->op, l->pages, l->state, l->who, l->caller, mode_name(l->mode),
	       l->vcpus, r->reps, r->clean, r->min, r->median, r->mean, r->max,
	       r->p99, r->low, r->high, r->quiet);
	for (int i = 0; i < NR_EVENTS; i++) {
		const char *name = event_name(i, &where);

		if (r->event_mean[i] != 0)
			printf("event at=%s name=%s %s=%g mean=%.4f\n",
			       names[where], name, r->totals ? "total" : "median",
			       r->totals ? (int32_t)r->event[i] : event_per_op(r, i),
			       r->event_mean[i]);
	}
}
