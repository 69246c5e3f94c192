// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What kicks and interrupts cost, in instructions of either side. For a kernel
 * without debug options, soon after its boot.
 */
#include "requests.h"

#include <stdlib.h>

#include "emucount.h"

#define REPS		200
#define KICK_LIMIT	1100	/* one vCPU kicked, on the caller's CPU */
#define NOBODY_LIMIT	700	/* none in guest */

static volatile int over, inside;
static volatile uint64_t turns;
static uint64_t cost[REPS], target[REPS], ipis_sent[REPS];

/* Two reads: how many instructions a turn takes is known. */
static void spins(void *arg)
{
	struct peer *p = arg;

	inside = 1;
	while (!over) {
		turns++;
		relax(1);
	}
	raw_vmcall(DUNE_HC_EXIT, p->index);
}

static void *spinner(void *index)
{
	struct peer *p = peer_begin((long)index);

	pin_to(1);
	peer_start(p, spins);
	CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
	peer_end(p);
	return NULL;
}

static void *sleeper(void *index)
{
	struct peer *p = peer_begin((long)index);

	inside = 1;
	wait_for(&over, 1, 60);
	peer_end(p);
	return NULL;
}

static void kicks(void *arg)
{
	struct peer *p = arg;

	for (int i = 0; i < REPS; i++) {
		uint64_t insn = emucount_read(EMUCOUNT_SELF, EMU_INSN);
		uint64_t ipi = emucount_read(EMUCOUNT_SELF, EMU_IPI);

		p->got[0] += kick(p, &peers[1]);
		cost[i] = emucount_read(EMUCOUNT_SELF, EMU_INSN) - insn;
		ipis_sent[i] = emucount_read(EMUCOUNT_SELF, EMU_IPI) - ipi;
		relax(300);
	}
	raw_vmcall(DUNE_HC_EXIT, 0);
}

/* With an interrupt, and what the target does for it outside its loop. */
static void interrupts(void *arg)
{
	struct peer *p = arg, *to = &peers[1];

	for (int i = 0; i < REPS; i++) {
		uint64_t handled = to->handled;
		uint64_t insn = emucount_read(EMUCOUNT_SELF, EMU_INSN);
		uint64_t other = emucount_read(1, EMU_INSN), loops = turns;

		p->got[0] += send_irq(p, to, 100);
		cost[i] = emucount_read(EMUCOUNT_SELF, EMU_INSN) - insn;
		while (to->handled == handled)
			relax(1);
		target[i] = emucount_read(1, EMU_INSN) - other -
			    (turns - loops) * p->got[1];
		relax(300);
	}
	raw_vmcall(DUNE_HC_EXIT, 0);
}

/* How many instructions is a turn of the spinner? No exit in between. */
static void measures_turn(void *arg)
{
	struct peer *p = arg;
	uint64_t best = ~0ull;

	for (int i = 0; i < 50; i++) {
		uint64_t other = emucount_read(1, EMU_INSN), loops = turns;

		relax(500);
		other = emucount_read(1, EMU_INSN) - other;
		loops = turns - loops;
		if (loops && other / loops < best)
			best = other / loops;
	}
	p->got[1] = best;
	raw_vmcall(DUNE_HC_EXIT, 0);
}

static int less(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static uint64_t median(uint64_t *values)
{
	qsort(values, REPS, sizeof(*values), less);
	return values[REPS / 2];
}

static void with(void *(*other)(void *), uint64_t limit, uint64_t want_ipis)
{
	struct peer *p;

	over = inside = 0;
	peers_setup();
	pin_to(0);
	p = peer_begin(0);
	peer_thread(1, other);
	wait_for(&inside, 1, 60);
	peer_start(p, kicks);
	CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
	printf("    kick, %s: %llu instructions, %llu IPI\n",
	       want_ipis ? "1 in guest" : "none in guest",
	       (unsigned long long)median(cost), (unsigned long long)median(ipis_sent));
	CHECK_EQ(median(ipis_sent), want_ipis);
	CHECK(median(cost) <= limit);
	CHECK_IN(p->got[0], want_ipis * REPS * 9 / 10, want_ipis * REPS);
	if (want_ipis) {
		peer_start(p, measures_turn);
		CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
		peer_start(p, interrupts);
		CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
		printf("    interrupt: %llu instructions of the sender, %llu of the target (a turn of its loop is %llu)\n",
		       (unsigned long long)median(cost),
		       (unsigned long long)median(target),
		       (unsigned long long)p->got[1]);
		CHECK(median(cost) <= limit + 100);
	}
	over = 1;
	peer_join(1);
	peer_end(p);
	peers_teardown();
}

void kick_cost(void)
{
	if (!emucount_available() || nr_cpus() < 2)
		SKIP("needs the emulator's counters and two CPUs");
	with(sleeper, NOBODY_LIMIT, 0);
	with(spinner, KICK_LIMIT, 1);
}
