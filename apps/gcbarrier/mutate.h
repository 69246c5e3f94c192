/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * A mutator: a thread with a tree of its own in the common heap. It moves
 * subtrees about, the classic way to hide an object from a collector, replaces
 * leaves by new ones, and reads. What comes out depends on the seed alone.
 */
#ifndef MUTATE_H
#define MUTATE_H

#include "../common/world.h"
#include "heap.h"

struct mutator {
	struct heap *heap;
	struct world *world;
	unsigned int number;
	unsigned long operations;
	uint64_t seed;
	struct slots slots;
	uint64_t checksum;	/* of what was read, and of the tree in the end */
	unsigned long bad;	/* objects that are not what was put there */
} __attribute__((aligned(128)));

/* The tree, the operations, the checksum. */
void mutate(struct mutator *mutator);

/* Objects of a tree. */
#define TREE_OBJECTS	(1 + 7 + 49 + 343 + 2401ul)

#endif /* MUTATE_H */
