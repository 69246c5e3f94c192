// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Threads that come and go, each on its creator's CPU: created and joined; in Dune mode
 * they also enter it, which makes a vCPU, leave it and end. And the first enter and the
 * leave alone, as the new thread sees it.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include "suite.h"

/* A creator in Dune mode has children that go there. */
struct child {
	enum mode mode;
	uint64_t cost;		/* of entering and leaving */
	bool disturbed;		/* meanwhile, by interrupts or another thread's turn */
};

static void *child_main(void *arg)
{
	struct child *child = arg;

	if (child->mode == DUNE) {
		guest_enter();
		guest_leave();
	}
	return NULL;
}

/* Not those that it waits for. */
static uint64_t disturbances(void)
{
	struct rusage usage;

	MUST(getrusage(RUSAGE_THREAD, &usage) == 0);
	return interrupts_now() + usage.ru_nivcsw;
}

static void *measured_child(void *arg)
{
	struct child *child = arg;
	uint64_t before = disturbances(), begun = cost_now();

	child_main(arg);
	child->cost = cost_now() - begun;
	child->disturbed = disturbances() != before;
	return NULL;
}

/*
 * libc keeps 40 MiB of stacks for new threads, and gives the rest back to Linux, by a
 * munmap() that interrupts everybody: so small that all fit.
 */
#define STACK_SIZE	(256 << 10)

static struct child create_and_join(void *(*fn)(void *))
{
	struct child child = { .mode = dune_inside() ? DUNE : NATIVE };
	pthread_attr_t attr;
	pthread_t thread;

	MUST(pthread_attr_init(&attr) == 0);
	MUST(pthread_attr_setstacksize(&attr, STACK_SIZE) == 0);
	MUST(pthread_create(&thread, &attr, fn, &child) == 0);
	pthread_attr_destroy(&attr);
	MUST(pthread_join(thread, NULL) == 0);
	return child;
}

static void create(volatile char *page)
{
	create_and_join(child_main);
}

/* Who joins a thread goes on before that has ended, and what it left is freed. */
static void let_it_end(void)
{
	for (int i = 0; i < 8; i++)
		sched_yield();
}

static void enter(volatile char *page)
{
	struct child child;

	let_it_end();
	child = create_and_join(measured_child);
	team_cost(child.cost);
	if (child.disturbed)
		team_disturbed();
}

static const struct suite_way way_create = { .op = create };
static const struct suite_way way_enter = { .op = enter };

static const struct suite_protocol silent = { .sent = LINUX_WAKES };

static const struct suite_op ops[] = {
	/* What an ended thread leaves is freed later, in whose operation is chance. */
	{ "create", "none", SUITE_IN(LOCAL), 1, NOT_FLAT, SUITE_BOTH(way_create), &silent },
	{ "enter", "none", SUITE_IN(LOCAL), 1, FLAT, SUITE_BOTH(way_enter), NULL },
};

int main(int argc, char **argv)
{
	return suite_main(argc, argv,
		"Threads created and joined, in Dune mode with a vCPU; and a new thread's first\n"
		"enter, which makes the vCPU, and leave. Parts: OPERATION-none-WHERE; create,\n"
		"enter; local, runs_near.", ops, sizeof(ops) / sizeof(*ops));
}
