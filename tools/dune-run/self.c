// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Out of this program's file. Linux changes the file that a process executes
 * (PR_SET_MM_MAP) only when the old one is not mapped any more: so what is mapped of
 * it becomes the same of another file, the image beside it, or a copy.
 *
 * The image is the same file by another name (a hard link, or a copy of it): mapping
 * it costs nothing where copying costs two million instructions in each process that
 * is executed. Where there is none, or it cannot be mapped, pages are copied.
 *
 * Linux then no longer refuses to write to the file: it is to be replaced by another
 * (install(1), rename), never in place, as libraries are.
 *
 * Plain code, before there is a vm, which would follow all that.
 */
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "load.h"
#include "run.h"

#define PAGE_DOWN(x)	((x) & ~(PAGE_SIZE - 1))
#define PAGE_UP(x)	PAGE_DOWN((x) + PAGE_SIZE - 1)

/* ELF header, program headers and the note with the build's id. */
#define HEAD		1024u

/* libc's own may be in the page that is just being replaced. */
static void copy_pages(void *to, const void *from, size_t size)
{
	size_t words = size / 8;

	asm volatile("rep movsq" : "+D" (to), "+S" (from), "+c" (words) : : "memory");
}

static bool copy_over(uint64_t start, uint64_t end, int prot)
{
	size_t size = end - start;
	void *copy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (copy == MAP_FAILED)
		return false;
	copy_pages(copy, (void *)start, size);
	if (mprotect(copy, size, prot) ||
	    mremap(copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)start) == MAP_FAILED) {
		munmap(copy, size);
		return false;
	}
	return true;
}

static bool is_same(int fd, int self)
{
	struct stat a, b;
	char head[HEAD];

	if (fstat(fd, &a) || fstat(self, &b) || !S_ISREG(a.st_mode))
		return false;
	if (a.st_dev == b.st_dev && a.st_ino == b.st_ino)
		return true;
	return a.st_size == b.st_size && a.st_mode == b.st_mode &&
	       a.st_uid == b.st_uid && a.st_gid == b.st_gid &&
	       pread(fd, head, sizeof(head), 0) == sizeof(head) &&
	       !memcmp(head, __ehdr_start, sizeof(head));
}

/* -1: there is none that may be used. */
static int image_open(int self)
{
	char path[PATH_MAX + 8];
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);
	int fd;

	if (n <= 0)
		return -1;
	strcpy(path + n, ".image");
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd >= 0 && !is_same(fd, self)) {
		close(fd);
		return -1;
	}
	return fd;
}

struct leaving {
	int image;
	bool ok;
};

/* What is written to, relocations included, is no longer what the file has. */
static bool leave_segment(const ElfW(Phdr) *p, uint64_t bias, int image)
{
	uint64_t start = PAGE_DOWN(bias + p->p_vaddr);
	uint64_t end = PAGE_UP(bias + p->p_vaddr + p->p_filesz);
	int prot = (p->p_flags & PF_R ? PROT_READ : 0) | (p->p_flags & PF_W ? PROT_WRITE : 0) |
		   (p->p_flags & PF_X ? PROT_EXEC : 0);

	if (image >= 0 && !(prot & PROT_WRITE) &&
	    mmap((void *)start, end - start, prot, MAP_PRIVATE | MAP_FIXED, image,
		 PAGE_DOWN(p->p_offset)) != MAP_FAILED)
		return true;
	return copy_over(start, end, prot);
}

static int leave_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct leaving *l = arg;

	(void)size;
	for (unsigned int i = 0; i < info->dlpi_phnum && l->ok; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD)
			l->ok = leave_segment(&info->dlpi_phdr[i], info->dlpi_addr, l->image);
	/* The first object is this program, the only other the vDSO. */
	return 1;
}

bool self_leave_file(int self)
{
	struct leaving l = { .image = image_open(self), .ok = true };

	dl_iterate_phdr(leave_object, &l);
	if (l.image >= 0)
		close(l.image);
	return l.ok;
}
