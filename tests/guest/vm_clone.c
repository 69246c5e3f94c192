// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Snapshots: roots that are cloned while threads write. A snapshot has all that
 * was written before the call began and nothing that was written after it
 * returned, and neither root sees what is written in the other.
 *
 * The test's own variables are in the snapshot as well: what is found out there
 * comes back on the stack, or in memory that dune_vm_share() named.
 */
#include "probe.h"
#include "test.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "emucount.h"

#define PAGE	4096ul
#define PAGES	64ul		/* of a writer, side by side with others' */
#define WRITERS	2ul
#define NEVER	0xfeedul

static char *heap;

/* Shared: memory of its own. */
struct stamps {
	volatile uint64_t begun[WRITERS][PAGES], written[WRITERS][PAGES];
	volatile int up, over;
};
static struct stamps *stamps;

static volatile uint64_t *page(unsigned long i)
{
	return (volatile uint64_t *)(heap + i * PAGE);
}

static volatile uint64_t *page_of(unsigned long writer, unsigned long i)
{
	return page(i * WRITERS + writer);
}

static void *map(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	return p;
}

/* Values of pages first, first + step, ... in a root. */
static void read_in(struct dune_root *root, unsigned long first, unsigned long step,
		    uint64_t *value, unsigned long nr)
{
	int err = dune_root_switch(root);

	for (unsigned long i = 0; i < nr; i++)
		value[i] = *page(first + i * step);
	dune_root_switch(NULL);
	CHECK_EQ(err, 0);
}

static void write_in(struct dune_root *root, unsigned long i, uint64_t value)
{
	int err = dune_root_switch(root);

	*page(i) = value;
	dune_root_switch(NULL);
	CHECK_EQ(err, 0);
}

static void each_its_own(void)
{
	struct dune_root *clone, *second;
	uint64_t value[4];
	int fds[2];

	REQUIRE(pipe(fds) == 0);
	mode_enter();
	for (unsigned long i = 0; i < 4; i++)
		*page(i) = i + 1;
	CHECK_EQ(dune_root_clone(NULL, &clone), 0);
	*page(0) = 10;
	write_in(clone, 1, 20);
	CHECK_EQ(dune_root_clone(clone, &second), 0);
	write_in(clone, 1, 21);
	write_in(second, 2, 30);
	read_in(clone, 0, 1, value, 4);
	CHECK_EQ(value[0], 1);
	CHECK_EQ(value[1], 21);
	CHECK_EQ(value[2], 3);
	CHECK_EQ(value[3], 4);
	read_in(second, 0, 1, value, 4);
	CHECK_EQ(value[0], 1);
	CHECK_EQ(value[1], 20);
	CHECK_EQ(value[2], 30);
	CHECK_EQ(*page(0), 10);
	CHECK_EQ(*page(1), 2);
	CHECK_EQ(*page(2), 3);
	/* The memory at its own address is the original's: for system calls too. */
	CHECK_EQ(write(fds[1], (void *)page(0), 8), 8);
	CHECK_EQ(read(fds[0], value, 8), 8);
	CHECK_EQ(value[0], 10);
	CHECK_EQ(dune_root_free(clone), 0);
	read_in(second, 1, 1, value, 1);
	CHECK_EQ(value[0], 20);
	CHECK_EQ(dune_root_free(second), 0);
	*page(3) = 40;
	mode_exit();
	CHECK_EQ(*page(0), 10);
	CHECK_EQ(*page(3), 40);
	close(fds[0]);
	close(fds[1]);
}

/* The program's handler of page faults hears nothing of it. */
static void handlers_are_not_asked(void)
{
	struct dune_root *clone;
	uint64_t faults;

	mode_enter();
	*page(5) = 5;
	CHECK_EQ(dune_root_clone(NULL, &clone), 0);
	faults = probe_faults();
	CHECK_EQ(probe_write(page(5), 6), PROBE_OK);
	CHECK_EQ(probe_faults(), faults);
	CHECK_EQ(dune_vm_protect(NULL, (void *)page(6), PAGE, DUNE_R), 0);
	CHECK_EQ(probe_write(page(6), 6), DUNE_PF_PRESENT | DUNE_PF_WRITE);
	CHECK_EQ(dune_vm_protect(NULL, (void *)page(6), PAGE, DUNE_R | DUNE_W | DUNE_X | DUNE_U), 0);
	CHECK_EQ(probe_write(page(6), 6), PROBE_OK);
	CHECK_EQ(dune_root_free(clone), 0);
	mode_exit();
}

/* A bitmap that is copied while it is written, in the table that is scanned. */
static void scan_into_a_snapshot(void)
{
	struct dune_root *clone;
	uint64_t before;
	long dirty;

	mode_enter();
	for (unsigned long i = 0; i < 16; i++)
		*page(i) = i == 7 ? 0 : i;
	CHECK_EQ(dune_root_clone(NULL, &clone), 0);
	*page(3) = 33;
	dirty = dune_vm_scan(NULL, heap, 16 * PAGE, DUNE_SCAN_DIRTY | DUNE_SCAN_CLEAR,
			     (uint64_t *)page(7));
	CHECK_IN(dirty, 1, 16);
	CHECK_EQ(__builtin_popcountll(*page(7)), dirty);
	CHECK(*page(7) & 1 << 3);
	read_in(clone, 7, 1, &before, 1);
	CHECK_EQ(before, 0);
	CHECK_EQ(dune_root_free(clone), 0);
	mode_exit();
}

/* --- threads that write meanwhile --- */

static void *write_stamps(void *arg)
{
	unsigned long w = (uintptr_t)arg;
	uint64_t n = 1;

	mode_enter();
	__atomic_add_fetch(&stamps->up, 1, __ATOMIC_SEQ_CST);
	for (; !stamps->over; n++) {
		unsigned long i = n % PAGES;

		__atomic_store_n(&stamps->begun[w][i], n, __ATOMIC_SEQ_CST);
		*page_of(w, i) = n;
		__atomic_store_n(&stamps->written[w][i], n, __ATOMIC_SEQ_CST);
	}
	mode_exit();
	return NULL;
}

struct range {
	uint64_t low[WRITERS][PAGES], high[WRITERS][PAGES];
};

static void check_snapshot(struct dune_root *clone, struct range *range)
{
	uint64_t value[PAGES];

	for (unsigned long round = 0; round < 2; round++)
		for (unsigned long w = 0; w < WRITERS; w++) {
			read_in(clone, w, WRITERS, value, PAGES);
			for (unsigned long i = 0; i < PAGES; i++) {
				CHECK_IN(value[i], range->low[w][i], range->high[w][i]);
				range->low[w][i] = range->high[w][i] = value[i];
			}
		}
	write_in(clone, 0, NEVER << 32);
}

static void snapshot(void)
{
	struct dune_root *clone;
	struct range range;

	for (unsigned long w = 0; w < WRITERS; w++)
		for (unsigned long i = 0; i < PAGES; i++)
			range.low[w][i] = stamps->written[w][i];
	CHECK_EQ(dune_root_clone(NULL, &clone), 0);
	for (unsigned long w = 0; w < WRITERS; w++)
		for (unsigned long i = 0; i < PAGES; i++)
			range.high[w][i] = stamps->begun[w][i];
	check_snapshot(clone, &range);
	CHECK_EQ(dune_root_free(clone), 0);
}

static void while_others_write(void)
{
	pthread_t threads[WRITERS];

	stamps->up = stamps->over = 0;
	memset(heap, 0, WRITERS * PAGES * PAGE);
	for (uintptr_t w = 0; w < WRITERS; w++)
		REQUIRE(pthread_create(&threads[w], NULL, write_stamps, (void *)w) == 0);
	CHECK(wait_for(&stamps->up, WRITERS, 20));
	mode_enter();
	for (long i = 0; i < opt.rounds; i++)
		snapshot();
	mode_exit();
	stamps->over = 1;
	for (unsigned long w = 0; w < WRITERS; w++)
		pthread_join(threads[w], NULL);
	for (unsigned long i = 0; i < WRITERS * PAGES; i++)
		CHECK(*page(i) != NEVER << 32);
}

/* --- a thread that was not there when the snapshot was taken --- */

static void *visit(void *arg)
{
	struct dune_root *clone = arg;
	volatile uint64_t *result = stamps->begun[0];
	uint64_t value = 0;

	mode_enter();
	if (dune_root_switch(clone) == 0) {
		value = *page(9);
		*page(9) = 99;
		value += *page(9) << 32;
	}
	dune_root_switch(NULL);
	mode_exit();
	*result = value;
	return NULL;
}

static void a_new_thread_can_go_there(void)
{
	struct dune_root *clone;
	pthread_t thread;

	mode_enter();
	*page(9) = 9;
	CHECK_EQ(dune_root_clone(NULL, &clone), 0);
	*page(9) = 10;
	mode_exit();
	REQUIRE(pthread_create(&thread, NULL, visit, clone) == 0);
	pthread_join(thread, NULL);
	CHECK_EQ(stamps->begun[0][0], 99ull << 32 | 9);
	CHECK_EQ(*page(9), 10);
	CHECK_EQ(dune_root_free(clone), 0);
}

/* --- what it costs --- */

static uint64_t instructions(void)
{
	return emucount_read(EMUCOUNT_SELF, EMU_INSN);
}

static void cost(void)
{
	uint64_t t0, clone_takes, first, again, alone, there;
	struct dune_root *clone;

	if (!emucount_available())
		return;
	mode_enter();
	for (unsigned long i = 0; i < WRITERS * PAGES; i++)
		*page(i) = i;
	t0 = instructions();
	CHECK_EQ(dune_root_clone(NULL, &clone), 0);
	clone_takes = instructions() - t0;
	*page(0) = 1;
	t0 = instructions();
	*page(1) = 1;
	first = instructions() - t0;
	t0 = instructions();
	*page(1) = 2;
	again = instructions() - t0;
	dune_root_switch(clone);
	*page(2) = 1;
	t0 = instructions();
	*page(3) = 1;
	there = instructions() - t0;
	dune_root_switch(NULL);
	CHECK_EQ(dune_root_free(clone), 0);
	*page(4) = 1;
	t0 = instructions();
	*page(5) = 1;
	alone = instructions() - t0;
	mode_exit();
	printf("      clone %llu, write of the original %llu, again %llu, of the clone %llu, nobody left %llu instructions\n",
	       (unsigned long long)clone_takes, (unsigned long long)first,
	       (unsigned long long)again, (unsigned long long)there,
	       (unsigned long long)alone);
	CHECK_IN(again, 1, 20);
}

int main(int argc, char **argv)
{
	test_start(argc, argv, (struct test_opts){ .rounds = 30 });
	if (opt.native)
		SKIP("Linux has no guest page tables");
	heap = map(WRITERS * PAGES * PAGE);
	stamps = map(sizeof(*stamps));
	CHECK_EQ(dune_vm_share(stamps, (sizeof(*stamps) + PAGE - 1) & ~(PAGE - 1)), 0);
	probe_start();
	test_part("each_its_own", each_its_own);
	test_part("handlers_are_not_asked", handlers_are_not_asked);
	test_part("scan_into_a_snapshot", scan_into_a_snapshot);
	test_part("while_others_write", while_others_write);
	test_part("a_new_thread_can_go_there", a_new_thread_can_go_there);
	test_part("cost", cost);
	return test_end();
}
