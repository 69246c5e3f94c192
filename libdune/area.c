// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Threads' areas: struct dune_thread and the stacks of the run stub and of traps;
 * asm.h has how they lie. A group of areas is mapped at once and kept; what a
 * thread leaves is for the next one on its node.
 */
#include <string.h>
#include <sys/mman.h>

#include "area.h"
#include "vm/pool.h"

/* Under dune_lock(). */
static struct area_depot {
	struct dune_thread *free;
	struct dune_thread *fresh;	/* never used, with those behind it in its group */
	unsigned int nr_fresh;
} depots[POOL_NODES];
static struct dune_thread *groups;	/* all, by their first area, which is in use first */

static struct dune_thread *group_map(void)
{
	char *p, *start;

	p = mmap(NULL, 2 * GROUP_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	start = (char *)(((uintptr_t)p + GROUP_SIZE - 1) & ~(GROUP_SIZE - 1));
	if (start > p)
		munmap(p, start - p);
	if (start < p + GROUP_SIZE)
		munmap(start + GROUP_SIZE, p + GROUP_SIZE - start);
	madvise(start, GROUP_SIZE, MADV_NOHUGEPAGE);
	return (struct dune_thread *)start;
}

static struct dune_thread *take_locked(struct area_depot *depot)
{
	struct dune_thread *t = depot->free;

	if (t) {
		depot->free = t->next;
	} else if (depot->nr_fresh) {
		t = depot->fresh;
		depot->fresh = (struct dune_thread *)((char *)t + THREAD_STACK_SIZE);
		depot->nr_fresh--;
	}
	return t;
}

static struct dune_thread *add_locked(struct area_depot *depot, struct dune_thread *group)
{
	group->next_group = groups;
	groups = group;
	depot->fresh = group;
	depot->nr_fresh = GROUP_THREADS;
	return take_locked(depot);
}

static struct dune_thread *take_or_add(struct area_depot *depot)
{
	struct dune_thread *t, *group = NULL;

	dune_lock();
	t = take_locked(depot);
	dune_unlock();
	if (!t)
		group = group_map();
	if (!group)
		return t;
	dune_lock();
	/* Another thread may have come first. */
	t = take_locked(depot);
	if (!t)
		t = add_locked(depot, group);
	dune_unlock();
	if (t != group)
		munmap(group, GROUP_SIZE);
	return t;
}

struct dune_thread *area_get(void)
{
	unsigned int node = node_here() % POOL_NODES;
	struct dune_thread *t = take_or_add(&depots[node]);

	if (!t)
		return NULL;
	memset(t, 0, offsetof(struct dune_thread, next_group));
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
	struct dune_thread *group, *next;

	for (group = groups; group; group = next) {
		next = group->next_group;
		munmap(group, GROUP_SIZE);
	}
	groups = NULL;
	memset(depots, 0, sizeof(depots));
}
