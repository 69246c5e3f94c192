// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * One owner or several sharers. A read makes the reader a sharer, at the price of
 * the nearest copy; a write makes the writer the owner, at the price of the
 * farthest copy, which has to go. A line that is on its way takes no other access.
 */
#include "lines.h"

#include <stdlib.h>
#include <string.h>

#include "cost.h"
#include "topology.h"

#define HASH_BITS	16u
#define NR_BUCKETS	(1u << HASH_BITS)

struct line {
	uintptr_t number;	/* address / 64; 0: unused */
	u64 free_at;
	u64 core[SIM_MAX_CPUS / 64];	/* that have it */
};

static struct line *lines[NR_BUCKETS];

void lines_forget(void)
{
	for (u32 i = 0; i < NR_BUCKETS; i++) {
		free(lines[i]);
		lines[i] = NULL;
	}
}

static bool has(const struct line *line, u32 core)
{
	return line->core[core / 64] >> core % 64 & 1;
}

static void give(struct line *line, u32 cpu)
{
	u32 core = sim_topology()->core[cpu];

	line->core[core / 64] |= 1ull << core % 64;
}

static struct line *find(const void *p, u32 cpu)
{
	uintptr_t number = (uintptr_t)p / 64;
	u32 at = (number * 0x9e3779b97f4a7c15ull) >> (64 - HASH_BITS);

	for (u32 tries = 0; tries < NR_BUCKETS; tries++, at = (at + 1) % NR_BUCKETS) {
		if (!lines[at]) {
			lines[at] = calloc(1, sizeof(**lines));
			if (!lines[at])
				abort();
			lines[at]->number = number;
			give(lines[at], cpu);
		}
		if (lines[at]->number == number)
			return lines[at];
	}
	abort();
}

/* Distances of the copies at other cores: the least and the greatest; 0: none. */
struct reach {
	u32 least, greatest;
};

static struct reach others(const struct line *line, u32 cpu)
{
	const struct topology *topology = sim_topology();
	u32 own = topology->core[cpu], node = topology->node[cpu];
	struct reach reach = { 0, 0 };

	for (u32 word = 0; word < SIM_MAX_CPUS / 64; word++)
		for (u64 left = line->core[word]; left; left &= left - 1) {
			u32 core = word * 64 + (u32)__builtin_ctzll(left);
			u32 distance = topology->distance[node][topology->node_of_core[core]];

			if (core == own)
				continue;
			if (!reach.least || distance < reach.least)
				reach.least = distance;
			if (distance > reach.greatest)
				reach.greatest = distance;
		}
	return reach;
}

struct line_cost line_use(const void *p, u32 cpu, u64 now, enum line_access how)
{
	const struct cost *cost = sim_cost();
	struct line *line = find(p, cpu);
	struct reach reach = others(line, cpu);
	u64 hit = how == LINE_RMW ? cost->atomic : cost->hit;
	bool mine = has(line, sim_topology()->core[cpu]);
	struct line_cost result;

	if (how == LINE_READ ? mine : mine && !reach.greatest)
		return (struct line_cost){ now + hit, 0 };
	result.until = (now > line->free_at ? now : line->free_at) + hit - cost->hit +
		       cost_line(cost, how == LINE_READ ? reach.least : reach.greatest);
	/* Losing the other copies moves no data to who has one. */
	result.moved = !mine;
	line->free_at = result.until;
	if (how != LINE_READ)
		memset(line->core, 0, sizeof(line->core));
	give(line, cpu);
	return result;
}
