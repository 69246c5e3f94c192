/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * A heap of objects of one size. What the collector writes (marks, free slots)
 * lies outside of the pages that the barrier watches.
 */
#ifndef HEAP_H
#define HEAP_H

#include <stddef.h>
#include <stdint.h>

#define PAGE		4096ul
#define CHILDREN	7
#define OBJECTS_PER_PAGE 64	/* one word of mark bits a page */
#define MAX_THREADS	64

struct object {
	uint64_t value;
	struct object *child[CHILDREN];
};

struct heap {
	char *base;
	unsigned long nr_pages;
	uint64_t *mark;		/* a word a page; the collector's */
	uint64_t *free;		/* a word a page: slots nobody has taken; atomic */
	unsigned long next;	/* page to take slots from; atomic */
	unsigned long epoch;	/* of free; changes while all threads are stopped */
	struct object *root[MAX_THREADS];
};

/* The slots of a page that a thread has taken. */
struct slots {
	unsigned long page;
	unsigned long epoch;
	uint64_t free;
};

/* Ends the program when there is no memory. */
void heap_create(struct heap *heap, unsigned long nr_pages);
void heap_destroy(struct heap *heap);

/* An object without children, or NULL: collect first. */
struct object *heap_alloc(struct heap *heap, struct slots *slots, uint64_t value);

/* Give everything that is not marked to heap_alloc(). All threads are stopped. */
void heap_sweep(struct heap *heap);

unsigned long heap_count(const struct heap *heap, const uint64_t *marks);

/* Which page, which bit; only for objects of this heap. */
static inline unsigned long heap_page_of(const struct heap *heap, const struct object *object)
{
	return ((const char *)object - heap->base) / PAGE;
}

static inline uint64_t heap_bit_of(const struct object *object)
{
	return 1ull << ((uintptr_t)object % PAGE / sizeof(*object));
}

/* Children are read by the collector while their owner changes them. */
static inline struct object *child_get(const struct object *object, unsigned int i)
{
	return __atomic_load_n(&object->child[i], __ATOMIC_ACQUIRE);
}

static inline void child_set(struct object *object, unsigned int i, struct object *child)
{
	__atomic_store_n(&object->child[i], child, __ATOMIC_RELEASE);
}

#endif /* HEAP_H */
