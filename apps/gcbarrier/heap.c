// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "heap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cli.h"

_Static_assert(sizeof(struct object) * OBJECTS_PER_PAGE == PAGE, "a page of objects");

void heap_create(struct heap *heap, unsigned long nr_pages)
{
	memset(heap, 0, sizeof(*heap));
	heap->base = mmap(NULL, nr_pages * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	heap->mark = calloc(nr_pages, sizeof(*heap->mark));
	heap->free = malloc(nr_pages * sizeof(*heap->free));
	if (heap->base == MAP_FAILED || !heap->mark || !heap->free)
		cli_die("no memory for a heap of %lu pages\n  next: a smaller --heap", nr_pages);
	memset(heap->free, 0xff, nr_pages * sizeof(*heap->free));
	heap->nr_pages = nr_pages;
	heap->epoch = 1;
}

void heap_destroy(struct heap *heap)
{
	munmap(heap->base, heap->nr_pages * PAGE);
	free(heap->mark);
	free(heap->free);
}

static int slots_take(struct heap *heap, struct slots *slots)
{
	for (;;) {
		unsigned long page = __atomic_fetch_add(&heap->next, 1, __ATOMIC_RELAXED);

		if (page >= heap->nr_pages)
			return -1;
		slots->free = __atomic_exchange_n(&heap->free[page], 0, __ATOMIC_RELAXED);
		if (!slots->free)
			continue;
		slots->page = page;
		slots->epoch = heap->epoch;
		return 0;
	}
}

struct object *heap_alloc(struct heap *heap, struct slots *slots, uint64_t value)
{
	struct object *object;
	unsigned int i;

	if ((slots->epoch != heap->epoch || !slots->free) && slots_take(heap, slots))
		return NULL;
	i = __builtin_ctzll(slots->free);
	slots->free &= slots->free - 1;
	object = (struct object *)(heap->base + slots->page * PAGE) + i;
	memset(object, 0, sizeof(*object));
	object->value = value;
	return object;
}

void heap_sweep(struct heap *heap)
{
	for (unsigned long i = 0; i < heap->nr_pages; i++)
		heap->free[i] = ~heap->mark[i];
	heap->next = 0;
	heap->epoch++;
}

unsigned long heap_count(const struct heap *heap, const uint64_t *marks)
{
	unsigned long n = 0;

	for (unsigned long i = 0; i < heap->nr_pages; i++)
		n += __builtin_popcountll(marks[i]);
	return n;
}
