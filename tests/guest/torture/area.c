// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The memory under test: areas of blocks of pages, their states and stamps. */
#include "torture.h"
#include "test.h"

#include <sched.h>
#include <string.h>
#include <sys/mman.h>

/*
 * Below every address that Linux chooses by itself: an unmapped block stays a
 * hole until its claimant maps it again.
 */
#define AREAS_BASE	(1ul << 40)
#define GIB		(1ul << 30)

struct area areas[NR_AREAS] = {
	/* A block lies across the border of two 1 GiB slots. */
	{ AREA_SMALL, (char *)(AREAS_BASE + GIB - 60 * PAGE), 0, 128, 8 },
	{ AREA_HUGE, (char *)(AREAS_BASE + 2 * GIB), 0, 1024, 64 },
	{ AREA_FILE, (char *)(AREAS_BASE + 3 * GIB), 0, 64, 8 },
	{ AREA_TWIN, (char *)(AREAS_BASE + 4 * GIB), 0, 32, 32 },
};
struct block blocks[MAX_BLOCKS];
unsigned int nr_pages, nr_blocks;

static struct {
	uint64_t state;
	uint32_t gen;		/* of the stamps in it; the claimant's */
} pages[MAX_PAGES];
/* The block each antagonist works on; stale values do no harm. */
static volatile int hot[MAX_ANTAGONISTS];

static const struct area *area_of(unsigned int page)
{
	const struct area *area = areas;

	while (page >= area->first_page + area->nr_pages)
		area++;
	return area;
}

char *page_address(unsigned int page)
{
	const struct area *area = area_of(page);

	return area->base + (page - area->first_page) * PAGE;
}

volatile uint64_t *word_in(char *base, unsigned int i)
{
	static const uint16_t stamps[NR_STAMPS] = { 0, 2040, PAGE - 8 };

	return (volatile uint64_t *)(base + (i < NR_STAMPS ? stamps[i] :
					     64 + 200 * (i - NR_STAMPS)));
}

volatile uint64_t *word_of(unsigned int page, unsigned int i)
{
	return word_in(page_address(page), i);
}

/* Generation, page number, and a checksum of both and the word's place. */
uint64_t stamp_of(unsigned int page, unsigned int i, uint32_t gen)
{
	uint64_t head = (uint64_t)gen << 32 | page << 20;
	uint64_t sum = (head + i + 1) * 0x9e3779b97f4a7c15ull;

	return head | (sum ^ opt.seed * 0xff51afd7ed558ccdull) >> 44;
}

/* ---- states ---- */

uint64_t page_state(unsigned int page)
{
	return __atomic_load_n(&pages[page].state, __ATOMIC_ACQUIRE);
}

uint32_t page_gen(unsigned int page)
{
	return pages[page].gen;
}

static void set_state(unsigned int page, uint32_t min, unsigned int bits)
{
	uint32_t low = (uint32_t)pages[page].state;

	low = ((low | ST_BITS) + 1) | bits;
	__atomic_store_n(&pages[page].state, (uint64_t)min << 32 | low,
			 __ATOMIC_SEQ_CST);
}

void block_state(struct block *b, unsigned int bits)
{
	for (unsigned int p = b->first_page; p < b->first_page + b->nr_pages; p++)
		set_state(p, ST_MIN(pages[p].state), bits);
}

void block_forget(struct block *b, unsigned int bits)
{
	for (unsigned int p = b->first_page; p < b->first_page + b->nr_pages; p++)
		set_state(p, pages[p].gen + 1, bits);
}

void block_stamp(struct block *b, unsigned int bits)
{
	for (unsigned int p = b->first_page; p < b->first_page + b->nr_pages; p++) {
		uint32_t gen = ++pages[p].gen;

		for (unsigned int i = 0; i < NR_STAMPS; i++)
			*word_of(p, i) = stamp_of(p, i, gen);
		set_state(p, gen, bits);
	}
}

/* ---- mapping ---- */

static void map_at(enum area_kind kind, char *base, size_t size, int fd)
{
	int flags = kind == AREA_FILE ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;

	REQUIRE(mmap(base, size, PROT_READ | PROT_WRITE,
		     flags | MAP_FIXED_NOREPLACE, fd, 0) == base);
	/*
	 * Advice makes a mapping that Linux does not merge with its neighbours
	 * any more once it has pages: no huge page could come to be there.
	 */
	if (kind != AREA_HUGE)
		madvise(base, size, MADV_NOHUGEPAGE);
	if (kind == AREA_TWIN)
		madvise(base, size, MADV_MERGEABLE);
}

void block_map(struct block *b)
{
	map_at(b->area->kind, b->base, block_size(b), b->fd);
}

static void add_block(struct area *area, unsigned int n)
{
	struct block *b = &blocks[nr_blocks++];

	REQUIRE(nr_blocks <= MAX_BLOCKS);
	*b = (struct block){ .area = area, .fd = -1,
			     .base = area->base + n * area->block_pages * PAGE,
			     .first_page = area->first_page + n * area->block_pages,
			     .nr_pages = area->block_pages };
	if (area->kind == AREA_FILE) {
		b->fd = memfd_create("torture", MFD_CLOEXEC);
		REQUIRE(b->fd >= 0);
		REQUIRE(ftruncate(b->fd, block_size(b)) == 0);
		block_map(b);
	}
}

static void area_map(struct area *area)
{
	area->first_page = nr_pages;
	nr_pages += area->nr_pages;
	REQUIRE(nr_pages <= MAX_PAGES);
	if (area->kind != AREA_FILE)
		map_at(area->kind, area->base, area->nr_pages * PAGE, -1);
	for (unsigned int n = 0; n < area->nr_pages / area->block_pages; n++)
		add_block(area, n);
}

void areas_map(void)
{
	nr_pages = 0;
	nr_blocks = 0;
	memset(pages, 0, sizeof(pages));
	memset(kept, 0, sizeof(kept));
	for (int i = 0; i < NR_AREAS; i++)
		area_map(&areas[i]);
	for (unsigned int i = 0; i < nr_blocks; i++)
		if (blocks[i].area->kind != AREA_TWIN)
			block_stamp(&blocks[i], 0);
}

void areas_unmap(void)
{
	for (int i = 0; i < NR_AREAS; i++)
		CHECK_EQ(munmap(areas[i].base, areas[i].nr_pages * PAGE), 0);
	for (unsigned int i = 0; i < nr_blocks; i++)
		if (blocks[i].fd >= 0)
			close(blocks[i].fd);
}

/* ---- claims ---- */

struct block *block_claim(int antagonist, unsigned int kinds, uint64_t *seed)
{
	for (int tries = 0; tries < 200; tries++) {
		struct area *area = &areas[rnd(seed) % NR_AREAS];
		unsigned int page, i;

		if (!(area->kind & kinds))
			continue;
		page = area->first_page + rnd(seed) % area->nr_pages;
		for (i = 0; page >= blocks[i].first_page + blocks[i].nr_pages;)
			i++;
		if (__atomic_exchange_n(&blocks[i].claimed, 1, __ATOMIC_ACQUIRE))
			continue;
		hot[antagonist] = i;
		return &blocks[i];
	}
	return NULL;
}

void block_release(struct block *b)
{
	__atomic_store_n(&b->claimed, 0, __ATOMIC_RELEASE);
}

unsigned int pick_page(unsigned int kinds, uint64_t *seed)
{
	const struct area *area;

	if (rnd(seed) & 1) {
		const struct block *b = &blocks[hot[rnd(seed) % MAX_ANTAGONISTS]];

		if (b->area->kind & kinds)
			return b->first_page + rnd(seed) % b->nr_pages;
	}
	do
		area = &areas[rnd(seed) % NR_AREAS];
	while (!(area->kind & kinds));
	return area->first_page + rnd(seed) % area->nr_pages;
}

/* ---- poison ---- */

void poison_fresh(unsigned int n, unsigned long wait)
{
	char *fresh = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int changed = 0;

	REQUIRE(fresh != MAP_FAILED);
	madvise(fresh, n * PAGE, MADV_NOHUGEPAGE);
	for (unsigned int p = 0; p < n; p++)
		for (unsigned int i = 0; i < NR_WORDS; i++)
			*word_in(fresh + p * PAGE, i) = POISON;
	spin(wait);
	for (unsigned int p = 0; p < n; p++)
		for (unsigned int i = 0; i < NR_WORDS; i++)
			changed += *word_in(fresh + p * PAGE, i) != POISON;
	if (changed)
		FAIL("stray write: %u words of fresh pages were overwritten",
		     changed);
	munmap(fresh, n * PAGE);
}
