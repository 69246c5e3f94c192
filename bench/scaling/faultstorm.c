// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * All threads fault at once: storm, small pages that nobody has yet; storm_2m, pages of
 * 2 MiB, where Linux has them. Each operation is on memory that its round has not
 * touched before, so nothing is ever taken away.
 */
#include <sys/mman.h>

#include "suite.h"

#define STORM		8	/* pages of a storm's operation */
#define GROUP_2M	16	/* small pages of the area, for each page of 2 MiB */
#define SIZE_2M		(2 * MIB)
#define BASE_2M		((char *)0x400000000000)

static void storm(volatile char *first)
{
	for (int i = 0; i < STORM; i++)
		touch(first + i * PAGE);
}

/* Pages of the area stand for larger ones; the first in a table is not used. */
static char *large(volatile char *page)
{
	return BASE_2M + ((page - team_near()) / PAGE - 1) / GROUP_2M * SIZE_2M;
}

static void map_large(void)
{
	char *all = map_at(BASE_2M, 15 * GIB / PAGE / GROUP_2M * SIZE_2M,
			   PROT_READ | PROT_WRITE);

	if (madvise(all, 15 * GIB / PAGE / GROUP_2M * SIZE_2M, MADV_HUGEPAGE))
		printf("note: no pages of 2 MiB here\n");
}

/* Before a round: of each of its pages. */
static void forget_large(volatile char *page)
{
	sys_madvise(large(page), SIZE_2M, MADV_DONTNEED);
}

static void storm_2m(volatile char *page)
{
	touch(large(page));
}

static const struct suite_way way_storm = { .op = storm };
static const struct suite_way way_storm_2m = {
	.setup = map_large, .prepare = forget_large, .op = storm_2m,
};

static const struct suite_op ops[] = {
	{ "storm", "none", SUITE_IN(LOCAL) | SUITE_IN(NEIGHBOUR) | SUITE_IN(SHARED), STORM,
	  FLAT_LEAST, SUITE_BOTH(way_storm), NULL },
	{ "storm_2m", "none", SUITE_IN(LOCAL), GROUP_2M, FLAT_LEAST, SUITE_BOTH(way_storm_2m), NULL },
};

int main(int argc, char **argv)
{
	return suite_main(argc, argv,
		"First accesses by all threads at once: 8 small pages an operation, and one of\n"
		"2 MiB. Parts: storm-none-WHERE; local, neighbour, shared; storm_2m-none-local.",
		ops, sizeof(ops) / sizeof(*ops));
}
