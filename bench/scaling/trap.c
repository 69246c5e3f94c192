// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What a trap costs that the program handles itself: the way to the handler, and
 * there and back with the smallest repair; fast and full handlers, beside a
 * signal's handler in plain Linux, alone and on several vCPUs at once. And a system
 * call and a trap of ring 3 under dune_user_run(), beside Linux' user dispatch,
 * which gives a program its own system calls as signals.
 */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <ucontext.h>
#include <unistd.h>

#include "limits.h"
#include "team.h"

/* Neither in a guest page table nor in Linux'. */
#define NOWHERE 0xffff800000001000ul

/* Instructions. */
#define ENTRY_MOST	60
#define FAST_MOST	150
#define FULL_MOST	300

enum by { BY_NATIVE, BY_FAST, BY_FULL, BY_RING3, NR_BY };

static struct label label_of(const char *op, enum by by)
{
	static const char *const who[NR_BY] = { "signal", "fast", "full", "ring3" };
	struct label label = {
		.mode = by == BY_NATIVE ? NATIVE : DUNE, .pages = 1, .vcpus = 1,
	};

	strcpy(label.op, op);
	strcpy(label.state, "none");
	strcpy(label.who, who[by]);
	strcpy(label.caller, by == BY_NATIVE ? "plain" : "guest");
	return label;
}

static const struct result *find(const char *op, enum by by)
{
	struct label like = label_of(op, by);

	return result_find(&like);
}

static uint64_t entered;
static char good;

/* The access is made again, where there is memory. */
DUNE_TRAP_FAST_FN static enum dune_trap_action on_fault_fast(struct dune_trap *trap, void *arg)
{
	entered = cost_now();
	trap->rdx = (uintptr_t)arg;
	return DUNE_TRAP_RESUME;
}

static enum dune_trap_action on_fault_full(struct dune_trap *trap, void *arg)
{
	entered = cost_now();
	trap->rdx = (uintptr_t)arg;
	return DUNE_TRAP_RESUME;
}

static void on_segv(int sig, siginfo_t *info, void *context)
{
	entered = cost_now();
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RDX] = (uintptr_t)&good;
}

static void op_nothing(void *arg, int rep)
{
}

static void op_fault(void *arg, int rep)
{
	asm volatile("movb (%0), %%al" : : "d"(NOWHERE) : "rax", "memory");
}

static void op_fault_entry(void *arg, int rep)
{
	uint64_t begun = cost_now();

	op_fault(arg, rep);
	measure_cost(entered - begun);
}

/* What measuring the entry adds: the handler is called. */
static void op_call_entry(void *arg, int rep)
{
	static enum dune_trap_action (*volatile handler)(struct dune_trap *, void *) = on_fault_fast;
	static struct dune_trap trap;
	enum dune_trap_action (*fn)(struct dune_trap *, void *) = handler;
	uint64_t begun = cost_now();

	fn(&trap, &good);
	measure_cost(entered - begun);
}

static void row(const char *op, enum by by, step_fn fn)
{
	struct label label = label_of(op, by);

	result_print(measure(&label, options.reps, op_nothing, fn, NULL));
}

static void handle_by(enum by by)
{
	struct sigaction sa = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO };

	if (by == BY_NATIVE) {
		MUST(sigaction(SIGSEGV, &sa, NULL) == 0);
		return;
	}
	dune_on();
	MUST(!dune_trap_register(DUNE_VECTOR_PF,
				 by == BY_FAST ? on_fault_fast : on_fault_full, &good,
				 by == BY_FAST ? DUNE_TRAP_FAST : 0));
}

static void run_single(const void *arg)
{
	enum by by = *(const enum by *)arg;

	handle_by(by);
	if (by != BY_NATIVE)
		guest_enter();
	row("nothing", by, op_nothing);
	row("call_entry", by, op_call_entry);
	row("fault_entry", by, op_fault_entry);
	row("fault", by, op_fault);
	if (by != BY_NATIVE) {
		MUST(dune_inside());
		guest_leave();
	}
}

/* ---- ring 3 ---- */

extern const char ring3_call[], ring3_trap[];
asm(".text\n"
    "ring3_call:\n"
    "	syscall\n"
    "	jmp	ring3_call\n"
    "ring3_trap:\n"
    "	ud2\n");

static void op_run(void *arg, int rep)
{
	struct dune_user *u = arg;

	u->reason = 0;
	dune_user_run(u);
}

static enum dune_user_action go_on(struct dune_user *u, void *arg)
{
	int *left = arg;

	return --*left ? DUNE_USER_CONTINUE : DUNE_USER_RETURN;
}

static void row_of_ring3(const char *op, const void *rip, uint32_t reason, void *xsave)
{
	struct dune_user u = {
		.regs.rip = (uintptr_t)rip, .regs.rflags = 2, .pkru = 0x55555554,
		.xsave = xsave,
	};
	struct label label = label_of(op, BY_RING3);

	result_print(measure(&label, options.reps, op_nothing, op_run, &u));
	MUST(u.reason == reason);
}

#define CALLS 10
static int calls_left;

static void set_calls(void *arg, int rep)
{
	calls_left = CALLS;
}

static void run_ring3(const void *unused)
{
	struct dune_user u = {
		.regs.rip = (uintptr_t)ring3_call, .regs.rflags = 2, .pkru = 0x55555554,
		.syscall = go_on, .arg = &calls_left,
	};
	struct label label = label_of("call_handled", BY_RING3);
	void *xsave;

	dune_on();
	xsave = aligned_alloc(64, (dune_user_xsave_size() + 63) & ~63ul);
	MUST(xsave);
	dune_user_xsave_init(xsave);
	label.ops = CALLS;
	guest_enter();
	row_of_ring3("call", ring3_call, DUNE_USER_SYSCALL, NULL);
	row_of_ring3("call_xsave", ring3_call, DUNE_USER_SYSCALL, xsave);
	row_of_ring3("trap", ring3_trap, DUNE_USER_TRAP, NULL);
	result_print(measure(&label, options.reps, set_calls, op_run, &u));
	MUST(dune_inside() && !calls_left);
	guest_leave();
}

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH	59
#define PR_SYS_DISPATCH_ON		1
#endif

static volatile char dispatch;		/* 1: calls are signals */

static void on_sigsys(int sig, siginfo_t *info, void *context)
{
	dispatch = 0;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX] = 0;
}

static void op_dispatched(void *arg, int rep)
{
	dispatch = 1;
	sys3(SYS_getppid, 0, 0, 0);
}

/* Nearest to it in Linux. */
static void run_dispatch(const void *unused)
{
	struct sigaction sa = { .sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO };

	MUST(sigaction(SIGSYS, &sa, NULL) == 0);
	MUST(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &dispatch) == 0);
	row("call", BY_NATIVE, op_dispatched);
}

/* ---- several vCPUs at once, each on a CPU of its own ---- */

struct at_once {
	enum by by;
	int vcpus;
};

static void page_nothing(volatile char *page)
{
}

static void page_fault(volatile char *page)
{
	op_fault(NULL, 0);
}

/* One vCPU alone is comparable with several only if it is not alone either. */
static void *sleeper(void *unused)
{
	for (;;)
		pause();
	return NULL;
}

static void run_at_once(const void *arg)
{
	const struct at_once *a = arg;
	const struct work work = {
		.layout = LOCAL,
		.prepare = page_nothing,
		.before = page_nothing,
		.op = page_fault,
		.samples = UNDISTURBED,
	};
	struct label label = label_of("fault", a->by);
	pthread_t thread;

	MUST(pthread_create(&thread, NULL, sleeper, NULL) == 0);
	handle_by(a->by);
	strcpy(label.state, "at_once");
	label.vcpus = a->vcpus;
	result_print(team_measure(&label, &work));
}

static const struct result *at_once(enum by by, int vcpus)
{
	struct label like = label_of("fault", by);

	strcpy(like.state, "at_once");
	like.vcpus = vcpus;
	return result_find(&like);
}

/* ---- limits ---- */

static void limit_fault(const char *what, enum by by, double most)
{
	const struct result *fault = find("fault", by), *nothing = find("nothing", by);
	const struct result *native = find("fault", BY_NATIVE);

	if (!fault || !nothing || !native)
		return;
	limit(what, fault->median - nothing->median, most,
	      native->median - nothing->median);
	limit_exact_of(what, "VM exits", event_per_op(fault, EVENTS_SELF + EMU_VMEXIT), 0);
}

static void limits_at_once(enum by by)
{
	const struct result *one = at_once(by, 1), *r;
	char what[64];

	for (int n = 2; one && n <= options.max_vcpus; n++) {
		r = at_once(by, n);
		if (!r)
			continue;
		snprintf(what, sizeof(what), "fault, %s, on %d vCPUs at once: mean", r->label.who, n);
		limit(what, r->mean, one->mean * 1.02, -1);
	}
}

/* No budget but this: that it pays. */
static void limits_ring3(const char *op)
{
	const struct result *r = find(op, BY_RING3), *native = find("call", BY_NATIVE);
	char what[64];

	if (!r || !native)
		return;
	snprintf(what, sizeof(what), "ring 3: %s, against user dispatch / 4", op);
	limit(what, r->median, native->median / 4.0, native->median);
	limit_exact_of(what, "VM exits", event_per_op(r, EVENTS_SELF + EMU_VMEXIT), 0);
}

static void limits(void)
{
	const struct result *entry = find("fault_entry", BY_FAST);
	const struct result *call = find("call_entry", BY_FAST);
	const struct result *native = find("fault_entry", BY_NATIVE);

	if (entry && call && native)
		limit("page fault to the handler's first instruction",
		      entry->median - call->median + 1, ENTRY_MOST,
		      native->median - call->median + 1);
	limit_fault("page fault, fast handler, repair and return", BY_FAST, FAST_MOST);
	limit_fault("page fault, full handler, repair and return", BY_FULL, FULL_MOST);
	limits_ring3("call");
	limits_ring3("call_handled");
	limits_at_once(BY_FAST);
	limits_at_once(BY_FULL);
}

int main(int argc, char **argv)
{
	bench_start(argc, argv,
		    "Cost of a page fault that the program handles itself, beside a\n"
		    "SIGSEGV handler in plain Linux, and of a call of ring 3.\n"
		    "Parts: single, ring3, at_once.");
	results_init();
	for (enum by by = BY_NATIVE; by <= BY_FULL; by++)
		if (wanted("single") && (by == BY_NATIVE || !options.native_only))
			in_child(run_single, &by);
	if (wanted("ring3")) {
		in_child(run_dispatch, NULL);
		if (!options.native_only)
			in_child(run_ring3, NULL);
	}
	for (enum by by = BY_NATIVE; by <= BY_FULL; by++)
		for (int n = 1; n <= options.max_vcpus; n++)
			if (wanted("at_once") && team_size_wanted(n) &&
			    (by == BY_NATIVE || !options.native_only))
				in_child(run_at_once, &(struct at_once){ by, n });
	limits();
	return limits_end();
}
