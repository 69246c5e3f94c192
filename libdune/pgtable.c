// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Building the guest page table. Pure: no system calls, no library state. */
#include <errno.h>
#include <string.h>

#include "pgtable.h"

void pt_init(struct dune_pt *pt, void *pool, uint64_t gpa)
{
	unsigned int i;

	pt->pool = pool;
	pt->pool_gpa = gpa;
	pt->used = PT_FIXED_PAGES;
	/*
	 * Hang in all PDPTs now. They cost nothing before the first walk
	 * through them, and a fault then has one store to make.
	 */
	for (i = 0; i < PT_USER_PDPTS; i++)
		pt_page(pt, 0)[i] = pt_page_gpa(pt, 1 + i) | PT_TABLE;
}

int pt_alloc(struct dune_pt *pt)
{
	if (pt->used == PT_POOL_PAGES)
		return -ENOSPC;
	return pt->used++;
}

static unsigned int pt_index(uint64_t va, unsigned int level)
{
	return (va >> (12 + 9 * level)) & 511;
}

/* The pool page a table entry points to, as memory. */
static uint64_t *pt_table_of(const struct dune_pt *pt, uint64_t entry)
{
	return (uint64_t *)((char *)pt->pool + ((entry & PT_ADDR) - pt->pool_gpa));
}

int pt_map_code(struct dune_pt *pt, uint64_t va, unsigned int page)
{
	uint64_t *table = pt_page(pt, 0);
	unsigned int level;

	for (level = 3; level > 0; level--) {
		uint64_t *entry = &table[pt_index(va, level)];

		if (!(*entry & PT_P)) {
			int new = pt_alloc(pt);

			if (new < 0)
				return new;
			*entry = pt_page_gpa(pt, new) | PT_TABLE;
		}
		table = pt_table_of(pt, *entry);
	}
	table[pt_index(va, 0)] = pt_page_gpa(pt, page) | PT_CODE;
	return 0;
}

int pt_map_syscall_entry(struct dune_pt *pt, uint64_t va, uint64_t target)
{
	/* jmp *0(%rip), and what it reads */
	unsigned char jump[14] = { 0xff, 0x25, 0, 0, 0, 0 };
	uint64_t offset = va & (PAGE_SIZE - 1);
	uint64_t first = va - offset;
	int low, high;

	memcpy(jump + 6, &target, sizeof(target));

	/* Two neighbours of the pool: the code may straddle a page boundary. */
	low = pt_alloc(pt);
	high = pt_alloc(pt);
	if (low < 0 || high != low + 1)
		return -ENOSPC;
	memset(pt_page(pt, low), 0xcc, 2 * PAGE_SIZE);
	memcpy((char *)pt_page(pt, low) + offset, jump, sizeof(jump));

	if (pt_map_code(pt, first, low))
		return -ENOSPC;
	if (offset + sizeof(jump) > PAGE_SIZE)
		return pt_map_code(pt, first + PAGE_SIZE, high);
	return 0;
}

uint64_t pt_lookup(const struct dune_pt *pt, uint64_t va)
{
	const uint64_t *table = pt_page(pt, 0);
	unsigned int level;

	for (level = 3;; level--) {
		uint64_t entry = table[pt_index(va, level)];
		uint64_t offset = (1ull << (12 + 9 * level)) - 1;

		if (!(entry & PT_P))
			return ~0ull;
		if (level == 0 || (entry & PT_PS))
			return (entry & PT_ADDR & ~offset) | (va & offset);
		table = pt_table_of(pt, entry);
	}
}
