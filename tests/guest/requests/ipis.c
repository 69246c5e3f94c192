// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A storm of interrupts among peers that compute, call, sleep, move, close
 * their interrupts, are interrupted by signals and by quanta. Each send that
 * makes a vector pending is taken exactly once, by the peer it was for. The
 * vector says who sent it.
 */
#include "requests.h"

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define VECTOR_OF(sender)	(64u + (sender))
#define DRAIN_LIMIT		200000000ul

enum host_work { SLEEP, MOVE, DONE };

static int nr_peers;
static volatile long left;		/* sends to be made */
static volatile int senders, finished;
/* By sender and receiver: sends that made the vector pending. */
static volatile uint64_t sent[MAX_PEERS][MAX_PEERS];

static void work(struct peer *p, enum host_work what)
{
	raw_vmcall(DUNE_HC_EXIT, what);
}

static void one_step(struct peer *p)
{
	unsigned int to = rnd(&p->random) % nr_peers;

	switch (rnd(&p->random) % 32) {
	case 0:
		/* After some in a row there are re-entries. */
		for (int i = rnd(&p->random) % 16; i > 0; i--)
			raw_vmcall(SYS_getppid, 0);
		break;
	case 1:
		raw_vmcall(DUNE_HC_NOP, 0);
		break;
	case 2:
		if (rnd(&p->random) % 8 == 0)
			work(p, SLEEP);
		break;
	case 3:
		if (rnd(&p->random) % 4 == 0)
			work(p, MOVE);
		break;
	case 4 ... 8:
		peer_close(p);
		relax(rnd(&p->random) % 200);
		if (rnd(&p->random) % 64 == 0)
			work(p, MOVE);
		peer_open(p);
		break;
	case 9 ... 12:
		relax(rnd(&p->random) % 400);
		break;
	default:
		if (__atomic_fetch_sub(&left, 1, __ATOMIC_RELAXED) > 0)
			sent[p->index][to] +=
				send_irq(p, &peers[to], VECTOR_OF(p->index));
	}
}

static bool is_drained(struct peer *p)
{
	struct dune_vcpu_page *page = p->vcpu.page;

	return !(page->irr[0] | page->irr[1] | page->irr[2] | page->irr[3]) &&
	       !page->requests;
}

static void storm(void *arg)
{
	struct peer *p = arg;
	unsigned long n = 0;

	while (left > 0)
		one_step(p);
	__atomic_sub_fetch(&senders, 1, __ATOMIC_SEQ_CST);
	/* A window that is open is no request any more, so a while longer. */
	while (senders || (!is_drained(p) && n++ < DRAIN_LIMIT))
		relax(10);
	relax(1000);
	work(p, DONE);
}

static bool do_work(struct peer *p, uint64_t *seed)
{
	switch (p->vcpu.page->regs.rdi) {
	case SLEEP:
		usleep(rnd(seed) % 300);
		return true;
	case MOVE:
		pin_to(rnd(seed) % nr_cpus());
		return true;
	default:
		return false;
	}
}

/* Every second one makes its calls by itself, with re-entries between. */
static long run_once(struct peer *p, struct rawlive *live, uint64_t *result)
{
	if (p->index & 1)
		return raw_live(live, result);
	return raw_run(p->vcpu.fd, 0);
}

static void *storm_thread(void *index)
{
	struct peer *p = peer_begin((long)index);
	struct rawlive live = { .fd = p->vcpu.fd };
	uint64_t seed = p->random * 31, result = 0;
	bool goes_on = true;

	peer_start(p, storm);
	p->vcpu.page->quantum_us = p->index % 3 == 2 ? 200 : 0;
	if (p->index & 1)
		p->vcpu.page->run_flags = DUNE_RUN_REENTER | DUNE_RUN_REISSUE;
	p->vcpu.page->syscall_ip = (uint64_t)raw_live_ip;
	__atomic_add_fetch(&senders, 1, __ATOMIC_SEQ_CST);
	wait_for(&senders, nr_peers, 60);
	while (goes_on) {
		long ret = run_once(p, &live, &result);

		if (ret == DUNE_EXIT_HYPERCALL)
			goes_on = do_work(p, &seed);
		else if (ret != DUNE_EXIT_RETRY && ret != DUNE_EXIT_SYSCALL &&
			 ret != DUNE_EXIT_QUANTUM)
			goes_on = CHECK_EQ(ret, -EINTR);
	}
	/* Others look at its page until the end. */
	__atomic_add_fetch(&finished, 1, __ATOMIC_SEQ_CST);
	wait_for(&finished, nr_peers + 1, 120);
	peer_end(p);
	return NULL;
}

static void on_signal(int sig)
{
}

static void judge(struct peer *to)
{
	uint64_t sum = 0;

	for (int from = 0; from < nr_peers; from++) {
		CHECK_EQ(to->got[VECTOR_OF(from)], sent[from][to->index]);
		sum += sent[from][to->index];
	}
	for (unsigned int v = 0; v < 256; v++)
		if (v - VECTOR_OF(0) >= (unsigned int)nr_peers)
			CHECK_EQ(to->got[v], 0);
	CHECK(is_drained(to));
	/* Each injection is one run of the handler; none without a send. */
	CHECK_EQ(to->handled, peer_counter(to, DUNE_VCPU_irqs));
	CHECK(to->handled <= sum);
	CHECK_EQ(to->closed_hits, 0);
	CHECK_EQ(to->shadow_hits, 0);
}

static void report(bool many)
{
	static const enum dune_vcpu_counter shown[] = {
		DUNE_VCPU_irqs, DUNE_VCPU_irq_windows, DUNE_VCPU_kick_calls,
		DUNE_VCPU_kicks_sent, DUNE_VCPU_kicked, DUNE_VCPU_migrated,
		DUNE_VCPU_host_work, DUNE_VCPU_reentries, DUNE_VCPU_quanta,
	};
	static const char *const names[] = {
		"irqs", "irq_windows", "kick_calls", "kicks_sent", "kicked",
		"migrated", "host_work", "reentries", "quanta",
	};

	printf("   ");
	for (size_t i = 0; i < sizeof(shown) / sizeof(*shown); i++) {
		uint64_t sum = 0;

		for (int n = 0; n < nr_peers; n++)
			sum += peer_counter(&peers[n], shown[i]);
		printf(" %s %llu", names[i], (unsigned long long)sum);
		/* Not for nothing. */
		if (nr_cpus() > 1 && many)
			CHECK(sum > 10);
	}
	printf("\n");
}

static void one_storm(long sends)
{
	uint64_t seed = opt.seed, total = 0;

	nr_peers = opt.threads;
	left = sends;
	senders = finished = 0;
	memset((void *)sent, 0, sizeof(sent));
	signal(SIGUSR1, on_signal);
	peers_setup();
	for (int i = 0; i < nr_peers; i++)
		peer_thread(i, storm_thread);
	while (finished < nr_peers) {
		usleep(300);
		pthread_kill(peer_pthread(rnd(&seed) % nr_peers), SIGUSR1);
	}
	for (int i = 0; i < nr_peers; i++) {
		judge(&peers[i]);
		for (int n = 0; n < nr_peers; n++)
			total += sent[i][n];
	}
	printf("    %ld sends, %llu newly pending\n", sends,
	       (unsigned long long)total);
	report(sends >= 20000);
	__atomic_add_fetch(&finished, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < nr_peers; i++)
		peer_join(i);
	peers_teardown();
}

void ipis(void)
{
	one_storm(opt.rounds);
}

static void one_process(void)
{
	check_failures = 0;
	one_storm(opt.rounds / 4);
	_exit(check_failures ? 1 : 0);
}

/* Two vms whose vCPUs have the same ids, on the same CPUs. */
void ipis_two_processes(void)
{
	pid_t pid[2];
	int status;

	fflush(stdout);
	for (int i = 0; i < 2; i++) {
		pid[i] = fork();
		if (pid[i] == 0)
			one_process();
		REQUIRE(pid[i] > 0);
	}
	for (int i = 0; i < 2; i++) {
		status = -1;
		CHECK_EQ(waitpid(pid[i], &status, 0), pid[i]);
		CHECK_EQ(status, 0);
	}
}
