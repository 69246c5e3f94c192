// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Antagonists that take pages or rights away. Each announces what may happen,
 * makes its system call, announces what has happened, and puts the block back
 * with new stamps.
 */
#include "torture.h"
#include "test.h"

#include <fcntl.h>
#include <sys/mman.h>

/* Long enough for verifiers on other CPUs to use what they should not. */
static void wait_a_bit(struct antagonist *a)
{
	spin(500 + rnd(&a->seed) % 4000);
}

static void fresh_stamps(struct antagonist *a, struct block *b)
{
	/* Fresh pages may be read, or written by their verifiers, first. */
	if (rnd(&a->seed) & 1)
		wait_a_bit(a);
	block_stamp(b, 0);
	block_release(b);
}

static bool dontneed(struct antagonist *a)
{
	struct block *b = block_claim(a->index, AREA_PRIVATE, &a->seed);

	if (!b)
		return false;
	block_state(b, ST_ZERO);
	CHECK_EQ(madvise(b->base, block_size(b), MADV_DONTNEED), 0);
	block_forget(b, ST_ZERO);
	poison_fresh(b->nr_pages, rnd(&a->seed) % 4000);
	fresh_stamps(a, b);
	return true;
}

/* Until the next write each page has its contents, or zero. */
static bool lazy_free(struct antagonist *a)
{
	struct block *b = block_claim(a->index, AREA_PRIVATE, &a->seed);

	if (!b)
		return false;
	block_state(b, ST_ZERO);
	CHECK_EQ(madvise(b->base, block_size(b), MADV_FREE), 0);
	wait_a_bit(a);
	/* Reclaim discards what nobody wrote to. */
	madvise(b->base, block_size(b), MADV_PAGEOUT);
	wait_a_bit(a);
	block_stamp(b, 0);
	madvise(b->base, block_size(b), MADV_PAGEOUT);
	block_release(b);
	return true;
}

static bool unmap(struct antagonist *a)
{
	struct block *b = block_claim(a->index, AREA_ANY, &a->seed);
	unsigned int zero;

	if (!b)
		return false;
	/* A file keeps what was in its pages. */
	zero = b->area->kind == AREA_FILE ? 0 : ST_ZERO;
	block_state(b, ST_FAULT | zero);
	CHECK_EQ(munmap(b->base, block_size(b)), 0);
	if (zero)
		block_forget(b, ST_GONE);
	else
		block_state(b, ST_GONE);
	poison_fresh(b->nr_pages, rnd(&a->seed) % 4000);
	block_state(b, ST_FAULT | zero);
	block_map(b);
	block_state(b, zero);
	fresh_stamps(a, b);
	return true;
}

/* One call that removes the old mapping and makes the new one. */
static bool map_over(struct antagonist *a)
{
	struct block *b = block_claim(a->index, AREA_PRIVATE, &a->seed);

	if (!b)
		return false;
	/* Linux has nothing there between the two. */
	block_state(b, ST_FAULT | ST_ZERO);
	REQUIRE(mmap(b->base, block_size(b), PROT_READ | PROT_WRITE,
		     MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == b->base);
	block_forget(b, ST_ZERO);
	if (b->area->kind == AREA_SMALL)
		madvise(b->base, block_size(b), MADV_NOHUGEPAGE);
	poison_fresh(b->nr_pages, rnd(&a->seed) % 4000);
	fresh_stamps(a, b);
	return true;
}

static bool read_only(struct antagonist *a)
{
	struct block *b = block_claim(a->index, AREA_ANY, &a->seed);

	if (!b)
		return false;
	block_state(b, ST_WFAULT);
	CHECK_EQ(mprotect(b->base, block_size(b), PROT_READ), 0);
	block_state(b, ST_RDONLY);
	verify_frozen(b, b->base, "mprotect");
	block_state(b, ST_WFAULT);
	CHECK_EQ(mprotect(b->base, block_size(b), PROT_READ | PROT_WRITE), 0);
	block_state(b, 0);
	fresh_stamps(a, b);
	return true;
}

static bool no_access(struct antagonist *a)
{
	struct block *b = block_claim(a->index, AREA_ANY, &a->seed);

	if (!b)
		return false;
	block_state(b, ST_FAULT);
	CHECK_EQ(mprotect(b->base, block_size(b), PROT_NONE), 0);
	block_state(b, ST_GONE);
	wait_a_bit(a);
	block_state(b, ST_FAULT);
	CHECK_EQ(mprotect(b->base, block_size(b), PROT_READ | PROT_WRITE), 0);
	block_state(b, 0);
	fresh_stamps(a, b);
	return true;
}

/* Away, where nobody but the claimant looks, and back. */
static bool move(struct antagonist *a)
{
	struct block *b = block_claim(a->index, AREA_ANY, &a->seed);
	size_t size;

	if (!b)
		return false;
	size = block_size(b);
	block_state(b, ST_FAULT);
	REQUIRE(mremap(b->base, size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
		       a->aside) == a->aside);
	block_state(b, ST_GONE);
	verify_frozen(b, a->aside, "mremap");
	for (unsigned int n = 0; n < b->nr_pages; n++)
		CHECK_EQ(*word_in(a->aside + n * PAGE, 1),
			 stamp_of(b->first_page + n, 1, page_gen(b->first_page + n)));
	block_state(b, ST_FAULT);
	REQUIRE(mremap(a->aside, size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
		       b->base) == b->base);
	block_state(b, 0);
	fresh_stamps(a, b);
	return true;
}

/* ---- shared files ---- */

static bool punch_hole(struct antagonist *a)
{
	struct block *b = block_claim(a->index, AREA_FILE, &a->seed);

	if (!b)
		return false;
	block_state(b, ST_ZERO);
	CHECK_EQ(fallocate(b->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			   block_size(b)), 0);
	block_forget(b, ST_ZERO);
	poison_fresh(b->nr_pages, rnd(&a->seed) % 4000);
	fresh_stamps(a, b);
	return true;
}

static bool truncate_file(struct antagonist *a)
{
	struct block *b = block_claim(a->index, AREA_FILE, &a->seed);

	if (!b)
		return false;
	block_state(b, ST_FAULT | ST_ZERO);
	CHECK_EQ(ftruncate(b->fd, 0), 0);
	block_forget(b, ST_GONE);
	poison_fresh(b->nr_pages, rnd(&a->seed) % 4000);
	block_state(b, ST_FAULT | ST_ZERO);
	CHECK_EQ(ftruncate(b->fd, block_size(b)), 0);
	block_state(b, ST_ZERO);
	fresh_stamps(a, b);
	return true;
}

/* The file keeps what the mapping drops. */
static bool drop_file_pages(struct antagonist *a)
{
	struct block *b = block_claim(a->index, AREA_FILE, &a->seed);

	if (!b)
		return false;
	CHECK_EQ(madvise(b->base, block_size(b), MADV_DONTNEED), 0);
	if (rnd(&a->seed) & 1)
		madvise(b->base, block_size(b), MADV_PAGEOUT);
	block_release(b);
	return true;
}

/* New stamps through another mapping of the file. */
static bool write_elsewhere(struct antagonist *a)
{
	struct block *b = block_claim(a->index, AREA_FILE, &a->seed);
	struct block alias;

	if (!b)
		return false;
	alias = *b;
	alias.base = a->aside;
	block_map(&alias);
	for (unsigned int n = 0; n < b->nr_pages; n++) {
		unsigned int page = b->first_page + n;

		CHECK_EQ(*word_in(a->aside + n * PAGE, 0),
			 stamp_of(page, 0, page_gen(page)));
		for (unsigned int i = 0; i < NR_STAMPS; i++)
			*word_in(a->aside + n * PAGE, i) =
				stamp_of(page, i, page_gen(page) + 1);
	}
	/* What was written there is what is here, and the old is gone. */
	block_forget(b, 0);
	wait_a_bit(a);
	CHECK_EQ(munmap(a->aside, block_size(b)), 0);
	fresh_stamps(a, b);
	return true;
}

struct act map_acts[] = {
	{ .name = "dontneed", .fn = dontneed, .one_in = 1 },
	{ .name = "free", .fn = lazy_free, .one_in = 1 },
	{ .name = "munmap", .fn = unmap, .one_in = 1 },
	{ .name = "mmap_over", .fn = map_over, .one_in = 1 },
	{ .name = "mprotect", .fn = read_only, .one_in = 1 },
	{ .name = "prot_none", .fn = no_access, .one_in = 1 },
	{ .name = "mremap", .fn = move, .one_in = 1 },
	{ .name = "punch_hole", .fn = punch_hole, .one_in = 1 },
	{ .name = "truncate", .fn = truncate_file, .one_in = 1 },
	{ .name = "drop_file", .fn = drop_file_pages, .one_in = 1 },
	{ .name = "alias", .fn = write_elsewhere, .one_in = 1 },
	{ .name = NULL },
};
