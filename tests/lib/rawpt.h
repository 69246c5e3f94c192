/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * A guest page table made by hand: what rawvm_map() maps, and a window of pages
 * whose entries a test writes itself, from either mode.
 */
#ifndef TESTS_RAWPT_H
#define TESTS_RAWPT_H

#include <stddef.h>

#include "rawvm.h"

#define RAWPT_WINDOW	(64ull << 39)		/* nothing else is there */
#define RAWPT_PAGE	4096ull
#define RAWPT_LARGE	(2ull << 20)

#define RAWPT_P		0x001ull
#define RAWPT_W		0x002ull
#define RAWPT_U		0x004ull
#define RAWPT_D		0x040ull
#define RAWPT_PS	0x080ull
#define RAWPT_G		0x100ull
#define RAWPT_NX	(1ull << 63)
#define RAWPT_TABLE	(RAWPT_P | RAWPT_W | RAWPT_U)

/* One page each. pt[] holds the window's first 2 MiB, pd[1..] what follows. */
struct rawpt {
	uint64_t *pml4, *pdpt, *pd, *pt;
	uint64_t pt_gpa;
	uint64_t cr3;
};

/* An empty window. Exits the process on failure. */
void rawpt_create(struct rawvm *vm, struct rawpt *table);
/* What rawvm_map() has mapped by now is in the table too. */
void rawpt_sync(struct rawvm *vm, struct rawpt *table);
/* Zeroed memory that a guest finds at the same address, aligned to its size. */
void *rawpt_memory(struct rawvm *vm, size_t size);

static inline uint64_t rawpt_small(unsigned int i)
{
	return RAWPT_WINDOW + i * RAWPT_PAGE;
}

static inline uint64_t rawpt_large(unsigned int i)
{
	return RAWPT_WINDOW + i * RAWPT_LARGE;
}

#endif /* TESTS_RAWPT_H */
