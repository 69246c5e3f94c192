// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "rawpt.h"

#include <errno.h>
#include <sys/mman.h>

#include "check.h"

#define WINDOW_SLOT (RAWPT_WINDOW >> 39 & 511)

void *rawpt_memory(struct rawvm *vm, size_t size)
{
	char *p = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	p += -(uintptr_t)p & (size - 1);
	rawvm_map(vm, p);
	rawvm_map(vm, p + size - 1);
	return p;
}

static uint64_t gpa_of(struct rawvm *vm, const void *p)
{
	uint64_t gpa = rawvm_gpa(vm, p);

	REQUIRE(gpa != 0 || errno == 0);
	return gpa;
}

void rawpt_create(struct rawvm *vm, struct rawpt *table)
{
	table->pml4 = rawpt_memory(vm, RAWPT_PAGE);
	table->pdpt = rawpt_memory(vm, RAWPT_PAGE);
	table->pd = rawpt_memory(vm, RAWPT_PAGE);
	table->pt = rawpt_memory(vm, RAWPT_PAGE);
	table->pt_gpa = gpa_of(vm, table->pt);
	table->cr3 = gpa_of(vm, table->pml4);
	table->pd[0] = table->pt_gpa | RAWPT_TABLE;
	table->pdpt[0] = gpa_of(vm, table->pd) | RAWPT_TABLE;
	table->pml4[WINDOW_SLOT] = gpa_of(vm, table->pdpt) | RAWPT_TABLE;
	rawpt_sync(vm, table);
}

void rawpt_sync(struct rawvm *vm, struct rawpt *table)
{
	for (unsigned int i = 0; i < 512; i++)
		if (i != WINDOW_SLOT)
			table->pml4[i] = vm->pml4[i];
}
