// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Three vCPUs take turns on one CPU that gives out two VPIDs: the third begins
 * them anew, and each of the others gets one that another had before. Nothing of
 * that one may be left; two of them then go on with what they have.
 */
#include "gtlbsan.h"

#include <pthread.h>

#include "emucount.h"

#define NR 3
#define NR_TURNS (sizeof(order) / sizeof(*order))

static const int order[] = { 0, 1, 2, 0, 2, 0 };
static const char param[] = "/sys/module/dune/parameters/vpids";
static volatile int turn, ready;
static long rounds;
static int unused;

static void turns_guest(void *arg)
{
	for (;;) {
		touch(rawpt_small(0));
		leave();
	}
}

static void *turns_thread(void *arg)
{
	int me = (int)(intptr_t)arg;
	struct rawvcpu vcpu;

	pin_to(0);
	guest_prepare(&vcpu, world.root[0].cr3, turns_guest, &unused);
	__atomic_fetch_add(&ready, 1, __ATOMIC_ACQ_REL);
	for (long i = 0; i < rounds * (long)NR_TURNS; i++) {
		if (order[i % NR_TURNS] != me)
			continue;
		wait_for(&turn, i, LIMIT);
		guest_more(&vcpu);
		turn++;
	}
	return NULL;
}

static void take_turns(const void *arg)
{
	uint64_t flushes = emucount_read(0, EMU_INVVPID);
	pthread_t threads[NR];

	rounds = opt.rounds;
	turn = -1;
	for (intptr_t i = 0; i < NR; i++) {
		errno = pthread_create(&threads[i], NULL, turns_thread, (void *)i);
		REQUIRE(errno == 0);
		wait_for(&ready, i + 1, LIMIT);
	}
	turn = 0;
	for (int i = 0; i < NR; i++)
		pthread_join(threads[i], NULL);
	CHECK(emucount_read(0, EMU_INVVPID) > flushes);
}

void scenes_vpids(void)
{
	long before = read_number(param);

	write_number(param, 2);
	row("VPIDs:", "few", CLEAN, take_turns, NULL);
	write_number(param, before);
}
