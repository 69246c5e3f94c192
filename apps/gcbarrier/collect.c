// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "collect.h"

#include <stdlib.h>
#include <string.h>

#include "cli.h"

void collect_init(struct collector *c)
{
	unsigned long nr = c->heap->nr_pages;

	c->stack = malloc(nr * OBJECTS_PER_PAGE * sizeof(*c->stack));
	c->pages = calloc((nr + 63) / 64, sizeof(*c->pages));
	c->check = calloc(nr, sizeof(*c->check));
	if (!c->stack || !c->pages || !c->check)
		cli_die("no memory for the collector\n  next: a smaller --heap");
}

void collect_destroy(struct collector *c)
{
	free(c->stack);
	free(c->pages);
	free(c->check);
}

/* --- marking --- */

static void mark(struct collector *c, uint64_t *marks, struct object *object)
{
	uint64_t *word = &marks[heap_page_of(c->heap, object)];
	uint64_t bit = heap_bit_of(object);

	if (*word & bit)
		return;
	*word |= bit;
	c->stack[c->depth++] = object;
}

static void mark_children(struct collector *c, uint64_t *marks, const struct object *object)
{
	for (unsigned int i = 0; i < CHILDREN; i++) {
		struct object *child = child_get(object, i);

		if (child)
			mark(c, marks, child);
	}
}

static void drain(struct collector *c, uint64_t *marks)
{
	while (c->depth)
		mark_children(c, marks, c->stack[--c->depth]);
}

static void mark_roots(struct collector *c, uint64_t *marks)
{
	for (unsigned int i = 0; i < MAX_THREADS; i++) {
		struct object *root = __atomic_load_n(&c->heap->root[i], __ATOMIC_ACQUIRE);

		if (root)
			mark(c, marks, root);
	}
	drain(c, marks);
}

/* What is marked there may have got other children. */
static void scan_page(struct collector *c, unsigned long page)
{
	struct object *objects = (struct object *)(c->heap->base + page * PAGE);

	for (uint64_t left = c->heap->mark[page]; left; left &= left - 1)
		mark_children(c, c->heap->mark, &objects[__builtin_ctzll(left)]);
	drain(c, c->heap->mark);
}

static void take(struct collector *c)
{
	int err = c->barrier->take(c->pages);

	if (err)
		cli_die("barrier %s: %s\n  next: a smaller --heap", c->barrier->name,
			strerror(-err));
}

/* The number of pages that were written to, and are scanned now. */
static unsigned long scan_written(struct collector *c)
{
	unsigned long n = 0;

	take(c);
	for (unsigned long i = 0; i < c->heap->nr_pages; i++) {
		if (c->pages[i / 64] & 1ull << i % 64) {
			scan_page(c, i);
			n++;
		}
	}
	return n;
}

/* --- the oracle --- */

/*
 * Mark everything anew, all mutators stopped. What only this finds, the
 * collection would give away while it is used.
 */
static void collect_check(struct collector *c)
{
	unsigned long lost = 0;

	memset(c->check, 0, c->heap->nr_pages * sizeof(*c->check));
	mark_roots(c, c->check);
	for (unsigned long i = 0; i < c->heap->nr_pages; i++)
		lost += __builtin_popcountll(c->check[i] & ~c->heap->mark[i]);
	c->stats.checked += heap_count(c->heap, c->check);
	c->stats.lost += lost;
	if (lost)
		cli_die("collection %lu lost %lu objects that are in use",
			c->world->cycles, lost);
}

/* --- collections --- */

static void finish(struct collector *c)
{
	world_stop(c->world);
	c->stats.pages_stopped += scan_written(c);
	mark_roots(c, c->heap->mark);
	collect_check(c);
	heap_sweep(c->heap);
	world_start(c->world);
}

static void collect_minor(struct collector *c)
{
	c->stats.pages_beside += scan_written(c);
	finish(c);
	c->stats.minors++;
}

/* The pages told here do not matter: nothing is marked yet. */
static void collect_full(struct collector *c)
{
	memset(c->heap->mark, 0, c->heap->nr_pages * sizeof(*c->heap->mark));
	take(c);
	mark_roots(c, c->heap->mark);
	c->stats.pages_beside += scan_written(c);
	finish(c);
	c->stats.fulls++;
}

static unsigned long nr_free(struct collector *c)
{
	return c->heap->nr_pages * OBJECTS_PER_PAGE - heap_count(c->heap, c->heap->mark);
}

void collect_loop(struct collector *c)
{
	unsigned long few = c->heap->nr_pages * OBJECTS_PER_PAGE / 8;

	for (unsigned long i = 1; world_wait_for_work(c->world, c->operations); i++) {
		if (i % FULL_EVERY && nr_free(c) > few)
			collect_minor(c);
		else
			collect_full(c);
		if (!nr_free(c))
			cli_die("the heap is full\n  next: a larger --heap");
	}
}
