// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The pool; see pool.h. A free page is zero but for its first word, which links
 * it. Of a new arena only what is given out is ever touched.
 */
#include "hw.h"
#include "pool.h"
#include "space.h"

#define CELLS_MAX	128u	/* of a thread */
#define CELLS_FIRST	4u	/* what a new one gets: it may never use more */

struct depot {
	u32 lock;
	u32 nr;			/* pages in the list */
	void *pages;
	char *fresh, *fresh_end;	/* of the newest arena: never used */
} __attribute__((aligned(64)));

static struct depot depots[POOL_NODES];
static u64 made;

static struct cell_depot {
	u32 lock;
	void *cells;
} __attribute__((aligned(64))) cell_depots[POOL_KINDS];

static void *pop(void **list)
{
	void *item = *list;

	*list = *(void **)item;
	*(void **)item = NULL;
	return item;
}

static void push(void **list, void *item)
{
	*(void **)item = *list;
	*list = item;
}

/* The owner's word of an arena's first page: its node. */
static unsigned int node_of(const void *page)
{
	const char *arena = (const char *)((uintptr_t)page & ~(PLAT_ARENA_SIZE - 1));

	return (uintptr_t)*plat_arena_slot(arena);
}

static bool grow_locked(struct vm_local *local, struct depot *depot,
			unsigned int node)
{
	char *arena = space_get(local, 1);

	if (!arena)
		return false;
	node_place(arena, PLAT_ARENA_SIZE);
	*plat_arena_slot(arena) = (void *)(uintptr_t)node;
	depot->fresh = arena + PAGE_SIZE;
	depot->fresh_end = arena + PLAT_ARENA_SIZE;
	return true;
}

static void *depot_page_locked(struct vm_local *local, struct depot *depot,
			       unsigned int node)
{
	void *page;

	if (depot->pages) {
		depot->nr--;
		return pop(&depot->pages);
	}
	if (depot->fresh == depot->fresh_end && !grow_locked(local, depot, node))
		return NULL;
	page = depot->fresh;
	depot->fresh += PAGE_SIZE;
	__atomic_fetch_add(&made, 1, __ATOMIC_RELAXED);
	return page;
}

static void refill_pages(struct vm_local *local)
{
	unsigned int node = node_here() % POOL_NODES;
	struct depot *depot = &depots[node];

	vm_lock(&depot->lock);
	while (local->nr_pages < POOL_MAGAZINE / 2) {
		void *page = depot_page_locked(local, depot, node);

		if (!page)
			break;
		local->page_of[local->nr_pages++] = page;
	}
	vm_unlock(&depot->lock);
}

/* The last page's depot, and those before it that have the same. */
static void return_run(struct vm_local *local, unsigned int keep)
{
	unsigned int node = node_of(local->page_of[local->nr_pages - 1]);
	struct depot *depot = &depots[node];

	vm_lock(&depot->lock);
	do {
		push(&depot->pages, local->page_of[--local->nr_pages]);
		depot->nr++;
	} while (local->nr_pages > keep && node_of(local->page_of[local->nr_pages - 1]) == node);
	vm_unlock(&depot->lock);
}

/* Each to the depot of its own node. */
static void return_pages(struct vm_local *local, unsigned int keep)
{
	while (local->nr_pages > keep)
		return_run(local, keep);
}

void *pool_page(struct vm_local *local)
{
	if (hw_out_of_memory())
		return NULL;
	if (!local->nr_pages)
		refill_pages(local);
	if (!local->nr_pages)
		return NULL;
	return local->page_of[--local->nr_pages];
}

void pool_page_put(struct vm_local *local, void *page)
{
	__builtin_memset(page, 0, PAGE_SIZE);
	if (local->nr_pages == POOL_MAGAZINE)
		return_pages(local, POOL_MAGAZINE / 2);
	local->page_of[local->nr_pages++] = page;
}

/* --- objects: linked by their second word --- */

static void **cell_link(void *cell)
{
	return (void **)cell + 1;
}

static void *cell_pop(void **list)
{
	void *cell = *list;

	*list = *cell_link(cell);
	*cell_link(cell) = NULL;
	return cell;
}

static void cell_push(void **list, void *cell)
{
	*cell_link(cell) = *list;
	*list = cell;
}

static void return_cells(struct vm_local *local, enum pool_kind kind, unsigned int keep)
{
	struct cell_depot *depot = &cell_depots[kind];
	struct vm_cells *mine = &local->cells[kind];

	vm_lock(&depot->lock);
	while (mine->nr > keep) {
		cell_push(&depot->cells, cell_pop(&mine->list));
		mine->nr--;
	}
	vm_unlock(&depot->lock);
}

/* A thread that only waits takes a page no more than in part; busy ones, few locks. */
static u32 refill_goal(struct vm_cells *mine)
{
	u32 goal = CELLS_FIRST << mine->refills;

	if (goal >= CELLS_MAX / 2)
		return CELLS_MAX / 2;
	mine->refills++;
	return goal;
}

static void refill_cells(struct vm_local *local, enum pool_kind kind)
{
	struct cell_depot *depot = &cell_depots[kind];
	struct vm_cells *mine = &local->cells[kind];
	u32 goal = refill_goal(mine);
	char *page;

	vm_lock(&depot->lock);
	while (depot->cells && mine->nr < goal) {
		cell_push(&mine->list, cell_pop(&depot->cells));
		mine->nr++;
	}
	vm_unlock(&depot->lock);
	if (mine->list)
		return;
	page = pool_page(local);
	for (unsigned int i = 0; page && i < PAGE_SIZE; i += POOL_CELL) {
		cell_push(&mine->list, page + i);
		mine->nr++;
	}
	if (mine->nr > goal)
		return_cells(local, kind, goal);
}

void *pool_cell(struct vm_local *local, enum pool_kind kind)
{
	struct vm_cells *mine = &local->cells[kind];

	if (hw_out_of_memory())
		return NULL;
	if (!mine->list)
		refill_cells(local, kind);
	if (!mine->list)
		return NULL;
	mine->nr--;
	return cell_pop(&mine->list);
}

void pool_cell_put(struct vm_local *local, enum pool_kind kind, void *cell)
{
	struct vm_cells *mine = &local->cells[kind];
	unsigned int kept = kind == POOL_TABLE ? 8 : 0;

	__builtin_memset((char *)cell + kept, 0, POOL_CELL - kept);
	if (mine->nr == CELLS_MAX)
		return_cells(local, kind, CELLS_MAX / 2);
	cell_push(&mine->list, cell);
	mine->nr++;
}

void pool_drain(struct vm_local *local)
{
	return_pages(local, 0);
	for (unsigned int kind = 0; kind < POOL_KINDS; kind++)
		return_cells(local, kind, 0);
}

u64 pool_made(void)
{
	return __atomic_load_n(&made, __ATOMIC_RELAXED);
}

u64 pool_idle(void)
{
	u64 idle = 0;

	for (unsigned int i = 0; i < POOL_NODES; i++)
		idle += depots[i].nr;
	return idle;
}

void pool_forget(void)
{
	__builtin_memset(depots, 0, sizeof(depots));
	__builtin_memset(cell_depots, 0, sizeof(cell_depots));
	made = 0;
}
