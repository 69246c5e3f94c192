// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Operations that take memory away. See conflicts.h. */
#include "test.h"

#include <sys/mman.h>

#include "conflicts.h"

static __thread uint64_t succeeded;

static uint64_t nr_succeeded(void)
{
	return succeeded;
}

static void discard(volatile char *place)
{
	succeeded += madvise((void *)place, PAGE, MADV_DONTNEED) == 0;
}

/* In the EPT, too. */
static void touch(volatile char *place)
{
	*place = 1;
}

static __thread volatile char *last;

static void none_begin(volatile char *area)
{
	last = NULL;
}

/* The EPT has the table, with the neighbour in it. */
static void touch_neighbour(volatile char *place)
{
	if (last)
		*last = 1;
	last = place;
}

const struct op flush_ops[] = {
	/*
	 * Of memory that nobody has: nothing is to be flushed. With pauses: Linux flushes
	 * all CPUs when two threads take memory away at a time, were it none.
	 */
	{ "discard_none", discard, .begin = none_begin, .prepare = touch_neighbour,
	  .step = PAGE, .done = nr_succeeded,
	  .shares = OF_LINUX | OF_BUCKET, .rest = 60000 },
	/* The others are interrupted: they need time of their own. */
	{ "discard", discard, .prepare = touch, .step = PAGE, .done = nr_succeeded,
	  .shares = OF_LINUX | OF_BUCKET | OF_GENERATION, .rest = 60000 },
};
const int nr_flush_ops = sizeof(flush_ops) / sizeof(*flush_ops);
