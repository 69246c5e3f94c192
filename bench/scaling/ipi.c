// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * One thread calls another and is called back: by interrupts between threads in
 * Dune mode, and by a signal, an eventfd and a futex in plain Linux. The called one
 * computes, or sleeps where the way is made for that.
 *
 * A round trip's cost is what both CPUs executed meanwhile: of a thread that waits
 * by looking, its waiting too, so a round trip between two that run counts twice.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "limits.h"

#define VECTOR_CALL	0x81
#define VECTOR_BACK	0x82

enum by { BY_IPI, BY_SIGNAL, BY_EVENTFD, BY_FUTEX, NR_BY };

/* Each side's on a page of its own. */
static struct side {
	volatile unsigned int called;	/* times */
	volatile int ready;
	volatile int tid;
	volatile dune_ipi_id id;
	int event;
	volatile uint32_t word;		/* futex */
} __attribute__((aligned(4096))) caller, callee;
static volatile int stop __attribute__((aligned(4096)));

static uint64_t both_cpus(void)
{
	if (!have_emucount)
		return clock_ns();
	return emucount_read(place_cpu(0), EMU_INSN) + emucount_read(place_cpu(1), EMU_INSN);
}

/* ---- interrupts of Dune ---- */

DUNE_TRAP_FAST_FN static enum dune_trap_action on_call(struct dune_trap *trap, void *arg)
{
	callee.called++;
	dune_ipi_send(caller.id, VECTOR_BACK);
	return DUNE_TRAP_RESUME;
}

DUNE_TRAP_FAST_FN static enum dune_trap_action on_back(struct dune_trap *trap, void *arg)
{
	caller.called++;
	return DUNE_TRAP_RESUME;
}

static void ipi_begin(struct side *side)
{
	guest_enter();
	side->id = dune_ipi_self();
}

static void ipi_call(void)
{
	dune_ipi_send(callee.id, VECTOR_CALL);
}

static void wait_by_looking(struct side *side, unsigned int times)
{
	while (side->called == times && !stop)
		asm volatile("pause");
}

/* ---- signals ---- */

static void on_call_signal(int sig)
{
	callee.called++;
	sys3(SYS_tgkill, getpid(), caller.tid, SIGUSR2);
}

static void on_back_signal(int sig)
{
	caller.called++;
}

static void signal_begin(struct side *side)
{
	signal(SIGUSR1, on_call_signal);
	signal(SIGUSR2, on_back_signal);
}

static void signal_call(void)
{
	sys3(SYS_tgkill, getpid(), callee.tid, SIGUSR1);
}

/* ---- eventfd, futex: who waits sleeps ---- */

static void event_begin(struct side *side)
{
	side->event = eventfd(0, 0);
	MUST(side->event >= 0);
}

static void event_wake(struct side *side)
{
	uint64_t one = 1;

	MUST(sys3(SYS_write, side->event, (long)&one, 8) == 8);
}

static void event_call(void)
{
	event_wake(&callee);
}

static void event_back(void)
{
	event_wake(&caller);
}

static void event_wait(struct side *side, unsigned int times)
{
	uint64_t value;

	MUST(sys3(SYS_read, side->event, (long)&value, 8) == 8);
	side->called++;
}

static void futex_begin(struct side *side)
{
	side->word = 0;
}

static void futex_wake(struct side *side)
{
	side->word = 1;
	sys3(SYS_futex, (long)&side->word, FUTEX_WAKE_PRIVATE, 1);
}

static void futex_call(void)
{
	futex_wake(&callee);
}

static void futex_back(void)
{
	futex_wake(&caller);
}

static void futex_wait(struct side *side, unsigned int times)
{
	while (!side->word)
		syscall(SYS_futex, &side->word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	side->word = 0;
	side->called++;
}

/* ---- all ---- */

static const struct way {
	const char *name;
	void (*begin)(struct side *side);
	void (*call)(void);
	void (*wait)(struct side *side, unsigned int times);
	void (*back)(void);		/* NULL: wait()'s handler has done it */
} ways[NR_BY] = {
	[BY_IPI] = { "ipi", ipi_begin, ipi_call, wait_by_looking, NULL },
	[BY_SIGNAL] = { "signal", signal_begin, signal_call, wait_by_looking, NULL },
	[BY_EVENTFD] = { "eventfd", event_begin, event_call, event_wait, event_back },
	[BY_FUTEX] = { "futex", futex_begin, futex_call, futex_wait, futex_back },
};
static const struct way *way;

static void *callee_main(void *arg)
{
	pin_to(1);
	callee.tid = gettid();
	way->begin(&callee);
	callee.ready = 1;
	for (unsigned int times = 0; !stop; times++) {
		way->wait(&callee, times);
		if (way->back && !stop)
			way->back();
	}
	if (dune_inside())
		guest_leave();
	return NULL;
}

static void op_nothing(void *arg, int rep)
{
}

/* Both are where they wait: halted, or in their loop. */
static void settle(void *arg, int rep)
{
	uint64_t halts;

	if (!way->back || !have_emucount)
		return;
	halts = emucount_read(place_cpu(1), EMU_HLT);
	for (int i = 0; i < 100000 && emucount_read(place_cpu(1), EMU_HLT) == halts; i++)
		asm volatile("pause");
}

static void op_send(void *arg, int rep)
{
	unsigned int times = caller.called;
	uint64_t begun = cost_now(), cost;

	way->call();
	cost = cost_now() - begun;
	way->wait(&caller, times);
	measure_cost(cost);
}

static void op_round_trip(void *arg, int rep)
{
	unsigned int times = caller.called;
	uint64_t begun = both_cpus();

	way->call();
	way->wait(&caller, times);
	measure_cost(both_cpus() - begun);
}

static struct label label_of(const char *op, enum by by)
{
	struct label label = {
		.mode = by == BY_IPI ? DUNE : NATIVE, .pages = 1, .vcpus = 2,
	};

	strcpy(label.op, op);
	strcpy(label.state, "none");
	strcpy(label.who, ways[by].name);
	strcpy(label.caller, by == BY_IPI ? "guest" : "plain");
	return label;
}

static void row(const char *op, enum by by, step_fn fn)
{
	struct label label = label_of(op, by);

	result_print(measure(&label, options.reps, settle, fn, NULL));
}

static void run(const void *arg)
{
	enum by by = *(const enum by *)arg;
	pthread_t thread;

	way = &ways[by];
	caller.tid = gettid();
	if (by == BY_IPI) {
		dune_on();
		MUST(!dune_trap_register(VECTOR_CALL, on_call, NULL, DUNE_TRAP_FAST));
		MUST(!dune_trap_register(VECTOR_BACK, on_back, NULL, DUNE_TRAP_FAST));
	}
	MUST(pthread_create(&thread, NULL, callee_main, NULL) == 0);
	while (!callee.ready)
		sched_yield();
	way->begin(&caller);
	row("nothing", by, op_nothing);
	row("send", by, op_send);
	row("round_trip", by, op_round_trip);
	stop = 1;
	way->call();
	pthread_join(thread, NULL);
	if (by == BY_IPI)
		guest_leave();
}

/* No budget but this: that it pays. */
static void limits(void)
{
	struct label like = label_of("round_trip", BY_IPI);
	const struct result *ipi = result_find(&like), *r;
	char what[64];

	for (enum by by = BY_SIGNAL; ipi && by < NR_BY; by++) {
		like = label_of("round_trip", by);
		r = result_find(&like);
		if (!r)
			continue;
		snprintf(what, sizeof(what), "round trip by interrupts, against %s", ways[by].name);
		limit(what, ipi->median, r->median, r->median);
	}
}

int main(int argc, char **argv)
{
	bench_start(argc, argv,
		    "Cost of calling another thread and being called back, and of the call\n"
		    "alone. Parts: ipi, signal, eventfd, futex.");
	results_init();
	for (enum by by = BY_IPI; by < NR_BY; by++)
		if (nr_cpus > 1 && wanted(ways[by].name) &&
		    (by != BY_IPI || !options.native_only))
			in_child(run, &by);
	limits();
	return limits_end();
}
