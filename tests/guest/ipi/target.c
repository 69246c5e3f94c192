// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See ipi.h. */
#include "ipi.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct target {
	pthread_t thread;
	dune_ipi_id id;
	volatile int told, does;	/* number of the order */
	volatile enum target_does what;
	int wake[2];			/* ends TARGET_BLOCKS */
	volatile uint64_t got[256];
};

static __thread volatile uint64_t *mine;
static __thread volatile uint64_t own[256];

enum dune_trap_action counting(struct dune_trap *trap, void *arg)
{
	volatile uint64_t *got = mine ? mine : own;

	got[trap->vector & 255]++;
	return DUNE_TRAP_RESUME;
}

void counting_begin(unsigned int vector)
{
	CHECK_EQ(dune_trap_register(vector, counting, NULL, 0), 0);
}

static void target_waits(struct target *t, int order, int step)
{
	while (t->told == order) {
		for (int i = 0; i < 50; i++)
			asm volatile("pause");
		if (step)
			dune_vm_poll();
	}
}

static void target_step(struct target *t, int order, enum target_does what)
{
	char byte;

	switch (what) {
	case TARGET_RUNS:
		t->does = order;
		target_waits(t, order, 0);
		break;
	case TARGET_BLOCKS:
		t->does = order;
		CHECK_EQ(read(t->wake[0], &byte, 1), 1);
		break;
	case TARGET_PLAIN:
		mode_exit();
		t->does = order;
		while (t->told == order)
			usleep(100);
		mode_enter();
		break;
	case TARGET_POLLS:
	case TARGET_DEAF:
		CHECK_EQ(dune_vm_poll_begin(), 0);
		t->does = order;
		target_waits(t, order, what == TARGET_POLLS);
		CHECK_EQ(dune_vm_poll_end(), 0);
		break;
	case TARGET_MASKED:
		CHECK_EQ(dune_ipi_disable(), 1);
		t->does = order;
		target_waits(t, order, 0);
		CHECK_EQ(dune_ipi_enable(), 0);
		break;
	case TARGET_ENDS:
	case TARGET_ENDS_INSIDE:
		break;
	}
}

static void *target_thread(void *arg)
{
	struct target *t = arg;
	enum target_does what = TARGET_RUNS;
	int order = 1;

	mine = t->got;
	mode_enter();
	t->id = dune_ipi_self();
	while (what != TARGET_ENDS && what != TARGET_ENDS_INSIDE) {
		target_step(t, order, what);
		order = t->told;
		what = t->what;
	}
	/* The one who ends it sends first. */
	if (what == TARGET_ENDS)
		mode_exit();
	else
		dune_ipi_disable();
	t->does = order;
	while (t->told == order)
		usleep(100);
	if (what == TARGET_ENDS_INSIDE)
		pthread_exit(NULL);
	return NULL;
}

struct target *target_new(void)
{
	struct target *t = calloc(1, sizeof(*t));

	REQUIRE(t && pipe(t->wake) == 0);
	t->told = 1;
	REQUIRE(pthread_create(&t->thread, NULL, target_thread, t) == 0);
	wait_for(&t->does, 1, 20);
	return t;
}

dune_ipi_id target_id(const struct target *t)
{
	return t->id;
}

static bool blocks(const struct target *t)
{
	return t->what == TARGET_BLOCKS;
}

void target_tell(struct target *t, enum target_does what)
{
	bool wake = blocks(t);

	t->what = what;
	t->told++;
	if (wake)
		CHECK_EQ(write(t->wake[1], "x", 1), 1);
	wait_for(&t->does, t->told, 20);
	/* It is in the call soon. */
	if (what == TARGET_BLOCKS)
		usleep(3000);
}

void target_end(struct target *t, enum target_does how)
{
	if (t->what != how)
		target_tell(t, how);
	t->told++;
	pthread_join(t->thread, NULL);
	close(t->wake[0]);
	close(t->wake[1]);
	free(t);
}

uint64_t target_got(const struct target *t, unsigned int vector)
{
	return t->got[vector];
}

bool target_waits_for(const struct target *t, unsigned int vector, uint64_t n)
{
	uint64_t end = deadline(20);

	while (t->got[vector] != n && now_ns() < end)
		sched_yield();
	return CHECK_EQ(t->got[vector], n);
}

uint64_t own_got(unsigned int vector)
{
	return own[vector];
}

bool own_waits_for(unsigned int vector, uint64_t n)
{
	for (int i = 0; i < 1000000 && own[vector] != n; i++)
		asm volatile("pause");
	return CHECK_EQ(own[vector], n);
}

struct dune_ipi_counts counts_now(void)
{
	struct dune_ipi_counts counts;

	CHECK_EQ(dune_ipi_counts(&counts), 0);
	return counts;
}
