// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What Linux does to a mapping, with the notifier callbacks where Linux has
 * them. Memory is freed as early as Linux may: where a callback is trusted to
 * have flushed, at once, without a TLB flush of Linux' own.
 */
#include <string.h>

#include "glue.h"

/* Memory that is unmapped and not yet freed. */
struct batch {
	struct frame *first;
};

/* ptl held. */
static void unmap_frame(struct batch *batch, u64 entry)
{
	struct frame *frame = frame_of(entry & HOST_PA);

	if (--frame->refs)
		return;
	frame->next = batch->first;
	batch->first = frame;
}

static void free_batch(struct batch *batch)
{
	while (batch->first) {
		struct frame *frame = batch->first;

		batch->first = frame->next;
		frame_free(frame);
	}
}

static bool overlaps(u64 start, u64 end, u64 first, u64 size)
{
	return first < end && first + size > start;
}

static bool covers(u64 start, u64 end, u64 first, u64 size)
{
	return first >= start && first + size <= end;
}

/* --- splitting a 2 MiB mapping: the same memory, page by page --- */

static void op_split(unsigned int r)
{
	struct host_region *region = &w.region[r];
	u64 end = region->hva + REGION_SIZE;
	u64 large;

	glue_range_start(region->hva, end, GLUE_RIDE_NOT);
	host_lock(region);
	large = region->pmd;
	if (large & HOST_LARGE) {
		frame_of(large & HOST_PA)->refs = NR_HOT;
		plat_store_release(&region->pmd, 0);
		for (unsigned int i = 0; i < NR_HOT; i++)
			plat_store_release(&region->pte[i],
					   (large & ~HOST_LARGE) +
					   (host_hva(r, i) - region->hva));
		plat_store_release(&region->pmd, HOST_TABLE);
	}
	host_unlock(region);
	glue_range_end(region->hva, end);
}

/* --- removal --- */

/* A 2 MiB mapping that sticks out is split first; true: it was. */
static bool split_first(unsigned int r, u64 start, u64 end)
{
	struct host_region *region = &w.region[r];

	if (!(plat_load_acquire(&region->pmd) & HOST_LARGE) ||
	    covers(start, end, region->hva, REGION_SIZE))
		return false;
	op_split(r);
	return true;
}

/* ptl held. Number of entries that were present; -1: split first. */
static int clear_locked(unsigned int r, u64 start, u64 end, struct batch *batch)
{
	struct host_region *region = &w.region[r];
	u64 *pud = &w.pud[region->hva >> SLOT_SHIFT];
	int nr = 0;

	if (*pud & HOST_LARGE) {
		if (!covers(start, end, region->hva & ~(SLOT_SIZE - 1),
			    SLOT_SIZE))
			return 0;	/* hugetlb: whole leaves only */
		unmap_frame(batch, *pud);
		plat_store_release(pud, 0);
		return 1;
	}
	if (region->pmd & HOST_LARGE) {
		if (!covers(start, end, region->hva, REGION_SIZE))
			return -1;
		unmap_frame(batch, region->pmd);
		plat_store_release(&region->pmd, 0);
		return 1;
	}
	for (unsigned int i = 0; i < NR_HOT; i++) {
		u64 old = region->pte[i];

		if (!old || !overlaps(start, end, host_hva(r, i), 4096))
			continue;
		plat_store_release(&region->pte[i], 0);
		if (!(old & HOST_PRESENT))
			continue;	/* whoever migrates it has the memory */
		unmap_frame(batch, old);
		nr++;
	}
	return nr;
}

static int clear_range(u64 start, u64 end, struct batch *batch)
{
	int nr = 0, here;

	for (unsigned int r = 0; r < NR_REGIONS; r++) {
		if (!overlaps(start, end, w.region[r].hva, REGION_SIZE))
			continue;
		do {
			split_first(r, start, end);
			host_lock(&w.region[r]);
			here = clear_locked(r, start, end, batch);
			host_unlock(&w.region[r]);
		} while (here < 0);
		nr += here;
	}
	return nr;
}

/* Removed and reported: what is older than the operation is out of use. */
static void raise_floors(u64 start, u64 end, u64 stamp)
{
	for (unsigned int i = 0; i < NR_REGIONS * NR_HOT; i++) {
		unsigned int r = i / NR_HOT, hot = i % NR_HOT;
		u64 *floor = &w.region[r].floor[hot];
		u64 slot = w.region[r].hva & ~(SLOT_SIZE - 1);
		u64 old = plat_load(floor);

		/* A leaf of hugetlb that sticks out was left alone. */
		if (!covers(start, end, host_hva(r, hot), 4096) ||
		    (r == GIANT_REGION && !covers(start, end, slot, SLOT_SIZE)))
			continue;
		while (old < stamp && !plat_cas64(floor, &old, stamp))
			;
	}
}

static u64 tlb_flush_pending;

/*
 * MADV_DONTNEED or munmap: Linux flushes after the end callback, when it has
 * cleared anything or another one may have, and frees only then.
 */
static void op_zap_ride(u64 start, u64 end)
{
	struct batch batch = { NULL };
	u64 stamp = stamp_now();
	int nr;

	__atomic_fetch_add(&tlb_flush_pending, 1, __ATOMIC_SEQ_CST);
	glue_range_start(start, end, GLUE_RIDE_SURE);
	nr = clear_range(start, end, &batch);
	glue_range_end(start, end);
	/* Others get here before the flush. */
	for (unsigned int i = rnd(8) ? 0 : rnd(30); i; i--)
		plat_cpu_relax();
	if (nr || __atomic_load_n(&tlb_flush_pending, __ATOMIC_SEQ_CST) > 1) {
		linux_flush();
		glue_after_flush(start, end);
	}
	free_batch(&batch);
	__atomic_fetch_sub(&tlb_flush_pending, 1, __ATOMIC_SEQ_CST);
	raise_floors(start, end, stamp);
}

/* Reclaim and the like: the start callback is all that is relied on. */
static void op_zap_now(u64 start, u64 end)
{
	struct batch batch = { NULL };
	u64 stamp = stamp_now();
	bool early = rnd(2);

	glue_range_start(start, end, GLUE_RIDE_NOT);
	clear_range(start, end, &batch);
	if (early)
		free_batch(&batch);
	glue_range_end(start, end);
	free_batch(&batch);
	raise_floors(start, end, stamp);
}

/* --- rights --- */

/* ptl held: what is not writable does not change. */
static void check_read_only(unsigned int r, unsigned int hot)
{
	u64 pte = w.region[r].pte[hot];
	const struct cell *cell;
	struct cell before;

	if (!(pte & HOST_PRESENT) || (pte & HOST_WRITE))
		return;
	cell = frame_cell(frame_of(pte & HOST_PA), hot);
	before = *cell;
	for (unsigned int i = rnd(4); i; i--)
		plat_cpu_relax();
	if (memcmp(&before, cell, sizeof(before)))
		fail("region %u page %u is written to and is not writable", r,
		     hot);
}

static void op_protect(unsigned int r, u64 start, u64 end)
{
	struct host_region *region = &w.region[r];

	glue_range_start(start, end, GLUE_RIDE_NOT);
	host_lock(region);
	if (!(w.pud[region->hva >> SLOT_SHIFT] & HOST_LARGE)) {
		if (covers(start, end, region->hva, REGION_SIZE))
			plat_store_release(&region->pmd,
					   region->pmd & ~HOST_WRITE);
		for (unsigned int i = 0; i < NR_HOT; i++)
			if ((region->pte[i] & HOST_PRESENT) &&
			    overlaps(start, end, host_hva(r, i), 4096))
				plat_store_release(&region->pte[i],
						   region->pte[i] & ~HOST_WRITE);
	}
	host_unlock(region);
	if (rnd(2))
		linux_flush();
	glue_range_end(start, end);
}

static void op_check(unsigned int r)
{
	host_lock(&w.region[r]);
	if (w.region[r].pmd == HOST_TABLE)
		for (unsigned int i = 0; i < NR_HOT; i++)
			check_read_only(r, i);
	host_unlock(&w.region[r]);
}

/* --- the same content in other memory --- */

void op_cow(unsigned int r, unsigned int hot)
{
	struct host_region *region = &w.region[r];
	u64 hva = host_hva(r, hot), *pte = &region->pte[hot];
	struct frame *new = frame_alloc(1, frame_tag(1, r, hot));
	struct batch batch = { NULL };

	glue_range_start(hva, hva + 4096, GLUE_RIDE_NOT);
	host_lock(region);
	if (region->pmd == HOST_TABLE && (*pte & HOST_PRESENT) &&
	    !(*pte & HOST_WRITE)) {
		cell_copy(new->cell, frame_cell(frame_of(*pte & HOST_PA), hot));
		unmap_frame(&batch, *pte);
		plat_store_release(pte, 0);
		if (rnd(2))
			linux_flush();
		frame_publish(new);
		plat_store_release(pte, new->pa | HOST_PRESENT | HOST_WRITE);
		new = NULL;
	}
	host_unlock(region);
	glue_range_end(hva, hva + 4096);
	free_batch(&batch);
	if (new)
		frame_free(new);
}

static u64 last_migration;

static void op_migrate(unsigned int r, unsigned int hot)
{
	struct host_region *region = &w.region[r];
	u64 hva = host_hva(r, hot), *pte = &region->pte[hot], old = 0;
	u64 busy = HOST_BUSY | __atomic_add_fetch(&last_migration, 1,
						  __ATOMIC_RELAXED) << 12;
	struct frame *new = frame_alloc(1, frame_tag(1, r, hot));
	struct batch batch = { NULL };

	glue_range_start(hva, hva + 4096, GLUE_RIDE_NOT);
	host_lock(region);
	if (region->pmd == HOST_TABLE && (*pte & HOST_PRESENT)) {
		old = *pte;
		plat_store_release(pte, busy);
	}
	host_unlock(region);
	if (old) {
		cell_copy(new->cell, frame_cell(frame_of(old & HOST_PA), hot));
		host_lock(region);
		if (*pte == busy) {
			frame_publish(new);
			plat_store_release(pte, new->pa | (old & 0xfff));
			new = NULL;
		}
		unmap_frame(&batch, old);
		host_unlock(region);
	}
	free_batch(&batch);
	glue_range_end(hva, hva + 4096);
	if (new)
		frame_free(new);
}

/* ptl held. */
static void collapse_locked(unsigned int r, struct frame *block,
			    struct batch *batch)
{
	struct host_region *region = &w.region[r];

	plat_store_release(&region->pmd, 0);
	for (unsigned int i = 0; i < NR_HOT; i++) {
		u64 old = region->pte[i];

		plat_store_release(&region->pte[i], 0);
		if (!old)
			continue;
		cell_copy(&block->cell[i],
			  frame_cell(frame_of(old & HOST_PA), i));
		unmap_frame(batch, old);
	}
	if (rnd(2))
		linux_flush();
	frame_publish(block);
	plat_store_release(&region->pmd,
			   block->pa | HOST_PRESENT | HOST_LARGE | HOST_WRITE);
}

static bool can_collapse(const struct host_region *region)
{
	if (region->pmd != HOST_TABLE)
		return false;
	for (unsigned int i = 0; i < NR_HOT; i++)
		if (region->pte[i] & HOST_BUSY)
			return false;
	return true;
}

static void op_collapse(unsigned int r)
{
	struct host_region *region = &w.region[r];
	struct frame *block = frame_alloc(2, frame_tag(2, r, 0));
	u64 end = region->hva + REGION_SIZE;
	struct batch batch = { NULL };

	glue_range_start(region->hva, end, GLUE_RIDE_NOT);
	host_lock(region);
	if (can_collapse(region)) {
		collapse_locked(r, block, &batch);
		block = NULL;
	}
	host_unlock(region);
	free_batch(&batch);
	glue_range_end(region->hva, end);
	if (block)
		frame_free(block);
}

/* munmap of a slot, and hugetlb mapped there. */
static void op_giant(void)
{
	struct host_region *region = &w.region[GIANT_REGION];
	struct frame *giant = frame_alloc(3, frame_tag(3, GIANT_REGION, 0));
	u64 start = GIANT_SLOT * SLOT_SIZE;
	struct batch batch = { NULL };

	glue_range_start(start, start + SLOT_SIZE, GLUE_RIDE_NOT);
	host_lock(region);
	clear_locked(GIANT_REGION, start, start + SLOT_SIZE, &batch);
	plat_store_release(&region->pmd, 0);
	frame_publish(giant);
	plat_store_release(&w.pud[GIANT_SLOT], giant->pa | HOST_PRESENT |
			   HOST_LARGE | (rnd(2) ? HOST_WRITE : 0));
	host_unlock(region);
	free_batch(&batch);
	glue_range_end(start, start + SLOT_SIZE);
}

/* --- which one --- */

static void random_range(unsigned int r, u64 *start, u64 *end)
{
	unsigned int first = rnd(NR_HOT), last = first + rnd(NR_HOT - first);

	switch (rnd(9)) {
	case 8:			/* where others are as well */
		*start = host_hva(r, 0);
		*end = host_hva(r, 1) + 4096;
		break;
	case 0:
		*start = w.region[r].hva;
		*end = *start + REGION_SIZE;
		break;
	case 1:			/* several regions: more than one bucket */
		*start = w.region[r].hva + rnd(2) * 4096;
		*end = *start + (1 + rnd(5)) * REGION_SIZE;
		break;
	case 2:
		if (rnd(4)) {
			*start = host_hva(r, first);
			*end = *start + 4096;
		} else {	/* slots */
			*start = rnd(NR_SLOTS) * SLOT_SIZE;
			*end = *start + (1 + rnd(3)) * SLOT_SIZE;
		}
		break;
	default:
		*start = host_hva(r, first);
		*end = host_hva(r, last) + 4096;
	}
	if (*end > HVA_END)
		*end = HVA_END;
}

static void op_prefault(struct pt_cache *cache, unsigned int r, unsigned int hot)
{
	glue_fault(&replicas_at(&w.ept, rnd(w.nr_nodes))->pt, cache,
		   host_hva(r, hot), rnd(2) ? PT_R : PT_R | PT_W);
}

void op_random(struct pt_cache *cache)
{
	unsigned int kind = rnd(64), r = rnd(NR_REGIONS), hot = rnd(NR_HOT);
	u64 start, end;

	random_range(r, &start, &end);
	if (kind < 14)
		op_zap_ride(start, end);
	else if (kind < 28)
		op_zap_now(start, end);
	else if (kind < 34)
		op_protect(r, host_hva(r, hot), host_hva(r, NR_HOT - 1) + 4096);
	else if (kind < 36)
		op_protect(r, w.region[r].hva, w.region[r].hva + REGION_SIZE);
	else if (kind < 40)
		op_check(r);
	else if (kind < 46)
		op_migrate(r, hot);
	else if (kind < 49)
		op_collapse(r);
	else if (kind < 52)
		op_split(r);
	else if (kind < 57)
		glue_age(start, end, rnd(2) ? PT_AGE_CLEAR : PT_AGE_TEST);
	else if (kind < 62)
		op_prefault(cache, r, hot);
	else if (kind < 63)
		op_giant();
	else if (rnd(8) == 0)
		glue_mm_release();
}

void op_unmap_all(void)
{
	op_zap_now(0, HVA_END);
}
