// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * --rounds sends among threads that compute, call, block, move, leave Dune mode,
 * poll, turn interrupts off and get Linux' signals. Each send that made its
 * vector pending is taken exactly once, by the thread it was for; the vector says
 * who sent it. After each send a handler begins that sees what was written before.
 */
#include "ipi.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_THREADS 12
/* Each sender has a class of its own, so handlers nest. */
#define VECTOR_OF(sender) (0x31u + 0x10u * (sender))

static struct {
	dune_ipi_id id;
	pthread_t thread;
	struct dune_ipi_counts counts;
	struct {
		/* By sender: its number before each send; what a handler saw */
		volatile uint64_t written, seen, taken;
		uint64_t newly;
	} from[MAX_THREADS];
	volatile uint64_t wrong;
} __attribute__((aligned(4096))) all[MAX_THREADS];

static int nr_threads;
static volatile long left;
static volatile int ready, senders, over;
static __thread int me;

DUNE_TRAP_FAST_FN static enum dune_trap_action takes(struct dune_trap *trap, void *arg)
{
	unsigned int from = (trap->vector - 0x31) / 0x10;
	uint64_t value;

	if ((uintptr_t)arg != trap->vector || VECTOR_OF(from) != trap->vector) {
		all[me].wrong++;
		return DUNE_TRAP_RESUME;
	}
	value = all[me].from[from].written;
	if (value < all[me].from[from].seen)
		all[me].wrong++;
	all[me].from[from].seen = value;
	all[me].from[from].taken++;
	return DUNE_TRAP_RESUME;
}

static void send_one(int to)
{
	int ret;

	if (__atomic_fetch_sub(&left, 1, __ATOMIC_RELAXED) <= 0)
		return;
	all[to].from[me].written++;
	ret = dune_ipi_send(all[to].id, VECTOR_OF(me));
	all[to].from[me].newly += ret == 0;
	if (ret < 0)
		all[me].wrong++;
}

static void send_to_some(uint64_t *seed)
{
	int results[MAX_THREADS], to[MAX_THREADS], n = 0;
	dune_ipi_id ids[MAX_THREADS];

	for (int i = 0; i < nr_threads; i++) {
		if (rnd(seed) % 2 || __atomic_fetch_sub(&left, 1, __ATOMIC_RELAXED) <= 0)
			continue;
		all[i].from[me].written++;
		to[n] = i;
		ids[n++] = all[i].id;
	}
	CHECK_EQ(dune_ipi_multicast(ids, n, VECTOR_OF(me), results), 0);
	for (int i = 0; i < n; i++)
		all[to[i]].from[me].newly += results[i] == 0;
}

static void poll_a_while(uint64_t *seed)
{
	dune_vm_poll_begin();
	for (uint64_t n = rnd(seed) % 20; n; n--) {
		send_one(rnd(seed) % nr_threads);
		spin(20);
		dune_vm_poll();
	}
	dune_vm_poll_end();
}

static void masked_a_while(uint64_t *seed)
{
	CHECK_EQ(dune_ipi_disable(), 1);
	spin(rnd(seed) % 300);
	send_one(rnd(seed) % nr_threads);
	if (rnd(seed) % 8 == 0)
		sched_yield();
	CHECK_EQ(dune_ipi_enable(), 0);
}

static void step(uint64_t *seed)
{
	switch (rnd(seed) % 256) {
	case 0 ... 3:
		pin_to(rnd(seed) % nr_cpus());
		break;
	case 4 ... 7:
		usleep(rnd(seed) % 200);
		break;
	case 8 ... 11:
		mode_exit();
		send_one(rnd(seed) % nr_threads);
		mode_enter();
		break;
	case 12 ... 20:
		poll_a_while(seed);
		break;
	case 21 ... 40:
		masked_a_while(seed);
		break;
	case 41 ... 50:
		syscall(SYS_getppid);
		break;
	case 51 ... 60:
		send_to_some(seed);
		break;
	case 61 ... 140:
		spin(rnd(seed) % 200);
		break;
	default:
		send_one(rnd(seed) % nr_threads);
	}
}

static bool is_drained(void)
{
	for (int i = 0; i < nr_threads; i++)
		if (all[me].from[i].taken != all[me].from[i].newly)
			return false;
	return true;
}

static void exact_thread(int index, void *arg)
{
	uint64_t seed = opt.seed * 31 + index + 1, end;

	me = index;
	all[me].id = dune_ipi_self();
	all[me].thread = pthread_self();
	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	while (ready < nr_threads)
		sched_yield();
	while (left > 0)
		step(&seed);
	__atomic_sub_fetch(&senders, 1, __ATOMIC_SEQ_CST);
	end = deadline(60);
	while ((senders || !is_drained()) && now_ns() < end)
		spin(100);
	/* One too many would come soon. */
	spin(20000);
	all[me].counts = counts_now();
	__atomic_add_fetch(&over, 1, __ATOMIC_SEQ_CST);
	while (over < nr_threads)
		sched_yield();
}

static volatile uint64_t signals_got;

static void on_signal(int sig)
{
	signals_got++;
}

static void *sends_signals(void *arg)
{
	uint64_t seed = opt.seed;

	while (ready < nr_threads)
		usleep(300);
	while (senders) {
		usleep(500);
		pthread_kill(all[rnd(&seed) % nr_threads].thread, SIGUSR1);
	}
	return NULL;
}

static void judge(int to, struct dune_ipi_counts *sum)
{
	uint64_t taken = 0;

	for (int from = 0; from < nr_threads; from++) {
		CHECK_EQ(all[to].from[from].taken, all[to].from[from].newly);
		CHECK_EQ(all[to].from[from].seen, all[to].from[from].written);
		taken += all[to].from[from].taken;
	}
	CHECK_EQ(all[to].wrong, 0);
	CHECK_EQ(all[to].counts.taken, taken);
	sum->sent += all[to].counts.sent;
	sum->coalesced += all[to].counts.coalesced;
	sum->kicks += all[to].counts.kicks;
	sum->notified += all[to].counts.notified;
	sum->taken += all[to].counts.taken;
}

static void exact(long sends)
{
	struct dune_ipi_counts sum = { 0 };
	pthread_t thread;

	nr_threads = opt.threads;
	REQUIRE(nr_threads <= MAX_THREADS);
	memset(all, 0, sizeof(all));
	left = sends;
	senders = nr_threads;
	ready = over = 0;
	signal(SIGUSR1, on_signal);
	for (int i = 0; i < nr_threads; i++)
		CHECK_EQ(dune_trap_register(VECTOR_OF(i), takes, (void *)(uintptr_t)VECTOR_OF(i),
					    i % 2 ? 0 : DUNE_TRAP_FAST), 0);
	REQUIRE(pthread_create(&thread, NULL, sends_signals, NULL) == 0);
	run_threads(nr_threads, exact_thread, NULL);
	pthread_join(thread, NULL);
	for (int i = 0; i < nr_threads; i++)
		judge(i, &sum);
	printf("    %ld sends: %lu newly pending, %lu coalesced, %lu kicks; %lu taken in %lu notifications\n",
	       sends, sum.sent, sum.coalesced, sum.kicks, sum.taken, sum.notified);
	CHECK_EQ(sum.sent, sum.taken);
	CHECK_EQ(sum.sent + sum.coalesced, sends);
	CHECK(sum.coalesced > 0);
	if (nr_cpus() > 1)
		CHECK(sum.kicks > 0);
}

/* On NUMA nodes each vCPU's page, and in it what is requested, moves with its thread. */
void part_exact(void)
{
	static const char param[] = "/sys/module/dune/parameters/follow_ms";
	long before = read_number(param);
	uint64_t followed;

	if (opt.native) {
		exact(opt.rounds);
		return;
	}
	followed = vm_stat(DUNE_VM_vcpu_pages_followed);
	write_number(param, 1);
	exact(opt.rounds);
	write_number(param, before);
	followed = vm_stat(DUNE_VM_vcpu_pages_followed) - followed;
	printf("    vCPU pages followed their threads %lu times\n", followed);
	if (!access("/sys/devices/system/node/node1", F_OK))
		CHECK(followed > 0);
}

static void in_child(void *arg)
{
	exact(opt.rounds / 2);
}

static void *one_child(void *arg)
{
	CHECK_EQ(run_child(3600, in_child, NULL), 0);
	return NULL;
}

/* Two processes whose vCPUs have the same ids, on the same CPUs. */
void part_exact_two(void)
{
	pthread_t thread;

	fflush(stdout);
	REQUIRE(pthread_create(&thread, NULL, one_child, NULL) == 0);
	one_child(NULL);
	pthread_join(thread, NULL);
}
