// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Threads' areas: as many as vCPUs, each found by its stacks, wherever groups lie. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "area.h"
#include "guest.h"
#include "test.h"

#define AREAS	(GROUP_THREADS * WINDOW_GROUPS)

static struct dune_thread *area[AREAS];
static unsigned int here;	/* the node where this thread is */

unsigned int __wrap_node_here(void)
{
	return here;
}

static void check_area(unsigned int i)
{
	struct dune_thread *t = area[i];

	/* Nobody else has written there. */
	CHECK_EQ(t->fd, i);
	for (unsigned int s = 0; s < THREAD_STACKS; s++) {
		char *top = (char *)t->stacks + THREAD_STACK_TOP(s);

		CHECK(dune_in_stacks(t, top - 1));
		CHECK(dune_in_stacks(t, top - THREAD_STACK_SIZE));
	}
	CHECK_EQ(*(uint64_t *)(t->stacks + THREAD_STACK_SIZE - 8), i);
}

static void get_area(unsigned int i)
{
	area[i] = area_get();
	CHECK(area[i] != NULL);
	area[i]->fd = i;
	*(uint64_t *)(area[i]->stacks + THREAD_STACK_SIZE - 8) = i;
}

/* between: called before each group. */
static void get_all(void (*between)(void))
{
	CHECK_EQ(dune_init(), 0);
	for (unsigned int i = 0; i < AREAS; i++) {
		if (i % GROUP_THREADS == 0)
			between();
		get_area(i);
	}
	for (unsigned int i = 0; i < AREAS; i++)
		check_area(i);
	errno = 0;
	CHECK(area_get() == NULL);
	CHECK_EQ(errno, ENOSPC);
	area_put(area[7]);
	CHECK(area_get() == area[7]);
}

static void nothing(void)
{
}

static void there_are_areas_for_all(void)
{
	get_all(nothing);
}

/* So the next group would have the number of the last one. */
static void map_a_window(void)
{
	CHECK(mmap(NULL, WINDOW_SIZE - GROUP_SIZE, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED);
}

static void groups_have_numbers_of_their_own(void)
{
	get_all(map_a_window);
}

/* Each node's threads have areas of its groups, while there are more to be had. */
static void areas_are_of_the_node(void)
{
	CHECK_EQ(dune_init(), 0);
	for (unsigned int i = 0; i < 4 * GROUP_THREADS; i++) {
		here = i % 2;
		get_area(i);
		CHECK_EQ(area[i]->node, here);
	}
	for (unsigned int i = 0; i < 4 * GROUP_THREADS; i++)
		area_put(area[i]);
	for (unsigned int i = 0; i < 4 * GROUP_THREADS; i++) {
		here = i % 2;
		CHECK_EQ(area_get()->node, here);
	}
	here = 0;
}

/* When no more groups can be had: used ones of another node, and fresh ones. */
static void areas_of_other_nodes(void)
{
	const unsigned int fresh = AREAS - 3;

	CHECK_EQ(dune_init(), 0);
	for (unsigned int i = 0; i < fresh; i++)
		get_area(i);
	area_put(area[5]);
	here = 1;
	CHECK(area_get() == area[5]);
	CHECK_EQ(area[5]->node, 0);
	for (unsigned int i = fresh; i < AREAS; i++) {
		get_area(i);
		CHECK_EQ(area[i]->node, 0);
	}
	CHECK(area_get() == NULL);
	CHECK_EQ(errno, ENOSPC);
	/* It goes back to where it is from. */
	area_put(area[5]);
	here = 0;
	CHECK(area_get() == area[5]);
}

const struct test_case area_cases[] = {
	CASE(there_are_areas_for_all),
	CASE(groups_have_numbers_of_their_own),
	CASE(areas_are_of_the_node),
	CASE(areas_of_other_nodes),
};
const unsigned int nr_area_cases = sizeof(area_cases) / sizeof(area_cases[0]);
