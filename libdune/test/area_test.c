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

const struct test_case area_cases[] = {
	CASE(there_are_areas_for_all),
	CASE(groups_have_numbers_of_their_own),
};
const unsigned int nr_area_cases = sizeof(area_cases) / sizeof(area_cases[0]);
