// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Threads' areas: struct dune_thread and the stacks of the run stub and of traps;
 * asm.h has how they lie. A group of areas is mapped at once and kept; what a
 * thread leaves is for the next one on its node.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "area.h"
#include "vm/pool.h"

uint64_t dune_heads;

/* Under dune_lock(). */
static struct area_depot {
	struct dune_thread *free;
	uint64_t fresh;			/* stacks of the next one; used neither */
	unsigned int nr_fresh;		/* so many, in their group */
} depots[POOL_NODES];
static uint64_t groups[WINDOW_GROUPS];	/* by their number in the window; 0: none */
static unsigned int nr_groups;

static uint64_t map(uint64_t size, int prot)
{
	void *p = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return 0;
	/* Only saves memory. */
	madvise(p, size, MADV_NOHUGEPAGE);
	return (uint64_t)p;
}

static void unmap(uint64_t start, uint64_t end)
{
	if (start < end)
		munmap((void *)start, end - start);
}

/* What an address in a group's stacks leads to is its own. */
static uint64_t *group_at(uint64_t addr)
{
	return &groups[addr / GROUP_SIZE % WINDOW_GROUPS];
}

/*
 * A group whose number is free, of nr that are mapped side by side, or GROUP_NONE of
 * them. 0: errno
 */
#define GROUP_NONE	1
static uint64_t group_of(uint64_t nr)
{
	uint64_t size = (nr + 1) * GROUP_SIZE, p = map(size, PROT_NONE);
	uint64_t group = (p + GROUP_SIZE - 1) & ~(GROUP_SIZE - 1ul);

	if (!p)
		return 0;
	while (group + GROUP_SIZE <= p + size && *group_at(group))
		group += GROUP_SIZE;
	if (group + GROUP_SIZE > p + size) {
		unmap(p, p + size);
		return GROUP_NONE;
	}
	unmap(p, group);
	unmap(group + GROUP_SIZE, p + size);
	return group;
}

/* One number is free. */
static uint64_t group_map(void)
{
	uint64_t group = group_of(1);

	/* Of one more than there are, one has a number of its own. */
	if (group == GROUP_NONE)
		group = group_of(nr_groups + 1);
	if (group && mprotect((void *)group, GROUP_SIZE, PROT_READ | PROT_WRITE)) {
		unmap(group, group + GROUP_SIZE);
		return 0;
	}
	return group;
}

static int add_group_locked(struct area_depot *depot)
{
	uint64_t group;

	if (nr_groups == WINDOW_GROUPS) {
		errno = ENOSPC;
		return -1;
	}
	if (!dune_heads)
		dune_heads = map(HEADS_SIZE, PROT_READ | PROT_WRITE);
	group = dune_heads ? group_map() : 0;
	if (!group)
		return -1;
	*group_at(group) = group;
	nr_groups++;
	depot->fresh = group;
	depot->nr_fresh = GROUP_THREADS;
	return 0;
}

static struct dune_thread *take_fresh_locked(struct area_depot *depot)
{
	struct dune_thread *t = dune_thread_at((void *)depot->fresh);

	t->stacks = depot->fresh;
	t->node = depot - depots;
	depot->fresh += THREAD_STACK_SIZE;
	depot->nr_fresh--;
	return t;
}

static struct dune_thread *take_from_locked(struct area_depot *depot)
{
	struct dune_thread *t = depot->free;

	if (t)
		depot->free = t->next;
	else if (depot->nr_fresh)
		t = take_fresh_locked(depot);
	return t;
}

/* Of this node; when there is no more to be had, of any. */
static struct dune_thread *take_locked(unsigned int node)
{
	struct dune_thread *t = take_from_locked(&depots[node]);

	if (!t && !add_group_locked(&depots[node]))
		t = take_fresh_locked(&depots[node]);
	for (node = 0; node < POOL_NODES && !t; node++)
		t = take_from_locked(&depots[node]);
	return t;
}

struct dune_thread *area_get(void)
{
	struct dune_thread *t;
	uint64_t stacks;
	uint32_t node;

	dune_lock();
	t = take_locked(node_here() % POOL_NODES);
	dune_unlock();
	if (!t)
		return NULL;
	stacks = t->stacks;
	node = t->node;
	memset(t, 0, sizeof(*t));
	t->stacks = stacks;
	t->node = node;
	plat_note(t, sizeof(*t), "dune_thread");
	return t;
}

void area_put(struct dune_thread *t)
{
	struct area_depot *depot = &depots[t->node];

	plat_note_gone(t);
	dune_lock();
	t->next = depot->free;
	depot->free = t;
	dune_unlock();
}

void area_forget(void)
{
	for (unsigned int i = 0; i < WINDOW_GROUPS; i++)
		unmap(groups[i], groups[i] ? groups[i] + GROUP_SIZE : 0);
	unmap(dune_heads, dune_heads ? dune_heads + HEADS_SIZE : 0);
	dune_heads = 0;
	nr_groups = 0;
	memset(groups, 0, sizeof(groups));
	memset(depots, 0, sizeof(depots));
}
