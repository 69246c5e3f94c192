// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See recorded.h. */
#include "recorded.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

const char stat_line[] =
	"4711 (a) R (b) S 1 4711 4711 0 -1 4194368 101 0 0 0 5 6 0 0 20 0 3 0 8123 "
	"5566464 412 18446744073709551615 1 1 0 0 0 0 0 4096 16384 0 0 0 17 6 0 0 0 0 0\n";

const char numa_maps[] =
	"00400000 default file=/usr/bin/x\\0401 mapped=10 mapmax=2 N0=7 N1=3 kernelpagesize_kB=4\n"
	"7f0000000000 bind:1 anon=512 dirty=512 active=0 N1=512 kernelpagesize_kB=4\n"
	"7f8000000000 default file=/anon_hugepage\\040(deleted) huge anon=3 dirty=3 N0=2 N1=1 kernelpagesize_kB=2048\n"
	"7fff00000000 default stack anon=2 dirty=2 N12=2 kernelpagesize_kB=4\n"
	"7fff00200000 default\n";

static const struct thread threads[] = {
	{ 4711, "main", 'S', 0 },
	{ 4712, "worker", 'R', 1 },
	{ 4713, "worker", 'R', 6 },
};

/* vCPU 3 is on node 0 and its VMCS is not; of vCPU 9 the page is there only. */
static const struct dune_place places[] = {
	{ .kind = DUNE_PLACE_VMCS, .vcpu = 3, .node = 1, .user_node = 0 },
	{ .kind = DUNE_PLACE_VCPU_PAGE, .vcpu = 3, .node = 0, .user_node = 0 },
	{ .kind = DUNE_PLACE_VMCS, .vcpu = 5, .node = 1, .user_node = 1 },
	{ .kind = DUNE_PLACE_VCPU_PAGE, .vcpu = 5, .node = 1, .user_node = 1 },
	{ .kind = DUNE_PLACE_VCPU_PAGE, .vcpu = 9, .node = 1, .user_node = -1 },
	/* The root is nobody's; tables of a vCPU, one that has ended, a replica's. */
	{ .kind = DUNE_PLACE_EPT, .level = 4, .vcpu = ~0u, .node = 0, .user_node = -1 },
	{ .kind = DUNE_PLACE_EPT, .level = 3, .vcpu = 3, .node = 0, .user_node = -1 },
	{ .kind = DUNE_PLACE_EPT, .level = 2, .vcpu = 3, .node = 0, .user_node = -1 },
	{ .kind = DUNE_PLACE_EPT, .level = 1, .vcpu = 3, .node = 1, .user_node = -1, .hva = 0x7f0000200000 },
	{ .kind = DUNE_PLACE_EPT, .level = 1, .vcpu = 5, .node = 1, .user_node = -1, .hva = 0x7f0000400000 },
	{ .kind = DUNE_PLACE_EPT, .level = 1, .vcpu = 77, .node = 1, .user_node = -1, .hva = 0x7f0000600000 },
	{ .kind = DUNE_PLACE_EPT, .level = 4, .vcpu = ~0u, .node = 1, .user_node = 1, .replica = 1 },
	{ .kind = DUNE_PLACE_EPT, .level = 1, .vcpu = 3, .node = 1, .user_node = 1, .replica = 1, .hva = 0x7f0000200000 },
};

void recorded_make(struct view *v)
{
	FILE *f = fmemopen((void *)numa_maps, sizeof(numa_maps) - 1, "r");

	memset(v, 0, sizeof(*v));
	setenv("HWLOC_SYNTHETIC", TWO_NODES, 1);
	REQUIRE(machine_load(&v->machine));
	v->pid = 4711;
	v->threads.thread = malloc(sizeof(threads));
	v->threads.nr = sizeof(threads) / sizeof(*threads);
	v->places.place = malloc(sizeof(places));
	v->places.nr = sizeof(places) / sizeof(*places);
	REQUIRE(f && v->threads.thread && v->places.place);
	memcpy(v->threads.thread, threads, sizeof(threads));
	memcpy(v->places.place, places, sizeof(places));
	memory_parse(f, &v->memory);
	fclose(f);
}

void recorded_free(struct view *v)
{
	machine_free(&v->machine);
	threads_free(&v->threads);
	places_free(&v->places);
}
