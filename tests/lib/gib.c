// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "gib.h"

#include <stdint.h>
#include <sys/mman.h>

#include "check.h"
#include "dune.h"

void *gib_map(unsigned int nr)
{
	size_t size = nr * GIB;
	char *p = mmap(NULL, size + GIB, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *start = (char *)(((uintptr_t)p + GIB - 1) & ~(GIB - 1));

	REQUIRE(p != MAP_FAILED);
	if (start > p)
		munmap(p, start - p);
	munmap(start + size, p + GIB - start);
	return start;
}

void gib_protect(void *region, unsigned int prot)
{
	REQUIRE(dune_vm_protect(NULL, region, GIB, prot) == 0);
}
