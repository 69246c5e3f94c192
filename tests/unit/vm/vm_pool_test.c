// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The pool: pages, objects, nodes, failures, growth. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "hw.h"
#include "pool.h"
#include "soft.h"
#include "space.h"

#define MANY	3000u	/* more than five arenas */

static void *pages[MANY];

static struct vm_local *mine(void)
{
	return &soft_self()->vm;
}

static bool is_zero(const void *p, unsigned long size)
{
	static const char zero[4096];

	return !memcmp(p, zero, size);
}

static unsigned int node_of_page(const void *page)
{
	return (uintptr_t)*plat_arena_slot((void *)((uintptr_t)page & ~(PLAT_ARENA_SIZE - 1)));
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void take_all(void)
{
	for (unsigned int i = 0; i < MANY; i++) {
		pages[i] = pool_page(mine());
		CHECK(pages[i] && !((uintptr_t)pages[i] & 4095));
		if (check_failed())
			return;
		CHECK(is_zero(pages[i], 4096));
		memset(pages[i], 0xa5, 4096);
	}
}

static void give_all(void)
{
	for (unsigned int i = 0; i < MANY; i++)
		pool_page_put(mine(), pages[i]);
}

static void pages_are_zero_and_once(void)
{
	for (int round = 0; round < 3; round++) {
		take_all();
		qsort(pages, MANY, sizeof(*pages), compare);
		for (unsigned int i = 1; i < MANY; i++)
			CHECK(pages[i] != pages[i - 1]);
		give_all();
	}
}

static void first_pages_of_arenas_are_kept(void)
{
	take_all();
	for (unsigned int i = 0; i < MANY; i++)
		CHECK((uintptr_t)pages[i] & (PLAT_ARENA_SIZE - 1));
	give_all();
}

static void arenas_are_contiguous_for_the_guest(void)
{
	take_all();
	for (unsigned int i = 0; i < MANY; i++) {
		char *arena = (char *)((uintptr_t)pages[i] & ~(PLAT_ARENA_SIZE - 1));

		CHECK_EQ(plat_pa(pages[i]) - plat_pa(arena), (char *)pages[i] - arena);
		CHECK(plat_va(plat_pa(pages[i])) == pages[i]);
	}
	give_all();
}

static void what_is_freed_is_used_again(void)
{
	uint64_t made;

	take_all();
	give_all();
	made = pool_made();
	for (int i = 0; i < 5; i++) {
		take_all();
		give_all();
	}
	CHECK_EQ(pool_made(), made);
}

static void *on_other_node(void *arg)
{
	(void)arg;
	soft_begin();
	soft_on_node(1);
	for (unsigned int i = 0; i < 100; i++) {
		pages[i] = pool_page(mine());
		/* Its magazine had some from before it moved. */
		if (i >= POOL_MAGAZINE)
			CHECK_EQ(node_of_page(pages[i]), 1);
	}
	soft_end();
	return NULL;
}

/* Freed here, they are the other node's all the same. */
static void pages_stay_on_their_node(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, on_other_node, NULL);
	pthread_join(thread, NULL);
	for (unsigned int i = 0; i < 100; i++)
		pool_page_put(mine(), pages[i]);
	for (unsigned int i = 0; i < 4 * POOL_MAGAZINE; i++) {
		pages[i] = pool_page(mine());
		if (i >= POOL_MAGAZINE)
			CHECK_EQ(node_of_page(pages[i]), 0);
	}
	for (unsigned int i = 0; i < 4 * POOL_MAGAZINE; i++)
		pool_page_put(mine(), pages[i]);
}

/* With memory to remember tables in. */
static void protect_a_page(void)
{
	soft_enter();
	for (int i = 0; i < 2; i++)
		CHECK_EQ(dune_vm_protect(NULL, (void *)0x100000000000ull, PAGE_SIZE, DUNE_R), 0);
	soft_leave();
}

static void *takes_and_ends(void *arg)
{
	void *page[POOL_MAGAZINE], *cell[50];

	(void)arg;
	soft_begin();
	protect_a_page();
	for (unsigned int i = 0; i < POOL_MAGAZINE; i++)
		page[i] = pool_page(mine());
	for (unsigned int i = 0; i < 50; i++) {
		cell[i] = pool_cell(mine(), POOL_OTHER);
		CHECK(cell[i] && is_zero(cell[i], POOL_CELL));
		memset(cell[i], 0x5a, POOL_CELL);
	}
	for (unsigned int i = 0; i < POOL_MAGAZINE; i++)
		pool_page_put(mine(), page[i]);
	for (unsigned int i = 0; i < 50; i++)
		pool_cell_put(mine(), POOL_OTHER, cell[i]);
	soft_end();
	return NULL;
}

static void threads_that_end_leave_nothing_behind(void)
{
	uint64_t made = 0, in_use = 0;
	pthread_t thread;

	for (int i = 0; i < 300; i++) {
		pthread_create(&thread, NULL, takes_and_ends, NULL);
		pthread_join(thread, NULL);
		if (i == 100) {
			made = pool_made();
			in_use = made - pool_idle();
		}
	}
	CHECK_EQ(pool_made(), made);
	CHECK_EQ(pool_made() - pool_idle(), in_use);
}

/*
 * Who remembers a descriptor may lock it at any time: it is one for ever, and its
 * lock stays taken whoever has it.
 */
static void descriptors_stay_descriptors(void)
{
	enum { TABLES = 100, CELLS = 500 };
	static struct pt_table *table[TABLES];
	static void *cell[CELLS];

	for (int i = 0; i < TABLES; i++)
		CHECK((table[i] = pt_table_alloc()) != NULL);
	for (int i = 0; i < TABLES; i++) {
		table[i]->place = table[i]->nr_leaves = 1;
		CHECK(plat_trylock(&table[i]->lock, 1));
		pt_table_free(table[i]);
	}
	for (int i = 0; i < CELLS; i++) {
		CHECK((cell[i] = pool_cell(mine(), POOL_OTHER)) != NULL);
		for (int k = 0; k < TABLES; k++)
			CHECK(cell[i] != table[k]);
	}
	for (int i = 0; i < CELLS; i++)
		pool_cell_put(mine(), POOL_OTHER, cell[i]);
	for (int i = 0; i < TABLES; i++) {
		struct pt_table *again = pt_table_alloc();

		CHECK(again != NULL);
		CHECK_EQ(again->place, 0);
		CHECK_EQ(again->nr_leaves, 0);
		cell[i] = again;
		for (int k = 0; k < TABLES; k++)
			if (again == table[k])
				CHECK(!plat_trylock(&again->lock, 1));
	}
	for (int i = 0; i < TABLES; i++) {
		struct pt_table *again = cell[i];

		plat_unlock(&again->lock);
		pt_table_free(again);
	}
}

static void no_memory_is_no_page(void)
{
	/* The page, the object. */
	for (uint64_t nth = 1; nth < 4; nth++) {
		void *page, *cell;

		pool_drain(mine());
		soft_fail_nth(nth);
		page = pool_page(mine());
		cell = pool_cell(mine(), POOL_OTHER);
		CHECK(nth > 2 || !page || !cell);
		soft_fail_nth(0);
		if (page)
			pool_page_put(mine(), page);
		if (cell)
			pool_cell_put(mine(), POOL_OTHER, cell);
	}
	soft_limit_slots(0);
	/* What there is of this space, then no more. */
	while (space_get(mine(), 400))
		;
	soft_limit_slots(1000);
	CHECK(space_get(mine(), 400) != NULL);
}

int main(void)
{
	soft_init(DUNE_CAP_INVPCID);
	soft_begin();
	CASE(pages_are_zero_and_once);
	CASE(first_pages_of_arenas_are_kept);
	CASE(arenas_are_contiguous_for_the_guest);
	CASE(what_is_freed_is_used_again);
	CASE(pages_stay_on_their_node);
	CASE(threads_that_end_leave_nothing_behind);
	CASE(descriptors_stay_descriptors);
	CASE(no_memory_is_no_page);
	soft_end();
	return CHECK_EXIT();
}
