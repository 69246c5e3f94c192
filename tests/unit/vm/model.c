// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See model.h. */
#include "model.h"

#include <stdio.h>
#include <sys/mman.h>

uint64_t *model;

#define RIGHTS	(DUNE_R | DUNE_W | DUNE_X | DUNE_U)

static uint64_t index_of(uint64_t addr)
{
	return (addr - MODEL_BASE) >> 12;
}

void model_init(void)
{
	if (!model)
		model = mmap(NULL, MODEL_PAGES * sizeof(*model), PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	model_map(MODEL_BASE, MODEL_PAGES << 12, MODEL_BASE, RIGHTS);
}

void model_protect(uint64_t start, uint64_t len, unsigned int prot)
{
	for (uint64_t i = index_of(start); i < index_of(start + len); i++)
		if (model[i] != MODEL_NONE)
			model[i] = (model[i] & ~0xfffull) | prot;
}

void model_unmap(uint64_t start, uint64_t len)
{
	for (uint64_t i = index_of(start); i < index_of(start + len); i++)
		model[i] = MODEL_NONE;
}

void model_map(uint64_t start, uint64_t len, uint64_t mem, unsigned int prot)
{
	for (uint64_t i = index_of(start); i < index_of(start + len); i++, mem += 4096)
		model[i] = mem | prot;
}

bool model_is_empty(uint64_t start, uint64_t len)
{
	for (uint64_t i = index_of(start); i < index_of(start + len); i++)
		if (model[i] != MODEL_NONE)
			return false;
	return true;
}

struct comparison {
	uint64_t next;		/* page that comes now */
	bool differs;
};

static bool differs(struct comparison *c, uint64_t page, uint64_t is)
{
	if (model[page] == is)
		return false;
	printf("# at %#llx: is %#llx, not %#llx\n",
	       (unsigned long long)(MODEL_BASE + (page << 12)), (unsigned long long)is,
	       (unsigned long long)model[page]);
	c->differs = true;
	return true;
}

static int compare(const struct dune_vm_entry *entry, void *arg)
{
	struct comparison *c = arg;
	uint64_t first = index_of((uint64_t)entry->addr);

	for (; c->next < first; c->next++)
		if (differs(c, c->next, MODEL_NONE))
			return 1;
	for (; c->next < first + entry->size / 4096; c->next++)
		if (differs(c, c->next, ((uint64_t)entry->mem +
					 (c->next - first) * 4096) | entry->prot))
			return 1;
	return 0;
}

bool model_holds(struct dune_root *root)
{
	struct comparison c = { 0 };
	int ret = dune_vm_walk(root, (void *)MODEL_BASE, MODEL_PAGES << 12, compare, &c);

	for (; !ret && c.next < MODEL_PAGES; c.next++)
		ret = differs(&c, c.next, MODEL_NONE);
	return !ret && !c.differs;
}

static bool access_holds(uint64_t addr, uint64_t page, enum soft_access how)
{
	static const unsigned int right[] = {
		[SOFT_READ] = DUNE_R, [SOFT_WRITE] = DUNE_W, [SOFT_FETCH] = DUNE_X,
		[SOFT_USER_READ] = DUNE_R | DUNE_U,
	};
	bool may = page != MODEL_NONE && (page & right[how]) == right[how];
	uint64_t found = soft_access(addr, how);
	uint64_t wanted = may ? soft_gpa((void *)(page & ~0xfffull)) | (addr & 0xfff) :
				SOFT_FAULT;

	if (found == wanted)
		return true;
	printf("# access %d at %#llx finds %#llx, not %#llx\n", how, (unsigned long long)addr,
	       (unsigned long long)found, (unsigned long long)wanted);
	return false;
}

bool model_page_holds(struct dune_root *root, uint64_t addr)
{
	uint64_t page = model[index_of(addr)];
	struct dune_vm_entry entry;
	int err = dune_vm_lookup(root, (void *)addr, &entry);
	uint64_t mem;

	if (err != (page == MODEL_NONE ? -ENOENT : 0)) {
		printf("# lookup of %#llx: %d\n", (unsigned long long)addr, err);
		return false;
	}
	mem = err ? 0 : (uint64_t)entry.mem + (addr - (uint64_t)entry.addr);
	if (!err && ((mem & ~0xfffull) | entry.prot) != page) {
		printf("# lookup of %#llx finds %#llx, not %#llx\n", (unsigned long long)addr,
		       (unsigned long long)(mem | entry.prot), (unsigned long long)page);
		return false;
	}
	for (enum soft_access how = SOFT_READ; how <= SOFT_USER_READ; how++)
		if (!access_holds(addr, page, how))
			return false;
	return true;
}
