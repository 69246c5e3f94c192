/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * One operation, many repetitions: what it costs this CPU, and which events
 * it causes here, on the other CPUs, in the vm and in the vCPUs.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include "common.h"

/* Whose events. */
enum where { AT_SELF, AT_OTHERS, AT_VM, AT_VCPU, AT_VCPUS, NR_WHERE };

#define EVENTS_SELF 0
#define EVENTS_OTHERS (EVENTS_SELF + EMU_NR)
#define EVENTS_VM (EVENTS_OTHERS + EMU_NR)
#define EVENTS_VCPU (EVENTS_VM + DUNE_NR_VM_COUNTERS)
#define EVENTS_VCPUS (EVENTS_VCPU + DUNE_NR_VCPU_COUNTERS)
#define NR_EVENTS (EVENTS_VCPUS + DUNE_NR_VCPU_COUNTERS)

/* What was measured; a row of the table. */
struct label {
	char op[24];
	char state[12];		/* of the pages before: mapped, host, none */
	char who[16];		/* else in the process: none, spin, blocked... */
	char caller[8];		/* the operation is made in plain or guest mode */
	enum mode mode;
	int pages;
	int vcpus;
	int ops;		/* operations in a repetition; 0: one */
};

/*
 * Costs are those of the repetitions that no interrupt of this CPU disturbed
 * (of all, when fewer than a tenth are); events are medians and means of all.
 * The median of more repetitions is between low and high with a chance of 95 %.
 * Quiet repetitions are those with measure_own_begin() in which the CPU did nothing
 * but the operation: what else runs there may send IPIs. When there is none, more
 * repetitions are made, each after a sleep, until one is: for its IPIs alone.
 */
struct result {
	struct label label;
	int reps, clean;
	bool totals;		/* event[]: sums, event_mean[]: per operation */
	uint32_t min, median, max, p99, low, high;
	double mean;
	uint32_t event[NR_EVENTS];	/* medians, of whole repetitions */
	float event_mean[NR_EVENTS];	/* per operation */
	int quiet;
	uint32_t quiet_ipis;		/* median of this CPU's, in them; only if quiet > 0 */
};

/* The environment says that the machine has other load. */
bool beside_load(void);

/* Results live in memory shared with children, so the parent can judge. */
void results_init(void);
/* NULL when there is no such row. pages or vcpus 0: any. */
const struct result *result_find(const struct label *like);
void result_print(const struct result *r);

typedef void (*step_fn)(void *arg, int rep);
/* Repetitions before those that count, numbered from 0 as all are. */
#define WARM_UP 12

/*
 * setup() and op() reps times on this CPU, in the mode the caller is in; the
 * cost is op()'s alone, including an indirect call and two counter reads.
 */
const struct result *measure(const struct label *label, int reps,
			     step_fn setup, step_fn op, void *arg);

/* op() knows its cost better, because it waited or changed CPU: this is it. */
void measure_cost(uint64_t c);

/*
 * For an op() that waits for others at its end: setup() ends with the first, the
 * operation itself with the second. Events of this CPU and vCPU are those up to there.
 * threads: to how many the CPU goes in one operation, its own again included. Where
 * nothing counts events neither does anything.
 */
void measure_own_begin(void);
void measure_own_end(int threads);

/*
 * The same for an operation that somebody else makes and counts: sample()
 * makes one repetition, fills EVENTS_SELF of both snapshots, returns its cost.
 */
typedef uint64_t (*sample_fn)(void *arg, uint64_t before[NR_EVENTS],
			      uint64_t after[NR_EVENTS]);
const struct result *measure_samples(const struct label *label, int reps,
				     sample_fn sample, void *arg);

/* Median, of one operation. */
double event_per_op(const struct result *r, int event);

/* Read another thread's counters too, from its vCPU's page. */
void watch_vcpu(int vcpu_fd);
void watch_none(void);

/* By hand, for team.c. */
void snapshot(uint64_t v[NR_EVENTS]);
struct result *result_new(const struct label *label);
/* The costs of n operations; clean[i]: no interrupt disturbed it. Sorts. */
void result_costs(struct result *r, uint32_t *cost, const uint8_t *clean, int n);
/* Name of an event and whose it is. */
const char *event_name(int i, enum where *where);

static inline uint32_t event_all_cpus(const struct result *r, int emu)
{
	return r->event[EVENTS_SELF + emu] + r->event[EVENTS_OTHERS + emu];
}

#endif /* BENCH_MEASURE_H */
