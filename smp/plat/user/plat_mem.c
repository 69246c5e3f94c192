// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The test backend's memory. What is freed is filled with poison and kept for
 * a while; then the poison must still be there: nobody has written to it. The
 * address sanitizer sees accesses of any kind meanwhile.
 */
#include "plat.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, size)	((void)(p), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(p, size)	((void)(p), (void)(size))
#endif

#define PAGE_BYTES	4096
#define MAGIC		0x6c697665u
#define QUARANTINE	512u

/* In front of an object; behind a page, in the same allocation. */
struct tag {
	u32 magic;
	u32 bytes;
	u32 place;	/* of a page */
	void *owner;
} __attribute__((aligned(64)));

struct freed {
	void *base;		/* what free() gets */
	unsigned char *content;
	size_t bytes;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct freed quarantine[QUARANTINE];	/* lock */
static unsigned int at;				/* lock: oldest, then next */
static u64 fail_countdown, nr_failed;		/* lock */
static u64 nr_pages, nr_objects;		/* atomic */

__attribute__((noreturn))
static void broken(const char *what, const void *object)
{
	printf("FAIL plat: %s: %p\n", what, object);
	fflush(stdout);
	abort();
}

static bool fails_now(void)
{
	bool fails;

	pthread_mutex_lock(&lock);
	fails = fail_countdown && --fail_countdown == 0;
	nr_failed += fails;
	pthread_mutex_unlock(&lock);
	return fails;
}

void plat_test_fail_nth(u64 nth)
{
	pthread_mutex_lock(&lock);
	fail_countdown = nth;
	nr_failed = 0;
	pthread_mutex_unlock(&lock);
}

bool plat_test_failed(void)
{
	bool failed;

	pthread_mutex_lock(&lock);
	failed = nr_failed != 0;
	pthread_mutex_unlock(&lock);
	return failed;
}

static void let_go(const struct freed *freed)
{
	if (!freed->base)
		return;
	ASAN_UNPOISON_MEMORY_REGION(freed->content, freed->bytes);
	for (size_t i = 0; i < freed->bytes; i++)
		if (freed->content[i] != (PLAT_TEST_POISON & 0xff))
			broken("written after it was freed", freed->content + i);
	free(freed->base);
}

static void put_into_quarantine(void *base, void *content, size_t bytes)
{
	struct freed oldest;

	memset(content, (int)(PLAT_TEST_POISON & 0xff), bytes);
	/* Keep the poison: it is there for readers without a sanitizer. */
	__asm__ volatile("" : : "r"(content) : "memory");
	ASAN_POISON_MEMORY_REGION(content, bytes);
	pthread_mutex_lock(&lock);
	oldest = quarantine[at];
	quarantine[at] = (struct freed){ base, content, bytes };
	at = (at + 1) % QUARANTINE;
	pthread_mutex_unlock(&lock);
	let_go(&oldest);
}

void plat_test_grace_period(void)
{
	plat_rcu_barrier();
	for (unsigned int i = 0; i < QUARANTINE; i++) {
		struct freed freed;

		pthread_mutex_lock(&lock);
		freed = quarantine[i];
		quarantine[i].base = NULL;
		pthread_mutex_unlock(&lock);
		let_go(&freed);
	}
}

static void *zeroed(size_t align, size_t bytes)
{
	void *base = aligned_alloc(align, bytes);

	if (!base)
		abort();
	memset(base, 0, bytes);
	return base;
}

static struct tag *page_tag(const void *page)
{
	struct tag *tag = (struct tag *)((uintptr_t)page + PAGE_BYTES);

	if (((uintptr_t)page & (PAGE_BYTES - 1)) || tag->magic != MAGIC)
		broken("no page, or one that was freed", page);
	return tag;
}

void *plat_page_alloc(u32 place)
{
	void *page;

	if (fails_now())
		return NULL;
	page = zeroed(PAGE_BYTES, 2 * PAGE_BYTES);
	((struct tag *)((uintptr_t)page + PAGE_BYTES))->magic = MAGIC;
	page_tag(page)->place = place;
	__atomic_fetch_add(&nr_pages, 1, __ATOMIC_RELAXED);
	return page;
}

void plat_page_free(void *page)
{
	page_tag(page)->magic = 0;
	put_into_quarantine(page, page, PAGE_BYTES);
	__atomic_fetch_sub(&nr_pages, 1, __ATOMIC_RELAXED);
}

u32 plat_test_place(const void *page)
{
	return page_tag(page)->place;
}

void plat_page_set_owner(void *page, void *owner)
{
	page_tag(page)->owner = owner;
}

void *plat_page_owner_at(const void *page)
{
	return page_tag(page)->owner;
}

void *plat_page_owner(u64 pa)
{
	return plat_page_owner_at(plat_va(pa));
}

void *plat_object_alloc(size_t size)
{
	struct tag *tag;

	if (fails_now())
		return NULL;
	size = (size + 63) & ~(size_t)63;
	tag = zeroed(64, sizeof(*tag) + size);
	tag->magic = MAGIC;
	tag->bytes = size;
	__atomic_fetch_add(&nr_objects, 1, __ATOMIC_RELAXED);
	return tag + 1;
}

void plat_object_free(void *object)
{
	struct tag *tag = (struct tag *)object - 1;

	if (tag->magic != MAGIC)
		broken("no object, or one that was freed", object);
	tag->magic = 0;
	put_into_quarantine(tag, object, tag->bytes);
	__atomic_fetch_sub(&nr_objects, 1, __ATOMIC_RELAXED);
}

u64 plat_test_live(void)
{
	return __atomic_load_n(&nr_pages, __ATOMIC_RELAXED);
}

u64 plat_test_live_objects(void)
{
	return __atomic_load_n(&nr_objects, __ATOMIC_RELAXED);
}
