// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The test backend's table allocator and warning counter. */
#include "plat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_BYTES	4096
#define LIVE_MAGIC	0x6c697665u
#define DEFERRED_MAGIC	0x64656672u

/* Stands for struct page: sits behind the table, in the same allocation. */
struct meta {
	u32 magic;
	void *next;		/* plat_table_chain() */
	void *next_deferred;
};

static u64 fail_countdown;
static u64 nr_live;
static u64 nr_deferred;
static u64 nr_warnings;
static void *deferred;

static struct meta *meta_of(const void *table, u32 magic)
{
	struct meta *meta = (struct meta *)((uintptr_t)table + TABLE_BYTES);

	if (meta->magic != magic) {
		fprintf(stderr, "plat: table %p is not in the state asked for\n",
			table);
		abort();
	}
	return meta;
}

void *plat_table_alloc(void)
{
	void *table;

	if (fail_countdown && --fail_countdown == 0)
		return NULL;
	table = aligned_alloc(TABLE_BYTES, 2 * TABLE_BYTES);
	if (!table)
		abort();
	memset(table, 0, TABLE_BYTES + sizeof(struct meta));
	((struct meta *)((uintptr_t)table + TABLE_BYTES))->magic = LIVE_MAGIC;
	plat_add64(&nr_live, 1);
	return table;
}

static void poison_and_free(void *table, struct meta *meta)
{
	meta->magic = 0;
	memset(table, (int)(PLAT_TEST_POISON & 0xff), TABLE_BYTES);
	/* Keep the poison: it is there for readers without a sanitizer. */
	__asm__ volatile("" : : "r"(table) : "memory");
	free(table);
	plat_add64(&nr_live, -1ull);
}

void plat_table_free(void *table)
{
	poison_and_free(table, meta_of(table, LIVE_MAGIC));
}

void plat_table_free_rcu(void *table)
{
	struct meta *meta = meta_of(table, LIVE_MAGIC);

	meta->magic = DEFERRED_MAGIC;
	meta->next_deferred = deferred;
	deferred = table;
	nr_deferred++;
}

void plat_table_chain(void *table, void *next)
{
	meta_of(table, LIVE_MAGIC)->next = next;
}

void *plat_table_next(const void *table)
{
	return meta_of(table, LIVE_MAGIC)->next;
}

void plat_warn_once(const char *msg)
{
	fprintf(stderr, "plat: warning: %s\n", msg);
	plat_add64(&nr_warnings, 1);
}

void plat_test_fail_nth(u64 nth)
{
	fail_countdown = nth;
}

void plat_test_grace_period(void)
{
	while (deferred) {
		void *table = deferred;
		struct meta *meta = meta_of(table, DEFERRED_MAGIC);

		deferred = meta->next_deferred;
		nr_deferred--;
		poison_and_free(table, meta);
	}
}

u64 plat_test_live(void)
{
	return plat_load(&nr_live);
}

u64 plat_test_deferred(void)
{
	return nr_deferred;
}

u64 plat_test_warnings(void)
{
	return plat_xchg64(&nr_warnings, 0);
}
