// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "guestpt.h"

#include <sys/mman.h>

#include "check.h"
#include "dune.h"

#define ADDR_MASK 0x000ffffffffff000ull

static const uint32_t *slots;

void guestpt_init(void)
{
	slots = mmap(NULL, DUNE_SLOT_TABLE_SIZE, PROT_READ, MAP_SHARED, dune_vm_fd(),
		     DUNE_MMAP_SLOT_TABLE);
	REQUIRE(slots != MAP_FAILED);
}

/* Guest memory by its address there: few regions are in use. */
static void *memory_at(uint64_t gpa)
{
	uint32_t want = DUNE_SLOT_VALID | (uint32_t)(gpa >> DUNE_SLOT_SHIFT);

	for (uint64_t region = 0; region < DUNE_NR_REGIONS; region++)
		if (slots[region] == want)
			return (void *)((region << DUNE_SLOT_SHIFT) |
					(gpa & ((1ul << DUNE_SLOT_SHIFT) - 1)));
	REQUIRE(!"no such guest memory");
	return NULL;
}

void guestpt_change(const void *addr, uint64_t clear, uint64_t set)
{
	uint64_t va = (uintptr_t)addr, cr3;
	uint64_t *entry;

	asm volatile("mov %%cr3, %0" : "=r"(cr3));
	entry = (uint64_t *)memory_at(cr3 & ADDR_MASK) + (va >> 39 & 511);
	REQUIRE(*entry & GUESTPT_P);
	entry = (uint64_t *)memory_at(*entry & ADDR_MASK) + (va >> 30 & 511);
	REQUIRE(*entry & ~GUESTPT_P);
	__atomic_store_n(entry, (*entry & ~clear) | set, __ATOMIC_RELAXED);
	asm volatile("invlpg (%0)" : : "r"(addr) : "memory");
}

void *guestpt_regions(unsigned int nr)
{
	size_t size = (size_t)nr << DUNE_SLOT_SHIFT, region = 1ul << DUNE_SLOT_SHIFT;
	char *p = mmap(NULL, size + region, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *start = (char *)(((uintptr_t)p + region - 1) & ~(region - 1));

	REQUIRE(p != MAP_FAILED);
	if (start > p)
		munmap(p, start - p);
	munmap(start + size, p + size + region - (start + size));
	return start;
}
