// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The two loops of Appel and Li, what garbage collectors and distributed memory do
 * with page protection: per page, by several threads at once, each in a heap of its
 * own; beside mprotect() and a SIGSEGV handler in plain Linux.
 *
 * appel1: write to a protected page; the handler unprotects it and protects another.
 * appel2: protect many pages in one call, write to each; the handler unprotects it.
 * And one fault alone: the page is looked up, gets the right, the handler returns.
 * The handlers give by dune_trap_allow().
 */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "limits.h"
#include "team.h"

/* Instructions for a page: what holds, and what is aimed at. */
#define FAULT_MOST	135
#define FAULT_GOAL	150
#define FULL_MOST	220
#define FULL_GOAL	300
#define APPEL1_MOST	240
#define APPEL1_GOAL	240
#define APPEL2_MOST	155
#define APPEL2_GOAL	160

#define GROUP		40	/* pages of one appel2 */

#define RW		(DUNE_R | DUNE_W)

enum loop { NOTHING, FAULT, FAULT_FULL, APPEL1, APPEL2, NR_LOOPS };
static const char *const loop_names[] = {
	"nothing", "fault", "fault_full", "appel1", "appel2",
};

/* What the calling thread's handler protects, the last it unprotected; NULL: none. */
static __thread void *victim;
static __thread long traps;
static enum loop loop;

#define PAGE_OF(addr)	((void *)((addr) & ~(PAGE - 1)))

/* ---- Dune ---- */

/* libdune looks the page up, gives it the right, and returns. */
DUNE_TRAP_FAST_FN static enum dune_trap_action on_fault(struct dune_trap *trap, void *arg)
{
	traps++;
	return dune_trap_allow(DUNE_W);
}

DUNE_TRAP_FAST_FN static enum dune_trap_action on_appel1(struct dune_trap *trap, void *arg)
{
	traps++;
	if (victim && dune_vm_protect(NULL, victim, PAGE, DUNE_R))
		return DUNE_TRAP_DELIVER;
	victim = PAGE_OF(trap->fault_addr);
	return dune_trap_allow(DUNE_W);
}

static void dune_unprotect(volatile char *page, size_t size)
{
	MUST(dune_vm_protect(NULL, (void *)page, size, RW) == 0);
}

static void dune_protect(volatile char *page, size_t size)
{
	MUST(dune_vm_protect(NULL, (void *)page, size, DUNE_R) == 0);
}

/* ---- plain Linux ---- */

static void on_segv(int sig, siginfo_t *info, void *context)
{
	void *page = PAGE_OF((uintptr_t)info->si_addr);

	traps++;
	if (sys_mprotect(page, PAGE, PROT_READ | PROT_WRITE) ||
	    (victim && sys_mprotect(victim, PAGE, PROT_READ)))
		_exit(1);
	if (loop == APPEL1)
		victim = page;
}

static void linux_unprotect(volatile char *page, size_t size)
{
	MUST(sys_mprotect((void *)page, size, PROT_READ | PROT_WRITE) == 0);
}

static void linux_protect(volatile char *page, size_t size)
{
	MUST(sys_mprotect((void *)page, size, PROT_READ) == 0);
}

/* ---- both ---- */

static const struct way {
	void (*protect)(volatile char *page, size_t size);
	void (*unprotect)(volatile char *page, size_t size);
} ways[] = {
	[NATIVE] = { linux_protect, linux_unprotect },
	[DUNE] = { dune_protect, dune_unprotect },
};
static const struct way *way;

static void page_nothing(volatile char *page)
{
}

/* It may be protected from the round before. Where it is written, both levels have it. */
static void before_appel1(volatile char *page)
{
	way->unprotect(page, PAGE);
	touch(page);
	if (victim == page)
		victim = NULL;
	way->protect(page, PAGE);
	traps = 0;
}

static void op_appel1(volatile char *page)
{
	touch(page);
}

static void before_appel2(volatile char *page)
{
	way->unprotect(page, GROUP * PAGE);
	for (int i = 0; i < GROUP; i++)
		touch(page + i * PAGE);
}

static void op_appel2(volatile char *page)
{
	way->protect(page, GROUP * PAGE);
	for (int i = 0; i < GROUP; i++)
		touch(page + i * PAGE);
}

static const struct work works[NR_LOOPS] = {
	[NOTHING] = { .before = page_nothing, .op = page_nothing },
	[FAULT] = { .before = before_appel1, .op = op_appel1 },
	[FAULT_FULL] = { .before = before_appel1, .op = op_appel1 },
	[APPEL1] = { .before = before_appel1, .op = op_appel1 },
	[APPEL2] = { .before = before_appel2, .op = op_appel2, .group = GROUP },
};

struct job {
	enum loop loop;
	enum layout layout;
	enum mode mode;
	int vcpus;
};

static struct label label_of(const struct job *j)
{
	struct label label = { .mode = j->mode, .pages = 1, .vcpus = j->vcpus };

	strcpy(label.op, loop_names[j->loop]);
	strcpy(label.state, "heaps");
	strcpy(label.who, layout_name(j->layout));
	strcpy(label.caller, j->mode == DUNE ? "guest" : "plain");
	return label;
}

static void handle_faults(enum mode mode)
{
	struct sigaction sa = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO };

	if (mode == NATIVE) {
		MUST(sigaction(SIGSEGV, &sa, NULL) == 0);
		return;
	}
	dune_on();
	MUST(!dune_trap_register(DUNE_VECTOR_PF, loop == APPEL1 ? on_appel1 : on_fault, NULL,
				 loop == FAULT_FULL ? 0 : DUNE_TRAP_FAST));
}

/* One thread is comparable with several only if it is not alone either. */
static void *sleeper(void *unused)
{
	for (;;)
		pause();
	return NULL;
}

static void run(const void *arg)
{
	const struct job *j = arg;
	struct work work = works[j->loop];
	struct label label = label_of(j);
	pthread_t thread;

	work.layout = j->layout;
	work.prepare = page_nothing;
	work.samples = UNDISTURBED;
	way = &ways[j->mode];
	loop = j->loop;
	MUST(pthread_create(&thread, NULL, sleeper, NULL) == 0);
	handle_faults(j->mode);
	result_print(team_measure(&label, &work));
	/* The last operation is one that was measured: it did trap. */
	MUST(j->loop == NOTHING || traps);
}

/* ---- limits ---- */

static const struct result *find(enum loop l, enum layout layout, enum mode mode, int vcpus)
{
	struct label like = label_of(&(struct job){ l, layout, mode, vcpus });

	return result_find(&like);
}

static void limit_loop(enum loop l, enum layout layout, int vcpus)
{
	static const struct { double most, goal; } of[NR_LOOPS] = {
		[FAULT] = { FAULT_MOST, FAULT_GOAL },
		[FAULT_FULL] = { FULL_MOST, FULL_GOAL },
		[APPEL1] = { APPEL1_MOST, APPEL1_GOAL },
		[APPEL2] = { APPEL2_MOST, APPEL2_GOAL },
	};
	const struct result *r = find(l, layout, DUNE, vcpus);
	const struct result *nothing = find(NOTHING, layout, DUNE, vcpus);
	const struct result *native = find(l, layout, NATIVE, vcpus);
	double own;
	char what[80];

	if (!r || !nothing || !native)
		return;
	own = nothing->median / (l == APPEL2 ? GROUP : 1.0);
	snprintf(what, sizeof(what), "%s, %d threads, heaps %s: a page", loop_names[l], vcpus,
		 layout_name(layout));
	goal(what, r->median - own, of[l].goal);
	/* In one GiB they are kicked for each other, more or less often. */
	if (layout == APART || vcpus == 1)
		limit(what, r->median - own, of[l].most, native->median - own);
	if (layout == APART)
		limit_exact_of(what, "vCPUs kicked", vcpus_counter(r, DUNE_VCPU_kicks_sent), 0);
}

static const enum layout layouts[] = { APART, LOCAL };
#define NR_HEAPS (sizeof(layouts) / sizeof(*layouts))

static void limits(void)
{
	for (size_t i = 0; i < NR_HEAPS; i++)
		for (enum loop l = FAULT; l < NR_LOOPS; l++)
			for (int n = 1; n <= options.max_vcpus; n++)
				limit_loop(l, layouts[i], n);
}

static void run_all(enum loop l, enum layout layout)
{
	for (int n = 1; n <= options.max_vcpus; n++)
		for (enum mode mode = NATIVE; mode <= DUNE; mode++) {
			struct job j = { l, layout, mode, n };

			if (team_size_wanted(n) && (mode == NATIVE || !options.native_only))
				in_child(run, &j);
		}
}

int main(int argc, char **argv)
{
	char part[40];

	bench_start(argc, argv,
		    "Cost of a write barrier by page protection, per page, by threads with\n"
		    "heaps of their own: 1 GiB apart, or 64 MiB (local).\n"
		    "Parts: OPERATION-apart, OPERATION-local; nothing, fault, fault_full, appel1,\n"
		    "appel2. Limits need nothing's of the same heaps.");
	results_init();
	for (size_t i = 0; i < NR_HEAPS; i++)
		for (enum loop l = NOTHING; l < NR_LOOPS; l++) {
			snprintf(part, sizeof(part), "%s-%s", loop_names[l], layout_name(layouts[i]));
			if (wanted(part))
				run_all(l, layouts[i]);
		}
	limits();
	return limits_end();
}
