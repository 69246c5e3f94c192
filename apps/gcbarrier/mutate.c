// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "mutate.h"

#include "rand.h"

#define LEAF_LEVEL	4
#define READ_LEVEL	2
#define TELL_EVERY	64	/* operations, to the collector */
#define STAY		256	/* operations, mostly in one part of the tree */

/* Values say whose and at which level, so that a wrong object shows. */
static uint64_t value_of(const struct mutator *m, unsigned int level, uint64_t what)
{
	return (uint64_t)(m->number + 1) << 56 | (uint64_t)level << 48 | (what & 0xffffffff);
}

/* Waits for a collection if it must: what is not linked in a tree is gone then. */
static struct object *get(struct mutator *m, unsigned int level, uint64_t what)
{
	struct object *object;

	while (!(object = heap_alloc(m->heap, &m->slots, value_of(m, level, what))))
		world_wait_for_memory(m->world);
	return object;
}

/* Each object is linked before the next one is asked for. */
static void grow(struct mutator *m, struct object *object, unsigned int level, uint64_t what)
{
	if (level == LEAF_LEVEL)
		return;
	for (unsigned int i = 0; i < CHILDREN; i++) {
		struct object *child = get(m, level + 1, mix(what * CHILDREN + i));

		child_set(object, i, child);
		grow(m, child, level + 1, mix(what + i));
	}
}

/* A place for an object of this level: parent and index. */
struct place {
	struct object *parent;
	unsigned int i;
};

static struct place pick(struct mutator *m, uint64_t *rand, unsigned int level, unsigned int part)
{
	struct place place = { m->heap->root[m->number], part };

	if (!rand_below(rand, 16))
		place.i = rand_below(rand, CHILDREN);
	for (unsigned int l = 1; l < level; l++) {
		place.parent = child_get(place.parent, place.i);
		place.i = rand_below(rand, CHILDREN);
	}
	return place;
}

static void swap(struct place a, struct place b)
{
	struct object *x = child_get(a.parent, a.i), *y = child_get(b.parent, b.i);

	child_set(a.parent, a.i, y);
	child_set(b.parent, b.i, x);
}

static void replace(struct mutator *m, struct place at, unsigned int level, uint64_t what)
{
	struct object *object = get(m, level, what);

	child_set(at.parent, at.i, object);
	grow(m, object, level, what);
}

static uint64_t sum_up(struct mutator *m, const struct object *object, unsigned int level,
		       uint64_t sum)
{
	if (object->value >> 48 != value_of(m, level, 0) >> 48)
		m->bad++;
	sum = mix(sum * 31 + object->value);
	for (unsigned int i = 0; level < LEAF_LEVEL && i < CHILDREN; i++)
		sum = sum_up(m, child_get(object, i), level + 1, sum);
	return sum;
}

static void operate(struct mutator *m, uint64_t *rand, unsigned long n)
{
	unsigned int part = n / STAY % CHILDREN;
	unsigned int level = LEAF_LEVEL - !rand_below(rand, 16);
	struct place at;

	if (rand_below(rand, 2))
		swap(pick(m, rand, level, part), pick(m, rand, level, part));
	else
		replace(m, pick(m, rand, level, part), level, mix(n ^ m->seed));
	at = pick(m, rand, READ_LEVEL, part);
	m->checksum = sum_up(m, child_get(at.parent, at.i), READ_LEVEL, m->checksum);
}

void mutate(struct mutator *m)
{
	uint64_t rand = mix(m->seed + m->number);
	struct object *root = get(m, 0, m->seed);

	__atomic_store_n(&m->heap->root[m->number], root, __ATOMIC_RELEASE);
	grow(m, root, 0, m->seed);
	for (unsigned long n = 0; n < m->operations; n++) {
		operate(m, &rand, n);
		if (n % TELL_EVERY == TELL_EVERY - 1)
			world_pause(m->world, TELL_EVERY);
		else
			world_safepoint(m->world);
	}
	m->checksum = sum_up(m, root, 0, m->checksum);
	world_leave(m->world, m->operations % TELL_EVERY);
}
