// SPDX-License-Identifier: GPL-2.0 OR MIT
/* What is freed or merged waits for who reads: step by step, with two more threads. */
#include <pthread.h>
#include <unistd.h>

#include "check.h"
#include "helper.h"
#include "hw.h"
#include "op.h"
#include "soft.h"

#define PAGE	4096ull
#define GIB	(1ull << 30)
#define BASE	0x100000000000ull
#define ALL	(DUNE_R | DUNE_W | DUNE_X | DUNE_U)

static uint64_t page;

static struct dune_region *region_of(uint64_t addr)
{
	return &dune_root_default()->region[region_index(addr)];
}

/* --- what is freed waits for readers --- */

static void read_lock(void)
{
	dune_rcu_lock();
}

static void read_unlock(void)
{
	dune_rcu_unlock();
}

static volatile bool freed;

/* More tables than a thread keeps. */
static void *frees_many(void *arg)
{
	char *at = (char *)(BASE + 6 * GIB);

	(void)arg;
	soft_begin();
	CHECK_EQ(dune_vm_unmap(NULL, at, GIB), 0);
	for (unsigned int i = 0; i < RETIRED_MAX + 5; i++) {
		CHECK_EQ(dune_vm_map(NULL, at, 1 << 21, at, ALL, DUNE_VM_4K), 0);
		CHECK_EQ(dune_vm_unmap(NULL, at, 1 << 21), 0);
	}
	__atomic_store_n(&freed, true, __ATOMIC_RELEASE);
	soft_end();
	return NULL;
}

static void tables_are_freed_after_their_readers(void)
{
	struct helper reader;
	pthread_t thread;

	helper_start_plain(&reader);
	helper_does(&reader, read_lock);
	pthread_create(&thread, NULL, frees_many, NULL);
	sleep_ms(300);
	CHECK(!__atomic_load_n(&freed, __ATOMIC_ACQUIRE));
	helper_does(&reader, read_unlock);
	pthread_join(thread, NULL);
	CHECK(freed);
	helper_end(&reader);
}

/* --- merging all of a region --- */

static volatile int merged;

static void *merges(void *arg)
{
	(void)arg;
	soft_begin();
	CHECK_EQ(dune_vm_merge(NULL, (void *)page, GIB, GIB), 0);
	merged = 1;
	soft_end();
	return NULL;
}

static size_t size_of_page(void)
{
	struct dune_vm_entry entry;

	CHECK_EQ(dune_vm_lookup(NULL, (void *)page, &entry), 0);
	return entry.size;
}

static void begin_merge(struct helper *reader, pthread_t *thread)
{
	CHECK_EQ(dune_vm_split(NULL, (void *)page, GIB, DUNE_PAGE_2M), 0);
	merged = 0;
	helper_start_plain(reader);
	helper_does(reader, read_lock);
	pthread_create(thread, NULL, merges, NULL);
	sleep_ms(300);
	CHECK(!merged);
}

static void end_merge(struct helper *reader, pthread_t thread)
{
	helper_does(reader, read_unlock);
	pthread_join(thread, NULL);
	helper_end(reader);
}

static void a_merge_waits_for_operations(void)
{
	struct helper reader;
	pthread_t thread;

	page = BASE + 7 * GIB;
	begin_merge(&reader, &thread);
	end_merge(&reader, thread);
	CHECK_EQ(size_of_page(), GIB);
	CHECK(region_of(page)->pd == NULL);
}

/* Who needs the PD meanwhile has it, and the merge is off. */
static void a_merge_gives_way(void)
{
	struct helper reader;
	pthread_t thread;

	begin_merge(&reader, &thread);
	CHECK_EQ(dune_vm_protect(NULL, (void *)page, 2 * DUNE_PAGE_2M, ALL), 0);
	CHECK(region_of(page)->pd != NULL);
	end_merge(&reader, thread);
	CHECK_EQ(size_of_page(), DUNE_PAGE_2M);
	CHECK(region_of(page)->pd != NULL);
}

int main(void)
{
	alarm(100);	/* somebody waits for ever */
	soft_init(DUNE_CAP_INVPCID);
	soft_begin();
	CASE(tables_are_freed_after_their_readers);
	CASE(a_merge_waits_for_operations);
	CASE(a_merge_gives_way);
	soft_end();
	return CHECK_EXIT();
}
