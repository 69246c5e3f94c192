// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Arenas that come and go: some pages are mapped, written to, unmapped. By mmap() and
 * munmap(), natively and from the guest, where the EPT follows; and in Dune mode by
 * page tables of the program, which map memory that it has: no system call.
 */
#include <sys/mman.h>

#include "suite.h"

#define ARENA		8	/* pages */
#define ARENA_SIZE	(ARENA * PAGE)

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

static void use(char *arena)
{
	for (int i = 0; i < ARENA; i++)
		touch(arena + i * PAGE);
}

/* ---- Linux ---- */

static void linux_arena(volatile char *first)
{
	char *arena = suite_elsewhere(first);

	MUST(sys_mmap_anon(arena, ARENA_SIZE, MAP_FIXED_NOREPLACE) == (long)arena);
	use(arena);
	sys_munmap(arena, ARENA_SIZE);
}

/* ---- the program's page tables ---- */

static void touch_arena(volatile char *first)
{
	use((char *)first);
}

static void dune_arena(volatile char *first)
{
	char *arena = suite_elsewhere(first);

	MUST(dune_vm_map(NULL, arena, ARENA_SIZE, (void *)first, DUNE_R | DUNE_W,
			 DUNE_VM_4K) == 0);
	use(arena);
	dune_vm_unmap(NULL, arena, ARENA_SIZE);
}

static const struct suite_way by_linux = { .op = linux_arena };
static const struct suite_way by_dune = {
	.setup = suite_clear_elsewhere, .before = touch_arena, .op = dune_arena,
	.near = suite_near_elsewhere,
};

/* munmap() leaves the shootdown to Linux' own flush. */
static const struct suite_protocol unmapped_by_linux = { .shootdowns = 1 };
static const struct suite_protocol unmapped_by_dune = { .guest_kicks = 1 };

static const struct suite_op ops[] = {
	{ "arena", BY_LINUX, SUITE_IN(LOCAL) | SUITE_IN(NEIGHBOUR), ARENA, NOT_FLAT,
	  SUITE_BOTH(by_linux), &unmapped_by_linux },
	{ "arena", BY_DUNE, SUITE_IN(APART) | SUITE_IN(LOCAL) | SUITE_IN(NEIGHBOUR), ARENA,
	  FLAT, { [NATIVE] = &by_linux, [DUNE] = &by_dune }, &unmapped_by_dune },
};

int main(int argc, char **argv)
{
	return suite_main(argc, argv,
		"Arenas of 8 pages by threads: mapped, written to, unmapped, by Linux' calls and\n"
		"by the program's own page tables. Parts: arena-BY-WHERE; linux, dune; apart,\n"
		"local, neighbour, runs_near, runs_far.", ops, sizeof(ops) / sizeof(*ops));
}
