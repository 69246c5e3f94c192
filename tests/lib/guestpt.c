// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "guestpt.h"

#include <sys/mman.h>

#include "check.h"
#include "dune.h"

#define REGION	(1ul << DUNE_SLOT_SHIFT)

void guestpt_change(const void *addr, uint64_t clear, uint64_t set)
{
	static const struct {
		uint64_t bit;
		unsigned int right;
	} rights[] = { { GUESTPT_W, DUNE_W }, { GUESTPT_U, DUNE_U } };
	void *region = (void *)((uintptr_t)addr & ~(REGION - 1));
	struct dune_vm_entry entry;
	unsigned int prot;

	REQUIRE(dune_vm_lookup(dune_root_current(), addr, &entry) == 0);
	prot = entry.prot;
	for (unsigned int i = 0; i < 2; i++) {
		if (clear & rights[i].bit)
			prot &= ~rights[i].right;
		if (set & rights[i].bit)
			prot |= rights[i].right;
	}
	CHECK_EQ(dune_vm_protect(dune_root_current(), region, REGION, prot), 0);
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
