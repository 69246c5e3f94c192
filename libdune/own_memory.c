// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What of the process's memory is this library's, or is used in its place by
 * liburcu: page fault handlers touch it, and no clone of a root copies it. And how
 * large a thread's TLS is.
 */
#include <link.h>

#include "internal.h"
#include "vm/setup.h"
#include "vm/share.h"

/* For objects that are loaded later and have static TLS: glibc's, twice. */
#define TLS_SPARE	4096u

struct search {
	uint64_t inside;	/* an address of the object that is looked for */
	uint64_t tls;
	int err;
};

static int keep(uint64_t start, uint64_t end)
{
	int err = vm_pin_range(NULL, start, end);

	return err ? err : vm_share_own(start, end);
}

static bool has(const struct dl_phdr_info *info, uint64_t addr)
{
	for (unsigned int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];

		if (ph->p_type == PT_LOAD &&
		    addr - (info->dlpi_addr + ph->p_vaddr) < ph->p_memsz)
			return true;
	}
	return false;
}

static int visit(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct search *s = arg;
	bool wanted = has(info, s->inside);

	(void)size;
	for (unsigned int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uint64_t start = info->dlpi_addr + ph->p_vaddr;

		if (ph->p_type == PT_TLS)
			s->tls += ph->p_memsz + ph->p_align;
		else if (wanted && ph->p_type == PT_LOAD && (ph->p_flags & PF_W) && !s->err)
			s->err = keep(start, start + ph->p_memsz);
	}
	return 0;
}

int dune_own_memory(struct dune_vm *vm)
{
	struct search s = { .inside = (uint64_t)&urcu_bp_gp };
	uint64_t table = (uint64_t)vm->slot_table, pages = (uint64_t)vm->vcpu_pages;
	int err;

	/* What the #PF handler touches: it cannot fault itself. */
	err = keep((uint64_t)__ehdr_start, (uint64_t)_end);
	if (!err)
		err = keep(table, table + DUNE_SLOT_TABLE_SIZE);
	/* Exceptions are delivered with what is there: a GDT. Others ask for flushes. */
	if (!err)
		err = keep(pages, pages + DUNE_VCPU_PAGES_SIZE);
	if (err)
		return err;
	dl_iterate_phdr(visit, &s);
	vm->tls_size = s.tls + TLS_SPARE;
	return s.err;
}
