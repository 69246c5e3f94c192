// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Threads that interrupt each other while they work: `mix` computes, sends to its
 * neighbour, sometimes to all, protects a page of its own, sometimes sleeps; `unicast`
 * and `multicast` send to each of the others, which compute, one by one and at once.
 * dune_ipi_send() and dune_ipi_multicast() in Dune mode, tgkill() natively. At the end
 * each interrupt that was sent has had its handler run, once.
 */
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "helper.h"
#include "suite.h"

#define VECTOR		0x71
#define MULTI_EACH	4	/* turns of mix */
#define SLEEP_EACH	8
#define SLEEP_NS	20000
#define COMPUTE		64	/* steps of a turn */
#define MAX_THREADS	16
#define PATIENCE	(1 << 28)

/* Who can be sent to; each on a page of its own. */
static struct {
	volatile dune_ipi_id id;
	volatile int tid;
} __attribute__((aligned(4096))) members[MAX_THREADS];
static volatile uint64_t taken __attribute__((aligned(64)));
static volatile uint64_t sent __attribute__((aligned(64)));
static volatile int ended __attribute__((aligned(64)));

static __thread int self;
static __thread unsigned int turn;

/* ---- interrupts ---- */

DUNE_TRAP_FAST_FN static enum dune_trap_action on_ipi(struct dune_trap *trap, void *arg)
{
	__atomic_fetch_add(&taken, 1, __ATOMIC_RELAXED);
	return DUNE_TRAP_RESUME;
}

static void handle_ipis(void)
{
	MUST(!dune_trap_register(VECTOR, on_ipi, NULL, DUNE_TRAP_FAST));
}

static void dune_begin(int member)
{
	self = member;
	members[member].id = dune_ipi_self();
}

static void dune_send(int to)
{
	dune_ipi_send(members[to].id, VECTOR);
}

static void dune_send_all(void)
{
	dune_ipi_id to[MAX_THREADS];
	int n = 0;

	for (int i = 0; i < team_size(); i++)
		if (i != self)
			to[n++] = members[i].id;
	if (n)
		dune_ipi_multicast(to, n, VECTOR, NULL);
}

static void dune_protect(volatile char *page)
{
	dune_vm_protect(NULL, (void *)page, PAGE, DUNE_R);
	dune_vm_protect(NULL, (void *)page, PAGE, DUNE_R | DUNE_W);
}

static void wait_for(volatile uint64_t *value, uint64_t wanted)
{
	for (int i = 0; i < PATIENCE && *value < wanted; i++)
		asm volatile("pause");
	MUST(*value == wanted);
}

/* Exactly once: nothing is sent any more when all have added what they sent. */
static void dune_end(int member)
{
	struct dune_ipi_counts counts;

	MUST(dune_ipi_counts(&counts) == 0);
	MUST(!counts.unhandled && !counts.dropped);
	__atomic_fetch_add(&sent, counts.sent, __ATOMIC_RELAXED);
	__atomic_fetch_add(&ended, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&ended, __ATOMIC_ACQUIRE) < team_size())
		asm volatile("pause");
	wait_for(&taken, sent);
}

/* ---- signals ---- */

static void on_signal(int sig)
{
	__atomic_fetch_add(&taken, 1, __ATOMIC_RELAXED);
}

static void handle_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	MUST(sigaction(SIGUSR1, &sa, NULL) == 0);
}

static void signal_begin(int member)
{
	self = member;
	members[member].tid = gettid();
}

static void signal_send(int to)
{
	sys3(SYS_tgkill, getpid(), members[to].tid, SIGUSR1);
}

static void signal_send_all(void)
{
	for (int i = 0; i < team_size(); i++)
		if (i != self)
			signal_send(i);
}

static void linux_protect(volatile char *page)
{
	sys_mprotect((void *)page, PAGE, PROT_READ);
	sys_mprotect((void *)page, PAGE, PROT_READ | PROT_WRITE);
}

/* Signals that are pending coalesce: some number arrives. */
static void signal_end(int member)
{
	MUST(taken);
}

/* ---- mix ---- */

struct way {
	void (*send)(int to);
	void (*send_all)(void);
	void (*protect)(volatile char *page);
};
static const struct way by_ipi = { dune_send, dune_send_all, dune_protect };
static const struct way by_signal = { signal_send, signal_send_all, linux_protect };

static void compute(void)
{
	volatile uint32_t x = turn;

	for (int i = 0; i < COMPUTE; i++)
		x = x * 1664525 + 1013904223;
}

static void mix(volatile char *page, const struct way *way)
{
	const struct timespec moment = { .tv_nsec = SLEEP_NS };

	turn++;
	compute();
	way->send((self + 1) % team_size());
	if (turn % MULTI_EACH == 0)
		way->send_all();
	touch(page);
	way->protect(page);
	touch(page);
	if (turn % SLEEP_EACH == 0)
		sys3(SYS_nanosleep, (long)&moment, 0, 0);
}

static void dune_mix(volatile char *page)
{
	mix(page, &by_ipi);
}

static void signal_mix(volatile char *page)
{
	mix(page, &by_signal);
}

/* ---- to each that runs ---- */

static int nr_others(void)
{
	return options.max_vcpus - 1;
}

static void dune_unicast(volatile char *page)
{
	for (int i = 0; i < nr_others(); i++)
		dune_ipi_send(helper_ipi_id(i), VECTOR);
}

static void dune_multicast(volatile char *page)
{
	dune_ipi_id to[MAX_THREADS];

	for (int i = 0; i < nr_others(); i++)
		to[i] = helper_ipi_id(i);
	if (nr_others())
		dune_ipi_multicast(to, nr_others(), VECTOR, NULL);
}

static void signal_unicast(volatile char *page)
{
	for (int i = 0; i < nr_others(); i++)
		sys3(SYS_tgkill, getpid(), helper_tid(i), SIGUSR1);
}

/* ---- the table ---- */

static const struct suite_way dune_mixing = {
	.setup = handle_ipis, .begin = dune_begin, .end = dune_end, .op = dune_mix,
};
static const struct suite_way linux_mixing = {
	.setup = handle_signals, .begin = signal_begin, .end = signal_end, .op = signal_mix,
};
static const struct suite_way dune_one_by_one = {
	.setup = handle_ipis, .end = dune_end, .op = dune_unicast,
};
static const struct suite_way dune_together = {
	.setup = handle_ipis, .end = dune_end, .op = dune_multicast,
};
static const struct suite_way linux_one_by_one = {
	.setup = handle_signals, .op = signal_unicast,
};
#define WAYS(dune, linux) { [NATIVE] = &(linux), [DUNE] = &(dune) }

static const struct suite_protocol one_by_one = { .ipis = 1, .sends = ONE_BY_ONE };
static const struct suite_protocol together = { .ipis = 1, .sends = TOGETHER };

static const struct suite_op ops[] = {
	{ "mix", BY_DUNE, SUITE_IN(APART) | SUITE_IN(NEIGHBOUR), 1, TALKING,
	  WAYS(dune_mixing, linux_mixing), NULL },
	{ "unicast", BY_DUNE, 0, 1, TALKING, WAYS(dune_one_by_one, linux_one_by_one),
	  &one_by_one },
	{ "multicast", BY_DUNE, 0, 1, TALKING, WAYS(dune_together, linux_one_by_one),
	  &together },
};

int main(int argc, char **argv)
{
	return suite_main(argc, argv,
		"Interrupts between threads that also compute, protect pages and sleep; and to\n"
		"each of the others, one by one and by multicast. Parts: OPERATION-dune-WHERE;\n"
		"mix: apart, neighbour; unicast, multicast: runs_near, runs_far.", ops,
		sizeof(ops) / sizeof(*ops));
}
