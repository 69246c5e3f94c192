// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Physical memory: pages for every unit, reused as late as possible. */
#include <string.h>

#include "guest.h"

static struct cell cells[NR_MEMORIES][NR_UNITS];
static u64 last_stamp, next_memory;

u64 stamp_now(void)
{
	return __atomic_load_n(&last_stamp, __ATOMIC_ACQUIRE);
}

static u64 new_stamp(void)
{
	return __atomic_add_fetch(&last_stamp, 1, __ATOMIC_ACQ_REL);
}

static void poison(struct cell *cell)
{
	cell->stamp = cell->content = PLAT_TEST_POISON;
	memset(cell->data, (int)(PLAT_TEST_POISON & 0xff), sizeof(cell->data));
}

void memory_init(void)
{
	memset(cells, 0, sizeof(cells));
	for (unsigned int m = 0; m < NR_MEMORIES; m++)
		for (unsigned int u = 0; u < NR_UNITS; u++)
			poison(&cells[m][u]);
}

struct cell *cell_of(unsigned int memory, unsigned int unit)
{
	return &cells[memory][unit];
}

static void give_back(unsigned int memory, unsigned int unit)
{
	__atomic_store_n(&cells[memory][unit].used, 0, __ATOMIC_RELEASE);
}

/* All or none. */
static bool take(unsigned int memory, unsigned int first, unsigned int last)
{
	for (unsigned int u = first; u <= last; u++) {
		u32 free = 0;

		if (plat_cas32(&cells[memory][u].used, &free, 1))
			continue;
		while (u-- > first)
			give_back(memory, u);
		return false;
	}
	return true;
}

unsigned int memory_alloc(unsigned int first, unsigned int last)
{
	for (unsigned int tries = 0; tries < 8 * NR_MEMORIES; tries++) {
		unsigned int m = __atomic_fetch_add(&next_memory, 1,
						    __ATOMIC_RELAXED) %
				 NR_MEMORIES;

		if (!take(m, first, last))
			continue;
		for (unsigned int u = first; u <= last; u++) {
			struct cell *cell = &cells[m][u];

			memset(cell->data, 0, sizeof(cell->data));
			plat_store(&cell->version, 0);
			cell->content = new_stamp();
			cell->stamp = new_stamp();
		}
		return m;
	}
	fail("no memory is left: a leak");
}

void memory_free(unsigned int memory, unsigned int unit)
{
	struct cell *cell = &cells[memory][unit];

	if (memory >= NR_MEMORIES || !plat_load(&cell->used))
		fail("memory %u of unit %u is removed twice", memory, unit);
	poison(cell);
	give_back(memory, unit);
}

u64 memory_used(void)
{
	u64 nr = 0;

	for (unsigned int m = 0; m < NR_MEMORIES; m++)
		for (unsigned int u = 0; u < NR_UNITS; u++)
			nr += cells[m][u].used;
	return nr;
}

struct cell *cell_at(u64 pa, unsigned int unit)
{
	u64 memory = (pa >> 40) - 1;

	if (memory >= NR_MEMORIES ||
	    pa - memory_delta(memory) != w.unit[unit].addr)
		fail("unit %u is mapped to 0x%llx, another page's memory", unit,
		     pa);
	return &cells[memory][unit];
}

void cell_copy(unsigned int to, unsigned int from, unsigned int unit)
{
	struct cell *new = &cells[to][unit];
	const struct cell *old = &cells[from][unit];

	memcpy(new->data, old->data, sizeof(new->data));
	new->content = old->content;
}
