// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Host memory and the host page table: what Linux has behind the EPT. Faults
 * read the table without a lock and change it under the region's ptl, as
 * Linux does. Freed memory loses its stamp and is reused as late as possible.
 */
#include <stdlib.h>
#include <string.h>

#include "glue.h"

#define NR_SMALL	512u
#define NR_BLOCKS	64u
#define NR_GIANTS	8u

/* Each size has physical addresses of its own. */
#define PA_SMALL	(1ull << 40)
#define PA_BLOCK	(2ull << 40)
#define PA_GIANT	(3ull << 40)

struct pool {
	struct frame *frame;
	struct cell *cell;
	struct frame *first, *last;	/* free ones, oldest first */
	u64 pa;
	unsigned int nr, level;
};

static struct pool pools[4];
static u32 pool_lock;
static u64 last_stamp;

static void spin_lock(u32 *lock)
{
	while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE))
		plat_cpu_relax();
}

static void spin_unlock(u32 *lock)
{
	__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

/* --- memory --- */

u64 stamp_now(void)
{
	return __atomic_load_n(&last_stamp, __ATOMIC_ACQUIRE);
}

static u64 new_stamp(void)
{
	return __atomic_add_fetch(&last_stamp, 1, __ATOMIC_ACQ_REL);
}

static unsigned int nr_cells(unsigned int level)
{
	return level == 1 ? 1 : NR_HOT;
}

static void append(struct pool *pool, struct frame *frame)
{
	frame->next = NULL;
	if (pool->first)
		pool->last->next = frame;
	else
		pool->first = frame;
	pool->last = frame;
}

static void poison(struct frame *frame)
{
	frame->stamp = PLAT_TEST_POISON;
	memset(frame->cell, (int)(PLAT_TEST_POISON & 0xff),
	       nr_cells(frame->level) * sizeof(*frame->cell));
}

static void pool_init(unsigned int level, unsigned int nr, u64 pa)
{
	struct pool *pool = &pools[level];

	*pool = (struct pool){ .nr = nr, .level = level, .pa = pa };
	pool->frame = calloc(nr, sizeof(*pool->frame));
	pool->cell = calloc(nr * nr_cells(level), sizeof(*pool->cell));
	if (!pool->frame || !pool->cell)
		abort();
	for (unsigned int i = 0; i < nr; i++) {
		struct frame *frame = &pool->frame[i];

		frame->level = level;
		frame->pa = pa + i * pt_level_size(level);
		frame->cell = &pool->cell[i * nr_cells(level)];
		poison(frame);
		append(pool, frame);
	}
}

void mm_init(void)
{
	static const u64 region[NR_REGIONS] = { 0, 1, 2, 511, 512, 519, 1027 };

	pool_init(1, NR_SMALL, PA_SMALL);
	pool_init(2, NR_BLOCKS, PA_BLOCK);
	pool_init(3, NR_GIANTS, PA_GIANT);
	for (unsigned int i = 0; i < NR_REGIONS; i++)
		w.region[i].hva = region[i] * REGION_SIZE;
}

void mm_fini(void)
{
	for (unsigned int level = 1; level < 4; level++) {
		free(pools[level].frame);
		free(pools[level].cell);
	}
}

struct frame *frame_alloc(unsigned int level, u64 tag)
{
	struct pool *pool = &pools[level];
	struct frame *frame;

	spin_lock(&pool_lock);
	frame = pool->first;
	if (frame)
		pool->first = frame->next;
	spin_unlock(&pool_lock);
	if (!frame)
		fail("the host has no memory of level %u left: a leak", level);
	frame->stamp = new_stamp();
	frame->tag = tag;
	frame->refs = 1;
	for (unsigned int i = 0; i < nr_cells(level); i++) {
		memset(&frame->cell[i], 0, sizeof(frame->cell[i]));
		frame->cell[i].content = new_stamp();
	}
	return frame;
}

void frame_publish(struct frame *frame)
{
	frame->stamp = new_stamp();
}

void frame_free(struct frame *frame)
{
	poison(frame);
	spin_lock(&pool_lock);
	append(&pools[frame->level], frame);
	spin_unlock(&pool_lock);
}

u64 mm_used_frames(void)
{
	u64 nr = 0;

	for (unsigned int level = 1; level < 4; level++)
		for (struct frame *f = pools[level].first; f; f = f->next)
			nr++;
	return NR_SMALL + NR_BLOCKS + NR_GIANTS - nr;
}

struct frame *frame_of(u64 pa)
{
	unsigned int level = pa >> 40;
	struct pool *pool = &pools[level & 3];
	u64 index = level && level < 4 ?
		    (pa - pool->pa) / pt_level_size(pool->level) : ~0ull;

	if (index >= pool->nr)
		fail("a leaf leads to 0x%llx, where no memory is", pa);
	return &pool->frame[index];
}

u64 frame_tag(unsigned int level, unsigned int region, unsigned int hot)
{
	if (level == 1)
		return (1ull << 32) + region * NR_HOT + hot;
	return ((u64)level << 32) + region;
}

struct cell *frame_cell(struct frame *frame, unsigned int hot)
{
	return &frame->cell[frame->level == 1 ? 0 : hot];
}

void cell_copy(struct cell *to, const struct cell *from)
{
	*to = *from;
}

/* --- the page table --- */

void host_lock(struct host_region *region)
{
	spin_lock(&region->ptl);
}

void host_unlock(struct host_region *region)
{
	spin_unlock(&region->ptl);
}

static unsigned int find(u64 hva, unsigned int *hot)
{
	for (unsigned int i = 0; i < NR_REGIONS * NR_HOT; i++)
		if (host_hva(i / NR_HOT, i % NR_HOT) == hva) {
			*hot = i % NR_HOT;
			return i / NR_HOT;
		}
	fail("no hot page at 0x%llx", hva);
}

static void fill_leaf(struct pt_leaf *leaf, u64 entry, unsigned int level)
{
	*leaf = (struct pt_leaf){
		.pa = entry & HOST_PA & ~(pt_level_size(level) - 1),
		.level = level,
		.rights = PT_R | PT_X | (entry & HOST_WRITE ? PT_W : 0),
		.memtype = PT_MEM_WB,
		.age = rnd(2) ? PT_YOUNG : PT_OLD,
	};
}

int host_leaf(u64 hva, unsigned int want, struct pt_leaf *leaf)
{
	unsigned int hot, r = find(hva, &hot), level = 3;
	const struct host_region *region = &w.region[r];
	u64 entry = plat_load_acquire(&w.pud[hva >> SLOT_SHIFT]);

	if (!(entry & HOST_LARGE)) {
		level = 2;
		entry = plat_load_acquire(&region->pmd);
	}
	if (level == 2 && !(entry & HOST_LARGE)) {
		if (!(entry & HOST_TABLE))
			return -EAGAIN;
		level = 1;
		entry = plat_load_acquire(&region->pte[hot]);
	}
	if (!(entry & HOST_PRESENT))
		return -EAGAIN;
	fill_leaf(leaf, entry, level);
	return (leaf->rights & want) == want ? 0 : -EAGAIN;
}

enum populate { POPULATED, POPULATE_BUSY, POPULATE_COW };

/* A present entry without enough rights: the page is this mm's alone, or not. */
static enum populate populate_write(u64 *entry, bool may_copy)
{
	if (may_copy && rnd(2))
		return POPULATE_COW;
	plat_store_release(entry, *entry | HOST_WRITE);
	return POPULATED;
}

static enum populate populate_locked(struct host_region *region, unsigned int r,
				     unsigned int hot, unsigned int want)
{
	u64 *pud = &w.pud[region->hva >> SLOT_SHIFT], *pte = &region->pte[hot];
	bool write = want & PT_W;

	if (*pud & HOST_LARGE)
		return write && !(*pud & HOST_WRITE) ?
		       populate_write(pud, false) : POPULATED;
	if (region->pmd & HOST_LARGE)
		return write && !(region->pmd & HOST_WRITE) ?
		       populate_write(&region->pmd, false) : POPULATED;
	plat_store_release(&region->pmd, HOST_TABLE);
	if (*pte & HOST_BUSY)
		return POPULATE_BUSY;
	if (*pte)
		return write && !(*pte & HOST_WRITE) ?
		       populate_write(pte, true) : POPULATED;
	plat_store_release(pte, frame_alloc(1, frame_tag(1, r, hot))->pa |
				HOST_PRESENT |
				(write || rnd(2) ? HOST_WRITE : 0));
	return POPULATED;
}

int host_populate(u64 hva, unsigned int want)
{
	unsigned int hot, r = find(hva, &hot);
	struct host_region *region = &w.region[r];
	enum populate done;

	host_lock(region);
	done = populate_locked(region, r, hot, want);
	host_unlock(region);
	if (done == POPULATE_COW)
		op_cow(r, hot);
	return done == POPULATE_BUSY ? -EAGAIN : 0;
}

void linux_flush(void)
{
	plat_cpumask_t cpus;

	/* The change of the page table before the CPUs that have it loaded. */
	plat_full_mb();
	for (unsigned int i = 0; i < PLAT_NR_CPUS / 64; i++)
		cpus.word[i] = plat_load(&w.cpus.word[i]);
	kick_each(&cpus);
}
