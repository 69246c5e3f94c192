// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Snapshots of roots: one thread step by step, against a plain copy of the memory;
 * every allocation that may fail; and threads that write while another one clones.
 *
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "check.h"
#include "hw.h"
#include "pool.h"
#include "soft.h"

#define PAGE	4096ull
#define MIB2	(2ull << 20)
#define GIB	(1ull << 30)
#define ALL	(DUNE_R | DUNE_W | DUNE_X | DUNE_U)

#define BASE	0x200000000000ull	/* real memory: not where ASan has its own */
#define PAGES	1024u
#define SHARED	(PAGES + 5u)	/* two pages: for the rest of the process */
#define ROOTS	4u

static uint64_t seed = 88172645463325252ull;

static uint64_t rnd(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % n;
}

static uint64_t page_at(uint64_t i)
{
	return BASE + i * PAGE;
}

static void memory_init(void)
{
	void *p = mmap((void *)BASE, (PAGES + 16) * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (p == MAP_FAILED)
		abort();
}

/* Accesses of the soft vCPU; no soft call between finding a page and using it. */
static uint64_t guest_read(uint64_t addr)
{
	uint64_t gpa = soft_access(addr, SOFT_READ);

	if (gpa == SOFT_FAULT)
		return ~0ull;
	return __atomic_load_n((uint64_t *)plat_va(gpa), __ATOMIC_RELAXED);
}

static struct dune_root *clone_of(struct dune_root *root)
{
	struct dune_root *clone = NULL;

	CHECK_EQ(dune_root_clone(root, &clone), 0);
	return clone;
}

static void use(struct dune_root *root)
{
	CHECK_EQ(dune_root_switch(root), 0);
}

static void each_sees_its_own_writes(void)
{
	struct dune_root *clone;
	struct dune_vm_entry entry;

	memory_init();
	CHECK(soft_write(page_at(1), 11));
	CHECK(soft_write(page_at(2), 22));
	clone = clone_of(NULL);
	CHECK_EQ(dune_vm_lookup(clone, (void *)page_at(1), &entry), 0);
	CHECK(entry.flags & DUNE_VM_COW);
	CHECK_EQ(entry.prot, ALL);
	/* The first root keeps its memory: system calls see it there. */
	CHECK(soft_write(page_at(1), 12));
	CHECK_EQ(*(uint64_t *)page_at(1), 12);
	CHECK_EQ(soft_access(page_at(1), SOFT_WRITE), soft_gpa((void *)page_at(1)));
	use(clone);
	CHECK_EQ(guest_read(page_at(1)), 11);
	CHECK_EQ(guest_read(page_at(2)), 22);
	CHECK(soft_write(page_at(2), 23));
	CHECK_EQ(guest_read(page_at(2)), 23);
	CHECK(soft_write(page_at(1), 13));
	CHECK_EQ(*(uint64_t *)page_at(1), 12);
	CHECK_EQ(*(uint64_t *)page_at(2), 22);
	use(NULL);
	CHECK_EQ(guest_read(page_at(1)), 12);
	CHECK_EQ(guest_read(page_at(2)), 22);
	CHECK_EQ(dune_root_free(clone), 0);
	CHECK(soft_write(page_at(2), 24));
}

static void nobody_left_means_no_copy(void)
{
	uint64_t made = 0;

	memory_init();
	CHECK_EQ(dune_root_free(clone_of(NULL)), 0);
	for (unsigned int round = 0; round < 2; round++) {
		made = pool_made();
		for (unsigned int i = 0; i < PAGES; i++)
			CHECK(soft_write(page_at(i), i));
	}
	CHECK_EQ(pool_made(), made);
}

static void rights_are_kept(void)
{
	struct dune_root *clone, *second;
	struct dune_vm_entry entry;

	memory_init();
	CHECK_EQ(dune_vm_protect(NULL, (void *)page_at(3), PAGE, DUNE_R), 0);
	CHECK_EQ(dune_vm_protect(NULL, (void *)page_at(4), PAGE, 0), 0);
	CHECK_EQ(dune_vm_unmap(NULL, (void *)page_at(5), PAGE), 0);
	clone = clone_of(NULL);
	use(clone);
	CHECK(!soft_write(page_at(3), 1));
	CHECK_EQ(guest_read(page_at(4)), ~0ull);
	CHECK_EQ(dune_vm_lookup(clone, (void *)page_at(5), &entry), -ENOENT);
	/* A right that comes later: after a copy, too. */
	CHECK_EQ(dune_vm_protect(clone, (void *)page_at(3), PAGE, ALL), 0);
	CHECK(soft_write(page_at(3), 33));
	CHECK_EQ(*(uint64_t *)page_at(3), 0);
	CHECK_EQ(dune_vm_protect(clone, (void *)page_at(3), PAGE, DUNE_R), 0);
	CHECK(!soft_write(page_at(3), 34));
	CHECK_EQ(guest_read(page_at(3)), 33);
	/* And of the clone. */
	second = clone_of(clone);
	CHECK_EQ(dune_vm_protect(clone, (void *)page_at(3), PAGE, ALL), 0);
	CHECK(soft_write(page_at(3), 35));
	use(second);
	CHECK_EQ(guest_read(page_at(3)), 33);
	CHECK(!soft_write(page_at(3), 36));
	use(NULL);
	CHECK_EQ(dune_root_free(clone), 0);
	use(second);
	CHECK_EQ(guest_read(page_at(3)), 33);
	use(NULL);
	CHECK_EQ(dune_root_free(second), 0);
	CHECK_EQ(dune_vm_map(NULL, (void *)page_at(5), PAGE, (void *)page_at(5), ALL, 0), 0);
	CHECK_EQ(dune_vm_protect(NULL, (void *)BASE, PAGES * PAGE, ALL), 0);
}

static void shared_memory_is_shared(void)
{
	struct dune_root *first, *clone;

	memory_init();
	first = clone_of(NULL);
	CHECK_EQ(dune_vm_share((void *)page_at(SHARED), 2 * PAGE), 0);
	clone = clone_of(NULL);
	use(clone);
	CHECK(soft_write(page_at(SHARED + 1), 61));
	CHECK(soft_write(page_at(SHARED + 2), 62));
	use(NULL);
	CHECK_EQ(guest_read(page_at(SHARED + 1)), 61);
	CHECK_EQ(guest_read(page_at(SHARED + 2)), 0);
	CHECK(soft_write(page_at(SHARED), 60));
	use(clone);
	CHECK_EQ(guest_read(page_at(SHARED)), 60);
	/* Who was there before has its snapshot. */
	use(first);
	CHECK_EQ(guest_read(page_at(SHARED)), 0);
	CHECK_EQ(guest_read(page_at(SHARED + 1)), 0);
	use(NULL);
	CHECK_EQ(dune_root_free(first), 0);
	CHECK_EQ(dune_root_free(clone), 0);
}

static void memory_comes_back(void)
{
	uint64_t before = 0;

	memory_init();
	for (unsigned int round = 0; round < 6; round++) {
		struct dune_root *clone = clone_of(NULL), *second;

		use(clone);
		for (unsigned int i = 0; i < PAGES; i += 2)
			CHECK(soft_write(page_at(i), i));
		second = clone_of(clone);
		use(second);
		for (unsigned int i = 0; i < PAGES; i += 3)
			CHECK(soft_write(page_at(i), i));
		CHECK_EQ(dune_vm_unmap(second, (void *)page_at(10), 300 * PAGE), 0);
		use(NULL);
		CHECK_EQ(dune_root_free(round % 2 ? clone : second), 0);
		CHECK_EQ(dune_root_free(round % 2 ? second : clone), 0);
		/* The first rounds fill magazines, and what waits for RCU. */
		if (round == 3)
			before = pool_made();
	}
	CHECK_EQ(pool_made(), before);
}

/* Until it is flushed somebody may still use it. */
static void a_copy_outlives_its_translations(void)
{
	struct dune_root *clone;

	memory_init();
	clone = clone_of(NULL);
	use(clone);
	CHECK(soft_write(page_at(9), 99));
	CHECK_EQ(dune_vm_batch_begin(), 0);
	CHECK_EQ(dune_vm_unmap(clone, (void *)page_at(9), PAGE), 0);
	CHECK_EQ(guest_read(page_at(9)), 99);
	/* A page that is copied meanwhile is flushed at once, and frees nothing. */
	CHECK(soft_write(page_at(10), 100));
	CHECK(soft_write(page_at(11), 101));
	CHECK_EQ(guest_read(page_at(9)), 99);
	CHECK_EQ(dune_vm_batch_end(), 0);
	CHECK_EQ(guest_read(page_at(9)), ~0ull);
	CHECK_EQ(guest_read(page_at(10)), 100);
	use(NULL);
	CHECK_EQ(dune_root_free(clone), 0);
}

static void memory_that_linux_does_not_give(void)
{
	struct dune_root *clone;

	memory_init();
	clone = clone_of(NULL);
	use(clone);
	CHECK(soft_access(page_at(7), SOFT_READ) != SOFT_FAULT);
	munmap((void *)page_at(7), PAGE);
	CHECK_EQ(soft_access(page_at(7), SOFT_WRITE), SOFT_FAULT);
	CHECK(soft_write(page_at(8), 8));
	use(NULL);
	CHECK_EQ(dune_root_free(clone), 0);
}

/* --- against plain copies --- */

static struct dune_root *roots[ROOTS];
static uint64_t content[ROOTS][PAGES];

static bool content_holds(unsigned int r)
{
	use(roots[r]);
	for (unsigned int i = 0; i < PAGES; i++)
		if (guest_read(page_at(i)) != content[r][i]) {
			printf("# root %u page %u: %llu, not %llu\n", r, i,
			       (unsigned long long)guest_read(page_at(i)),
			       (unsigned long long)content[r][i]);
			return false;
		}
	return true;
}

static void random_step(unsigned int i)
{
	unsigned int r = rnd(ROOTS), from = rnd(ROOTS), n;

	if (!roots[r])
		r = 0;
	use(roots[r]);
	if (rnd(200) < 3) {
		for (n = 1; n < ROOTS && roots[n]; n++)
			;
		if (n < ROOTS && roots[from]) {
			roots[n] = clone_of(roots[from]);
			memcpy(content[n], content[from], sizeof(content[n]));
		}
	} else if (rnd(200) < 2 && r) {
		use(NULL);
		CHECK_EQ(dune_root_free(roots[r]), 0);
		roots[r] = NULL;
	} else if (rnd(20) == 0) {
		CHECK_EQ(dune_vm_merge(roots[r], (void *)BASE, PAGES * PAGE, MIB2), 0);
	} else {
		n = rnd(PAGES);
		CHECK(soft_write(page_at(n), i));
		content[r][n] = i;
	}
}

static void all_have_what_they_wrote(void)
{
	memory_init();
	memset(content, 0, sizeof(content));
	CHECK_EQ(dune_root_create(&roots[0]), 0);
	for (unsigned int i = 1; i < 30000 && !check_failed(); i++) {
		random_step(i);
		if (i % 3000 == 0)
			for (unsigned int r = 0; r < ROOTS; r++)
				CHECK(!roots[r] || content_holds(r));
	}
	use(NULL);
	for (unsigned int r = 0; r < ROOTS; r++)
		CHECK_EQ(roots[r] ? dune_root_free(roots[r]) : 0, 0);
}

/* --- threads that write meanwhile --- */

#define WRITERS		3u
#define MINE		64u	/* pages of a writer, side by side with the others' */

static struct {
	uint64_t begun, written;	/* stamps; written: the write is over */
} __attribute__((aligned(64))) stamp[WRITERS][MINE];
static volatile bool over;
static uint64_t snapshots;

static uint64_t stamp_page(unsigned int w, unsigned int i)
{
	return page_at(i * WRITERS + w);
}

static void *write_stamps(void *arg)
{
	unsigned int w = (uintptr_t)arg;
	uint64_t n = 1;

	soft_begin();
	soft_enter();
	for (; !over && !check_failed(); n++) {
		unsigned int i = n % MINE;

		__atomic_store_n(&stamp[w][i].begun, n, __ATOMIC_SEQ_CST);
		if (!soft_write(stamp_page(w, i), n))
			check_fail("writer %u cannot write", w);
		__atomic_store_n(&stamp[w][i].written, n, __ATOMIC_SEQ_CST);
		if (n % 5000 == 0) {
			soft_leave();
			sched_yield();
			soft_enter();
		}
	}
	soft_leave();
	soft_end();
	return NULL;
}

/*
 * All that was written before the call began is in it, and nothing that began
 * after it returned; and it stays as it is.
 */
static void check_snapshot(struct dune_root *clone, uint64_t (*low)[MINE],
			   uint64_t (*high)[MINE])
{
	use(clone);
	for (unsigned int round = 0; round < 3; round++)
		for (unsigned int w = 0; w < WRITERS; w++)
			for (unsigned int i = 0; i < MINE; i++) {
				uint64_t is = guest_read(stamp_page(w, i));

				if (is < low[w][i] || is > high[w][i])
					check_fail("round %u: writer %u page %u: %llu not in %llu to %llu",
						   round, w, i, (unsigned long long)is,
						   (unsigned long long)low[w][i],
						   (unsigned long long)high[w][i]);
				low[w][i] = high[w][i] = is;
			}
	/* Its own writes are its own. */
	for (unsigned int i = 0; i < MINE; i += 7)
		CHECK(soft_write(stamp_page(0, i), ~1ull));
	use(NULL);
}

static void take_snapshot(void)
{
	static uint64_t low[WRITERS][MINE], high[WRITERS][MINE];
	struct dune_root *clone;

	for (unsigned int w = 0; w < WRITERS; w++)
		for (unsigned int i = 0; i < MINE; i++)
			low[w][i] = __atomic_load_n(&stamp[w][i].written, __ATOMIC_SEQ_CST);
	clone = clone_of(NULL);
	for (unsigned int w = 0; w < WRITERS; w++)
		for (unsigned int i = 0; i < MINE; i++)
			high[w][i] = __atomic_load_n(&stamp[w][i].begun, __ATOMIC_SEQ_CST);
	check_snapshot(clone, low, high);
	CHECK_EQ(dune_root_free(clone), 0);
	snapshots++;
}

static void snapshots_of_what_is_written_to(void)
{
	pthread_t threads[WRITERS];
	time_t end = time(NULL) + 4;

	memory_init();
	for (uintptr_t w = 0; w < WRITERS; w++)
		pthread_create(&threads[w], NULL, write_stamps, (void *)w);
	while (time(NULL) < end && !check_failed())
		take_snapshot();
	over = true;
	soft_leave();
	for (unsigned int w = 0; w < WRITERS; w++)
		pthread_join(threads[w], NULL);
	soft_enter();
	CHECK(snapshots > 10);
}

static void no_memory_changes_nothing(void)
{
	struct dune_root *clone;
	uint64_t nth;

	memory_init();
	for (nth = 1;; nth++) {
		int err;

		soft_fail_nth(nth);
		err = dune_root_clone(NULL, &clone);
		if (!soft_failed())
			break;
		soft_fail_nth(0);
		if (err)
			CHECK_EQ(err, -ENOMEM);
		else
			CHECK_EQ(dune_root_free(clone), 0);
		CHECK(soft_write(page_at(nth), nth));
	}
	/* A write that cannot be copied is refused, and loses nothing. */
	for (nth = 1; nth < 40; nth++) {
		bool failed;

		soft_fail_nth(nth % 4 + 1);
		failed = !soft_write(page_at(nth * 20), 1);
		soft_fail_nth(0);
		CHECK_EQ(guest_read(page_at(nth * 20)), failed ? 0 : 1);
		CHECK(soft_write(page_at(nth * 20), 2));
	}
	use(clone);
	for (nth = 1; nth < 40; nth++) {
		CHECK_EQ(guest_read(page_at(nth * 20)), 0);
		soft_fail_nth(nth % 4 + 1);
		soft_write(page_at(nth * 20), 3);
		soft_fail_nth(0);
		CHECK(soft_write(page_at(nth * 20), 4));
	}
	use(NULL);
	for (nth = 1; nth < 40; nth++)
		CHECK_EQ(guest_read(page_at(nth * 20)), 2);
	CHECK_EQ(dune_root_free(clone), 0);
}

int main(void)
{
	soft_init(DUNE_CAP_INVPCID);
	soft_begin();
	soft_enter();
	CASE(each_sees_its_own_writes);
	CASE(nobody_left_means_no_copy);
	CASE(rights_are_kept);
	CASE(shared_memory_is_shared);
	CASE(memory_comes_back);
	CASE(a_copy_outlives_its_translations);
	CASE(memory_that_linux_does_not_give);
	CASE(no_memory_changes_nothing);
	CASE(all_have_what_they_wrote);
	CASE(snapshots_of_what_is_written_to);
	soft_leave();
	soft_end();
	printf("# %llu snapshots, %llu copies, %llu kicks\n", (unsigned long long)snapshots,
	       (unsigned long long)soft_counts.copied, (unsigned long long)soft_counts.kicks);
	return CHECK_EXIT();
}
