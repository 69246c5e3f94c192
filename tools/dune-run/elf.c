// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Mapping an ELF file as Linux does (load_elf_binary() in fs/binfmt_elf.c). */
#include <errno.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/random.h>
#include <unistd.h>

#include "load.h"

#define PAGE		4096ul
#define PAGE_DOWN(x)	((x) & ~(PAGE - 1))
#define PAGE_UP(x)	PAGE_DOWN((x) + PAGE - 1)

/* Where Linux begins with position-independent programs. */
#define PIE_BASE	0x555555554000ul
#define PIE_RANDOM	28			/* bits, of pages */

#define MAX_PHDRS	64u

struct file {
	int fd;
	GElf_Ehdr header;
	GElf_Phdr ph[MAX_PHDRS];
	unsigned int nr;
	uint64_t start, end, align;	/* of all PT_LOADs */
};

static bool header_is_native(const GElf_Ehdr *h)
{
	return h->e_ident[EI_CLASS] == ELFCLASS64 && h->e_machine == EM_X86_64 &&
	       (h->e_type == ET_EXEC || h->e_type == ET_DYN);
}

static int file_read(int fd, struct file *f)
{
	int err = -ENOEXEC;
	size_t nr;
	Elf *elf;

	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!elf)
		return -ENOEXEC;
	if (elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &f->header) ||
	    !header_is_native(&f->header) || elf_getphdrnum(elf, &nr) || !nr || nr > MAX_PHDRS)
		goto out;
	f->fd = fd;
	f->nr = nr;
	for (size_t i = 0; i < nr; i++)
		if (!gelf_getphdr(elf, i, &f->ph[i]))
			goto out;
	err = 0;
out:
	elf_end(elf);
	return err;
}

bool object_is_native(int fd)
{
	struct file f;

	return !file_read(fd, &f);
}

static void measure(struct file *f)
{
	f->start = ~0ul;
	f->end = 0;
	f->align = PAGE;
	for (unsigned int i = 0; i < f->nr; i++) {
		const GElf_Phdr *p = &f->ph[i];

		if (p->p_type != PT_LOAD)
			continue;
		if (p->p_vaddr < f->start)
			f->start = PAGE_DOWN(p->p_vaddr);
		if (p->p_vaddr + p->p_memsz > f->end)
			f->end = PAGE_UP(p->p_vaddr + p->p_memsz);
		if (p->p_align > f->align && !(p->p_align & (p->p_align - 1)))
			f->align = p->p_align;
	}
}

static uint64_t random_page(void)
{
	uint64_t r = 0;

	if (personality(0xffffffff) & ADDR_NO_RANDOMIZE)
		return 0;
	if (getrandom(&r, sizeof(r), 0) != sizeof(r))
		return 0;
	return (r & ((1ul << PIE_RANDOM) - 1)) * PAGE;
}

static void *reserve(uint64_t at, uint64_t size, int flags)
{
	return mmap((void *)at, size, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
}

/* Room for all of it, so that nothing of ours comes in between. 0: there is none. */
static uint64_t place(const struct file *f, enum object_kind kind)
{
	uint64_t size = f->end - f->start, at;
	void *p;

	if (f->header.e_type == ET_EXEC) {
		p = reserve(f->start, size, MAP_FIXED_NOREPLACE);
		return p == MAP_FAILED ? 0 : (uint64_t)p;
	}
	for (int i = 0; i < 64 && kind == OBJECT_PROGRAM; i++) {
		at = PIE_BASE + random_page() + i * PAGE * 512;
		at = (at + f->align - 1) & -f->align;
		p = reserve(at, size, MAP_FIXED_NOREPLACE);
		if (p != MAP_FAILED)
			return (uint64_t)p;
	}
	p = reserve(0, size + f->align, 0);
	if (p == MAP_FAILED)
		return 0;
	at = ((uint64_t)p + f->align - 1) & -f->align;
	if (at > (uint64_t)p)
		munmap(p, at - (uint64_t)p);
	munmap((void *)(at + size), (uint64_t)p + f->align - at);
	return at;
}

static int prot_of(const GElf_Phdr *p)
{
	return (p->p_flags & PF_R ? PROT_READ : 0) | (p->p_flags & PF_W ? PROT_WRITE : 0) |
	       (p->p_flags & PF_X ? PROT_EXEC : 0);
}

/* The part of the last page that is no longer the file's. */
static int clear_rest(uint64_t from, uint64_t to, int prot)
{
	uint64_t page = PAGE_DOWN(from);

	if (from == to)
		return 0;
	if (!(prot & PROT_WRITE) && mprotect((void *)page, PAGE, prot | PROT_WRITE))
		return -errno;
	memset((void *)from, 0, to - from);
	if (!(prot & PROT_WRITE))
		mprotect((void *)page, PAGE, prot);
	return 0;
}

static int map_segment(const struct file *f, const GElf_Phdr *p, uint64_t bias)
{
	uint64_t start = p->p_vaddr + bias, file_end = start + p->p_filesz;
	uint64_t end = PAGE_UP(start + p->p_memsz), at = PAGE_DOWN(start);
	int prot = prot_of(p), err = 0;

	if (p->p_filesz) {
		if (mmap((void *)at, file_end - at, prot, MAP_PRIVATE | MAP_FIXED, f->fd,
			 PAGE_DOWN(p->p_offset)) == MAP_FAILED)
			return -errno;
		/* Up to the page's end: the dynamic linker's first malloc() is there. */
		if (p->p_memsz > p->p_filesz)
			err = clear_rest(file_end, PAGE_UP(file_end), prot);
		at = PAGE_UP(file_end);
	}
	if (!err && at < end &&
	    mmap((void *)at, end - at, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
		    MAP_FAILED)
		err = -errno;
	return err;
}

static void note_segment(const struct file *f, const GElf_Phdr *p, struct object *o)
{
	uint64_t start = p->p_vaddr + o->bias;
	uint64_t file_end = start + p->p_filesz, end = start + p->p_memsz;

	if (p->p_offset <= f->header.e_phoff &&
	    f->header.e_phoff < p->p_offset + p->p_filesz)
		o->phdr = f->header.e_phoff - p->p_offset + start;
	if (p->p_flags & PF_X && start < o->start_code)
		o->start_code = start;
	if (p->p_flags & PF_X && file_end > o->end_code)
		o->end_code = file_end;
	if (start > o->start_data)
		o->start_data = start;
	if (file_end > o->end_data)
		o->end_data = file_end;
	if (end > o->end)
		o->end = end;
}

static char *read_interp(const struct file *f, const GElf_Phdr *p)
{
	char *name = NULL;

	if (p->p_filesz >= 2 && p->p_filesz <= 4096)
		name = calloc(1, p->p_filesz + 1);
	if (name && pread(f->fd, name, p->p_filesz, p->p_offset) != (ssize_t)p->p_filesz) {
		free(name);
		name = NULL;
	}
	return name;
}

static int map_all(const struct file *f, struct object *o)
{
	for (unsigned int i = 0; i < f->nr; i++) {
		const GElf_Phdr *p = &f->ph[i];
		int err = 0;

		switch (p->p_type) {
		case PT_LOAD:
			err = map_segment(f, p, o->bias);
			note_segment(f, p, o);
			break;
		case PT_INTERP:
			o->interp = read_interp(f, p);
			err = o->interp ? 0 : -ENOEXEC;
			break;
		case PT_GNU_STACK:
			o->exec_stack = p->p_flags & PF_X;
			break;
		}
		if (err)
			return err;
	}
	return 0;
}

/* Between segments there is nothing, as if Linux had mapped them one by one. */
static void give_back_gaps(const struct file *f, const struct object *o)
{
	uint64_t at = f->start;

	for (unsigned int i = 0; i < f->nr; i++) {
		const GElf_Phdr *p = &f->ph[i];
		uint64_t start = PAGE_DOWN(p->p_vaddr);

		if (p->p_type != PT_LOAD)
			continue;
		if (start > at)
			munmap((void *)(at + o->bias), start - at);
		if (PAGE_UP(p->p_vaddr + p->p_memsz) > at)
			at = PAGE_UP(p->p_vaddr + p->p_memsz);
	}
}

int object_map(int fd, enum object_kind kind, struct object *o)
{
	struct file f;
	uint64_t at;
	int err = file_read(fd, &f);

	if (err)
		return err;
	measure(&f);
	if (f.start >= f.end)
		return -ENOEXEC;
	at = place(&f, kind);
	if (!at)
		return -ENOMEM;
	*o = (struct object){ .bias = at - f.start, .phnum = f.nr, .start_code = ~0ul };
	o->entry = f.header.e_entry + o->bias;
	err = map_all(&f, o);
	give_back_gaps(&f, o);
	return err;
}
