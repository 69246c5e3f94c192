/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The guest page table: 1 GiB entries for user space, filled on demand, and
 * the few 4 KiB pages of the system call entry in the kernel half.
 *
 * All table pages live in one pool, at places given by the address they
 * serve: page 0 is the PML4, page 1 + i the PDPT of PML4 entry i < 256. So
 * nothing is allocated at fault time, no page is ever freed, and two threads
 * filling the same entry store the same value.
 */
#ifndef DUNE_PGTABLE_H
#define DUNE_PGTABLE_H

#include "internal.h"

#define PT_P		(1ull << 0)
#define PT_RW		(1ull << 1)
#define PT_US		(1ull << 2)
#define PT_A		(1ull << 5)
#define PT_D		(1ull << 6)
#define PT_PS		(1ull << 7)
#define PT_ADDR		0x000ffffffffff000ull

#define PT_TABLE	(PT_P | PT_RW | PT_US | PT_A)
/* Everything is allowed here: the EPT decides. */
#define PT_REGION	(PT_P | PT_RW | PT_US | PT_A | PT_D | PT_PS)
#define PT_CODE		(PT_P | PT_US | PT_A)

#define PT_USER_PDPTS	256u
#define PT_FIXED_PAGES	(1u + PT_USER_PDPTS)
/* IDT, two code pages, and at most PDPT + PD + PT for each of those two. */
#define PT_POOL_PAGES	(PT_FIXED_PAGES + 1 + 2 + 6)
#define PT_POOL_SIZE	(PT_POOL_PAGES * PAGE_SIZE)

static inline uint64_t *pt_page(const struct dune_pt *pt, unsigned int page)
{
	return (uint64_t *)((char *)pt->pool + page * PAGE_SIZE);
}

static inline uint64_t pt_page_gpa(const struct dune_pt *pt, unsigned int page)
{
	return pt->pool_gpa + page * PAGE_SIZE;
}

/* The entry that maps addr's 1 GiB region; addr < USER_END. */
static inline uint64_t *pt_region_entry(const struct dune_pt *pt, uint64_t addr)
{
	uint64_t region = addr >> DUNE_SLOT_SHIFT;

	return pt_page(pt, 1 + (region >> 9)) + (region & 511);
}

static inline bool pt_region_present(const struct dune_pt *pt, uint64_t addr)
{
	return __atomic_load_n(pt_region_entry(pt, addr), __ATOMIC_RELAXED) & PT_P;
}

/* Any thread, any mode. A lost race is no loss: a region has one slot for life. */
static inline void pt_region_set(struct dune_pt *pt, uint64_t addr, uint64_t gpa)
{
	uint64_t none = 0;

	__atomic_compare_exchange_n(pt_region_entry(pt, addr), &none,
				    (gpa & ~(REGION_SIZE - 1)) | PT_REGION,
				    false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

#pragma GCC visibility push(hidden)

/* pool: PT_POOL_SIZE zeroed bytes in one region, whose first byte is at gpa. */
void pt_init(struct dune_pt *pt, void *pool, uint64_t gpa);

/* A page of the pool for other use; its number, or -ENOSPC. */
int pt_alloc(struct dune_pt *pt);

/* Map one page of the pool, read-only, at a kernel-half address. -ENOSPC. */
int pt_map_code(struct dune_pt *pt, uint64_t va, unsigned int page);

/* Build code at va (any kernel-half address) that jumps to target. */
int pt_map_syscall_entry(struct dune_pt *pt, uint64_t va, uint64_t target);

/* What the hardware finds: the GPA of va, or ~0ull. */
uint64_t pt_lookup(const struct dune_pt *pt, uint64_t va);

#pragma GCC visibility pop

#endif /* DUNE_PGTABLE_H */
