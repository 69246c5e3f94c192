// SPDX-License-Identifier: GPL-2.0-only
/* See slots.h. */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <asm/processor.h>

#include "plat.h"
#include "slots.h"

/* A 4-level EPT translates 48 bits. */
#define EPT_GPA_BITS	48u

u32 slots_limit(void)
{
	u32 bits = min_t(u32, boot_cpu_data.x86_phys_bits, EPT_GPA_BITS);

	return min_t(u64, 1ull << (bits - DUNE_SLOT_SHIFT), SLOTS_MAX);
}

void slots_init(struct slots *s)
{
	mutex_init(&s->lock);
	s->max = slots_limit();
}

static void free_table(u32 *page)
{
	if (page)
		plat_note_gone(page);
	free_page((unsigned long)page);
}

void slots_destroy(struct slots *s)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(s->forward); i++)
		free_table(s->forward[i]);
	for (i = 0; i < ARRAY_SIZE(s->reverse); i++)
		free_table(s->reverse[i]);
}

/* The page behind *slot, made if missing; NULL without memory. s->lock held. */
static u32 *page_at(struct slots *s, u32 **slot)
{
	u32 *page;

	lockdep_assert_held(&s->lock);
	if (!*slot) {
		page = (u32 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
		if (page)
			plat_note(page, PAGE_SIZE, "slot table");
		smp_store_release(slot, page);
	}
	return *slot;
}

static int alloc_slot(struct slots *s, u32 region, u32 *slot)
{
	u32 *forward, *reverse;

	forward = page_at(s, &s->forward[region / SLOTS_PER_PAGE]);
	if (!forward)
		return -ENOMEM;
	forward += region % SLOTS_PER_PAGE;
	if (*forward & DUNE_SLOT_VALID) {	/* lost a race: fine */
		*slot = *forward & ~DUNE_SLOT_VALID;
		return 0;
	}
	if (s->nr == s->max)
		return -ENOSPC;
	reverse = page_at(s, &s->reverse[s->nr / SLOTS_PER_PAGE]);
	if (!reverse)
		return -ENOMEM;
	reverse[s->nr % SLOTS_PER_PAGE] = region;
	*slot = s->nr;
	/*
	 * [SLOT-1] Both directions are written before the slot counts; pairs
	 * with [SLOT-2] in slots_nr(). Else a fault at a guessed address of the
	 * slot installs a leaf that an invalidation, which finds no slot for
	 * its region, leaves there. Shape: MP.
	 */
	smp_store_release(forward, DUNE_SLOT_VALID | *slot);
	smp_store_release(&s->nr, s->nr + 1);
	return 0;
}

int slots_get(struct slots *s, u64 hva, u64 *gpa)
{
	u64 region = hva >> DUNE_SLOT_SHIFT;
	u32 slot;
	int err;

	if (region >= DUNE_NR_REGIONS)
		return -EINVAL;
	if (slots_find(s, region, &slot)) {
		mutex_lock(&s->lock);
		err = alloc_slot(s, region, &slot);
		mutex_unlock(&s->lock);
		if (err)
			return err;
	}
	*gpa = ((u64)slot << DUNE_SLOT_SHIFT) |
	       (hva & ((1ull << DUNE_SLOT_SHIFT) - 1));
	return 0;
}

bool slots_wait(struct slots *s, u64 slot)
{
	/* Whoever gives it a slot may not have counted it yet. */
	mutex_lock(&s->lock);
	mutex_unlock(&s->lock);
	return slot < slots_nr(s);
}

struct page *slots_table_page(struct slots *s, unsigned long i)
{
	u32 *page;

	if (i >= ARRAY_SIZE(s->forward))
		return NULL;
	mutex_lock(&s->lock);
	page = page_at(s, &s->forward[i]);
	mutex_unlock(&s->lock);
	return page ? virt_to_page(page) : NULL;
}
