// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Ends that come in the middle of something: of batches, threads, roots, tables. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "hw.h"
#include "pt_entry.h"
#include "soft.h"
#include "setup.h"
#include "space.h"
#include "view.h"
#include "vm.h"

#define PAGE	4096ull
#define GIB	(1ull << 30)
#define BASE	0x200000000000ull	/* real memory: not where ASan has its own */
#define PAGES	64u
#define ALL	(DUNE_R | DUNE_W | DUNE_X | DUNE_U)
#define RACES	200u
#define MERGES	2000u

static struct dune_root *root;

static uint64_t page_at(unsigned int i)
{
	return BASE + i * PAGE;
}

static void memory_init(void)
{
	void *p = mmap((void *)BASE, PAGES * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (p == MAP_FAILED)
		abort();
}

/* --- batches --- */

/* There is room for BATCH_RANGES: what comes next is flushed before it is freed. */
static void a_full_batch_frees_what_it_has_flushed(void)
{
	struct vm_local *local = &soft_self()->vm;
	struct dune_root *clone;

	CHECK_EQ(dune_root_clone(NULL, &clone), 0);
	CHECK_EQ(dune_root_switch(clone), 0);
	for (unsigned int i = 0; i <= BATCH_RANGES; i++)
		CHECK(soft_write(page_at(i), i));
	CHECK_EQ(dune_vm_batch_begin(), 0);
	for (unsigned int i = 0; i <= BATCH_RANGES; i++)
		CHECK_EQ(dune_vm_unmap(clone, (void *)page_at(i), PAGE), 0);
	CHECK(local->dropped != NULL);
	CHECK_EQ(local->batch.nr, 1);
	CHECK_EQ(dune_vm_batch_end(), 0);
	CHECK(local->dropped == NULL);
	CHECK_EQ(dune_root_switch(NULL), 0);
	CHECK_EQ(dune_root_free(clone), 0);
}

static u64 operations_under_way(const struct dune_root *root)
{
	u64 sum = inval_active(root->inval.global.word);

	for (unsigned int i = 0; i < INVAL_NR_BUCKETS; i++)
		sum += inval_active(root->inval.bucket[i].word);
	return sum;
}

static void *ends_in_a_batch(void *unused)
{
	(void)unused;
	soft_begin();
	soft_enter();
	CHECK(soft_write(page_at(20), 1));
	CHECK_EQ(dune_vm_batch_begin(), 0);
	CHECK_EQ(dune_vm_unmap(NULL, (void *)page_at(20), PAGE), 0);
	CHECK(operations_under_way(vm_state.base) > 0);
	soft_leave();
	soft_end();
	return NULL;
}

static void a_thread_ends_in_its_batch(void)
{
	pthread_t thread;

	CHECK(soft_write(page_at(20), 2));
	soft_leave();
	pthread_create(&thread, NULL, ends_in_a_batch, NULL);
	pthread_join(thread, NULL);
	soft_enter();
	CHECK_EQ(operations_under_way(vm_state.base), 0);
	CHECK_EQ(soft_access(page_at(20), SOFT_READ), SOFT_FAULT);
	CHECK_EQ(dune_vm_map(NULL, (void *)page_at(20), PAGE, (void *)page_at(20), ALL, 0), 0);
}

/* --- what is pinned --- */

#define PINNED_INDEX	(0x300000000000ull / GIB)

static volatile unsigned int may_pin, ready, came_back, saw_nothing;

static void *pins(void *number)
{
	uint64_t addr = PINNED_INDEX * GIB;

	soft_begin();
	__atomic_fetch_add(&ready, 1, __ATOMIC_RELEASE);
	while (may_pin < (uintptr_t)number)
		usleep(100);
	CHECK_EQ(vm_pin_range(&soft_self()->vm, addr, addr + 1), 0);
	saw_nothing += !plat_load(view_entry(soft_self()->vm.view, PINNED_INDEX));
	__atomic_fetch_add(&came_back, 1, __ATOMIC_RELEASE);
	soft_end();
	return NULL;
}

/* Two threads need a region: nobody goes on before it is in his view. */
static void who_pins_as_well_waits(void)
{
	pthread_t thread[2];

	soft_leave();
	for (uintptr_t i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, pins, (void *)(i + 1));
	while (ready < 2)
		usleep(100);
	/* The first one gets as far as to say so. */
	vm_lock(&vm_state.views_lock);
	may_pin = 1;
	while (!view_is_pinned(PINNED_INDEX, PIN_SOME))
		usleep(100);
	may_pin = 2;
	for (unsigned int i = 0; i < 500 && !came_back; i++)
		usleep(100);
	CHECK_EQ(came_back, 0);
	vm_unlock(&vm_state.views_lock);
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	soft_enter();
	CHECK_EQ(came_back, 2);
	CHECK_EQ(saw_nothing, 0);
}

/* --- the pool --- */

/* Where it gets its next GiB, if nobody is in the way. */
static uint64_t next_space(void)
{
	char *p = mmap(NULL, 2 * GIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);

	if (p == MAP_FAILED)
		abort();
	munmap(p, 2 * GIB);
	return ((uint64_t)p + GIB - 1) & ~(GIB - 1);
}

/* A root in which that GiB is not the host's memory. */
static void the_pool_goes_where_it_is_mapped(void)
{
	struct vm_local *local = &soft_self()->vm;
	uint64_t there, block;

	CHECK_EQ(dune_root_create(&root), 0);
	there = next_space();
	CHECK_EQ(dune_vm_unmap(root, (void *)there, GIB), 0);
	CHECK_EQ(next_space(), there);
	/* All blocks of the spaces that there are. */
	for (unsigned int i = 0; i < 2 * GIB / BLOCK_SIZE; i++) {
		block = (uint64_t)space_get(local, 1);
		CHECK(block != 0);
		CHECK(block / GIB != there / GIB);
	}
	CHECK_EQ(dune_root_switch(root), 0);
	CHECK(soft_access(block, SOFT_WRITE) != SOFT_FAULT);
	CHECK_EQ(dune_root_switch(NULL), 0);
	CHECK_EQ(dune_root_free(root), 0);
}

/* --- views --- */

static int here;

static void *uses_the_root(void *unused)
{
	(void)unused;
	soft_begin();
	soft_enter();
	CHECK_EQ(dune_root_switch(root), 0);
	CHECK(soft_write(page_at(1), 1));
	CHECK_EQ(dune_root_switch(NULL), 0);
	soft_leave();
	__atomic_store_n(&here, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&here, __ATOMIC_SEQ_CST) != 2)
		sched_yield();
	soft_end();
	return NULL;
}

static void *frees_the_root(void *unused)
{
	(void)unused;
	CHECK_EQ(dune_root_free(root), 0);
	return NULL;
}

/* Both want to destroy the thread's view of it, and wait for the lock. */
static void one_race(void)
{
	pthread_t user, freer;

	CHECK_EQ(dune_root_create(&root), 0);
	here = 0;
	pthread_create(&user, NULL, uses_the_root, NULL);
	while (__atomic_load_n(&here, __ATOMIC_SEQ_CST) != 1)
		sched_yield();
	vm_lock(&vm_state.views_lock);
	__atomic_store_n(&here, 2, __ATOMIC_SEQ_CST);
	pthread_create(&freer, NULL, frees_the_root, NULL);
	usleep(3000);
	vm_unlock(&vm_state.views_lock);
	pthread_join(user, NULL);
	pthread_join(freer, NULL);
}

static void a_root_is_freed_beside_the_end_of_a_thread(void)
{
	soft_leave();
	for (unsigned int i = 0; i < RACES; i++)
		one_race();
	soft_enter();
}

/* --- tables --- */

static volatile bool unmaps;

static void *unmaps_table(void *start)
{
	soft_begin();
	unmaps = true;
	CHECK_EQ(dune_vm_unmap(NULL, start, 512 * PAGE), 0);
	soft_end();
	return NULL;
}

/*
 * Who has a table's lock and finds it alive may rely on its being the one that is
 * linked, although other tables are linked without a lock.
 */
static void a_table_is_unlinked_under_its_lock(void)
{
	char *start = (char *)BASE + 9 * GIB + 512 * PAGE;
	struct dune_vm_entry entry;
	struct pt_table *table;
	pthread_t thread;

	CHECK_EQ(dune_vm_split(NULL, start, 512 * PAGE, PAGE), 0);
	table = vm_state.base->region[(uint64_t)start / GIB].pd;
	table = pt_table_of(table->entry[pt_index((uint64_t)start, 2)] & pt_x86.addr_mask);
	CHECK(plat_trylock(&table->lock, 1));
	soft_leave();
	pthread_create(&thread, NULL, unmaps_table, start);
	while (!unmaps)
		sched_yield();
	usleep(200000);
	soft_enter();
	CHECK_EQ(dune_vm_lookup(NULL, start, &entry), 0);
	CHECK(!table->dead);
	plat_unlock(&table->lock);
	soft_leave();
	pthread_join(thread, NULL);
	soft_enter();
	CHECK_EQ(dune_vm_lookup(NULL, start, &entry), -ENOENT);
	CHECK_EQ(table->place, 0);
}

static volatile bool over;

static void *merges(void *unused)
{
	(void)unused;
	soft_begin();
	for (unsigned int i = 0; i < MERGES; i++)
		CHECK_EQ(dune_vm_merge(NULL, (void *)BASE, GIB, GIB), 0);
	over = true;
	soft_end();
	return NULL;
}

/* A merge waits for who copies, who needs the table that the merge has taken. */
static void pages_are_copied_beside_merges(void)
{
	pthread_t thread;

	over = false;
	soft_leave();
	pthread_create(&thread, NULL, merges, NULL);
	soft_enter();
	for (unsigned int i = 0; !over; i++) {
		struct dune_root *clone;

		CHECK_EQ(dune_root_clone(NULL, &clone), 0);
		for (unsigned int k = 0; k < 8; k++)
			CHECK(soft_write(page_at((i + 3 * k) % PAGES), i));
		CHECK_EQ(dune_root_free(clone), 0);
	}
	pthread_join(thread, NULL);
}

int main(void)
{
	alarm(100);	/* somebody waits for ever */
	soft_init(DUNE_CAP_INVPCID);
	memory_init();
	soft_begin();
	soft_enter();
	CASE(a_full_batch_frees_what_it_has_flushed);
	CASE(a_thread_ends_in_its_batch);
	CASE(who_pins_as_well_waits);
	CASE(the_pool_goes_where_it_is_mapped);
	CASE(a_root_is_freed_beside_the_end_of_a_thread);
	CASE(a_table_is_unlinked_under_its_lock);
	CASE(pages_are_copied_beside_merges);
	soft_leave();
	soft_end();
	return CHECK_EXIT();
}
