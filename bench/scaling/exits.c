// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What a way out of the guest and back costs: hypercall, CPUID, system call,
 * MSR, EPT violation, interrupt, change of CPU, switch of threads; beside plain
 * Linux and a KVM guest in the same boot, and on several vCPUs at once.
 */
#include "exits.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "limits.h"
#include "team.h"

struct exits_facts *facts;

struct label exits_label(const char *op, enum exits_by by)
{
	static const struct {
		const char *who, *caller;
		enum mode mode;
	} systems[NR_EXITS_BY] = {
		[BY_NATIVE] = { "linux", "plain", NATIVE },
		[BY_FAST] = { "dune", "guest", DUNE },
		[BY_REISSUE] = { "reissue", "guest", DUNE },
		[BY_KVM] = { "kvm", "guest", KVM },
	};
	struct label label = { .mode = systems[by].mode, .pages = 1, .vcpus = 1 };

	strcpy(label.op, op);
	strcpy(label.state, "none");
	strcpy(label.who, systems[by].who);
	strcpy(label.caller, systems[by].caller);
	return label;
}

const struct result *exits_find(const char *op, enum exits_by by)
{
	struct label like = exits_label(op, by);

	return result_find(&like);
}

void op_nothing(void *arg, int rep)
{
}

void op_hypercall(void *arg, int rep)
{
	unsigned long rax = DUNE_HC_NOP;

	asm volatile("vmcall" : "+a"(rax) : : "memory");
}

void op_cpuid(void *arg, int rep)
{
	unsigned int a = 0, b, c = 0, d;

	asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
}

void op_getppid(void *arg, int rep)
{
	sys3(SYS_getppid, 0, 0, 0);
}

/* Not passed through: the TSC has an instruction of its own. */
static void op_rdmsr(void *arg, int rep)
{
	unsigned int lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(0x10));
}

static void op_touch(void *arg, int rep)
{
	touch((char *)arg + (rep + 1) * PAGE);
}

static void row(const char *op, enum exits_by by, step_fn fn, void *arg)
{
	struct label label = exits_label(op, by);

	result_print(measure(&label, options.reps, op_nothing, fn, arg));
}

/* A 2 MiB region that the host has mapped and the EPT has not, but a table. */
static char *host_pages(void)
{
	char *area = map_area_at((char *)0x200000000000, 2 * MIB);

	for (unsigned long i = 0; i < 2 * MIB; i += PAGE)
		touch(area + i);
	return area;
}

static int fast_counter(void)
{
	for (int i = 0; i < DUNE_NR_VCPU_COUNTERS; i++)
		if (!strcmp(dune_vcpu_counter_name(i), "fast_syscalls"))
			return i;
	return -1;
}

/* Where does getppid end up? Asked of the module, not guessed from the cost. */
static void probe_getppid(enum exits_by by, const struct dune_vcpu_page *page)
{
	int i = fast_counter();
	long before;

	if (i < 0)
		return;
	before = page->counters[i];
	for (int k = 0; k < PROBE_CALLS; k++)
		op_getppid(NULL, k);
	facts->fast_calls[by] = page->counters[i] - before;
	facts->fast_probed[by] = true;
}

/* The page is there from the first entry on. */
static const struct dune_vcpu_page *vcpu_page(void)
{
	void *page;

	guest_enter();
	guest_leave();
	page = mmap(NULL, DUNE_VCPU_PAGE_SIZE, PROT_READ, MAP_SHARED, dune_vcpu_fd(), 0);
	MUST(page != MAP_FAILED);
	return page;
}

static void dune_on_by(enum exits_by by)
{
	MUST(setenv("DUNE_SYSCALLS", by == BY_REISSUE ? "reissue" : "fast", 1) == 0);
	dune_on();
}

static void run_single_native(const void *unused)
{
	row("nothing", BY_NATIVE, op_nothing, NULL);
	row("getppid", BY_NATIVE, op_getppid, NULL);
}

static void run_single_fast(const void *unused)
{
	const struct dune_vcpu_page *page;
	char *area = host_pages();

	dune_on_by(BY_FAST);
	page = vcpu_page();
	guest_enter();
	row("nothing", BY_FAST, op_nothing, NULL);
	row("hypercall", BY_FAST, op_hypercall, NULL);
	row("cpuid", BY_FAST, op_cpuid, NULL);
	row("getppid", BY_FAST, op_getppid, NULL);
	probe_getppid(BY_FAST, page);
	row("rdmsr", BY_FAST, op_rdmsr, NULL);
	touch(area);
	row("ept_violation", BY_FAST, op_touch, area);
	MUST(dune_inside());
	guest_leave();
}

static void run_single_reissue(const void *unused)
{
	const struct dune_vcpu_page *page;

	dune_on_by(BY_REISSUE);
	page = vcpu_page();
	guest_enter();
	row("getppid", BY_REISSUE, op_getppid, NULL);
	probe_getppid(BY_REISSUE, page);
	MUST(dune_inside());
	guest_leave();
}

static void run_moves(const void *arg)
{
	enum exits_by by = *(const enum exits_by *)arg;

	if (by != BY_NATIVE)
		dune_on_by(by);
	exits_moves(by);
}

static void run_pinned(const void *arg)
{
	enum exits_by by = *(const enum exits_by *)arg;

	if (by != BY_NATIVE)
		dune_on_by(by);
	exits_pinned(by);
}

/* ---- several vCPUs at once, each on a CPU of its own ---- */

static void page_nothing(volatile char *page)
{
}

static void page_hypercall(volatile char *page)
{
	op_hypercall(NULL, 0);
}

static void page_cpuid(volatile char *page)
{
	op_cpuid(NULL, 0);
}

static void page_getppid(volatile char *page)
{
	op_getppid(NULL, 0);
}

struct at_once {
	const char *op;
	void (*fn)(volatile char *page);
	enum exits_by by;
	int vcpus;
};

/*
 * Linux makes each call a little dearer in a process of several threads: so
 * that one vCPU alone is comparable, it is not alone.
 */
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
		.op = a->fn,
		.samples = UNDISTURBED,
	};
	struct label label = exits_label(a->op, a->by);
	pthread_t thread;

	MUST(pthread_create(&thread, NULL, sleeper, NULL) == 0);
	if (a->by != BY_NATIVE)
		dune_on_by(a->by);
	strcpy(label.state, "at_once");
	label.vcpus = a->vcpus;
	result_print(team_measure(&label, &work));
}

static void run_all_at_once(void)
{
	static const struct at_once rows[] = {
		{ "hypercall", page_hypercall, BY_FAST },
		{ "cpuid", page_cpuid, BY_FAST },
		{ "getppid", page_getppid, BY_NATIVE },
		{ "getppid", page_getppid, BY_FAST },
		{ "getppid", page_getppid, BY_REISSUE },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (options.native_only && rows[i].by != BY_NATIVE)
			continue;
		for (int n = 1; n <= options.max_vcpus; n++) {
			struct at_once a = rows[i];

			a.vcpus = n;
			if (team_size_wanted(n))
				in_child(run_at_once, &a);
		}
	}
}

/* Natively and in Dune mode; in reissue mode where a system call is part of it. */
static void run_in_each(void (*fn)(const void *arg))
{
	for (enum exits_by by = BY_NATIVE; by <= BY_REISSUE; by++)
		if (by == BY_NATIVE || !options.native_only)
			in_child(fn, &by);
}

int main(int argc, char **argv)
{
	bench_start(argc, argv,
		    "Cost of an exit from Dune mode and back, and of following a thread,\n"
		    "beside plain Linux and, with /dev/kvm, a KVM guest in the same boot.\n"
		    "Parts: kvm, single, moves, pinned, at_once.");
	results_init();
	facts = mmap(NULL, sizeof(*facts), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(facts != MAP_FAILED);
	/* First: VT-x is KVM's while its guest lives, ours while a vm does. */
	if (wanted("kvm") && !options.native_only)
		in_child(kvm_exits, NULL);
	if (wanted("single")) {
		in_child(run_single_native, NULL);
		if (!options.native_only) {
			in_child(run_single_fast, NULL);
			in_child(run_single_reissue, NULL);
		}
	}
	if (wanted("moves"))
		run_in_each(run_moves);
	if (wanted("pinned"))
		run_in_each(run_pinned);
	if (wanted("at_once"))
		run_all_at_once();
	exits_limits();
	return limits_end();
}
