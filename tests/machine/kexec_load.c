// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Memory of the other kernel, from base on: a page of code that jumps to it,
 * boot parameters, command line; 2 MiB further the kernel with the room it
 * unpacks itself into, and its initramfs behind it. Linux' 64-bit boot protocol
 * (Documentation/x86/boot.rst).
 */
#include "kexec_load.h"

#include <asm/bootparam.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "check.h"

#define PAGE 4096ul
#define ANY_RAM (256ul << 20)	/* the machine has more, and nothing is kept */
#define ENTRY_64 0x200
#define E820_RAM 1
#define LOW_RAM 0xa0000ul

struct bytes {
	unsigned char *data;
	size_t size;
};

static struct bytes map_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct bytes b;
	struct stat st;

	REQUIRE(fd >= 0 && fstat(fd, &st) == 0);
	b.size = st.st_size;
	b.data = mmap(NULL, b.size, PROT_READ, MAP_PRIVATE, fd, 0);
	REQUIRE(b.data != MAP_FAILED);
	close(fd);
	return b;
}

static void crash_memory(unsigned long *start, unsigned long *end)
{
	FILE *f = fopen("/proc/iomem", "r");
	char line[256];
	bool found = false;

	REQUIRE(f);
	while (!found && fgets(line, sizeof(line), f))
		found = strstr(line, "Crash kernel") &&
			sscanf(line, "%lx-%lx", start, end) == 2;
	fclose(f);
	REQUIRE(found && *start);
}

/* This machine's memory map; after a crash only what was set aside is free. */
static void memory_map(struct boot_params *bp, enum kexec_when when,
		       unsigned long start, unsigned long end)
{
	int n = 0;

	if (when == KEXEC_IN_ORDER)
		return;
	for (int i = 0; i < bp->e820_entries; i++) {
		struct boot_e820_entry e = bp->e820_table[i];

		/* Below 1 MiB other CPUs start. */
		if (e.type != E820_RAM || e.addr < LOW_RAM)
			bp->e820_table[n++] = e;
	}
	bp->e820_table[n++] = (struct boot_e820_entry){
		.addr = start, .size = end + 1 - start, .type = E820_RAM };
	bp->e820_entries = n;
}

static void boot_params(struct boot_params *bp, const struct bytes *kernel)
{
	int fd = open("/sys/kernel/boot_params/data", O_RDONLY | O_CLOEXEC);
	size_t size = 0x202 + kernel->data[0x201] - 0x1f1;

	REQUIRE(fd >= 0 && read(fd, bp, sizeof(*bp)) == sizeof(*bp));
	close(fd);
	REQUIRE(kernel->size > PAGE && size <= sizeof(bp->hdr));
	memcpy(&bp->hdr, kernel->data + 0x1f1, size);
	REQUIRE(bp->hdr.header == 0x53726448);		/* HdrS */
	REQUIRE(bp->hdr.xloadflags & XLF_KERNEL_64);
	bp->hdr.type_of_loader = 0xff;
}

static unsigned long pages(unsigned long size)
{
	return (size + PAGE - 1) & -PAGE;
}

/* mov $params, %rsi; mov $entry, %rax; jmp *%rax */
static void write_code(unsigned char *p, uint64_t params, uint64_t entry)
{
	memcpy(p, "\x48\xbe", 2);
	memcpy(p + 2, &params, 8);
	memcpy(p + 10, "\x48\xb8", 2);
	memcpy(p + 12, &entry, 8);
	memcpy(p + 20, "\xff\xe0", 2);
}

void kexec_load(const char *kernel_path, const char *initrd_path,
		const char *args, enum kexec_when when)
{
	static unsigned char head[3 * PAGE];	/* code, parameters, arguments */
	struct boot_params *bp = (void *)(head + PAGE);
	struct bytes kernel = map_file(kernel_path);
	struct bytes initrd = map_file(initrd_path);
	unsigned long base = ANY_RAM, end = 0, skip, load;
	struct kexec_segment seg[3];

	boot_params(bp, &kernel);
	if (when == KEXEC_AT_CRASH)
		crash_memory(&base, &end);
	memory_map(bp, when, base, end);
	load = base + (2ul << 20);
	skip = (bp->hdr.setup_sects + 1) * 512;
	seg[0] = (struct kexec_segment){ head, sizeof(head), (void *)base,
					 sizeof(head) };
	seg[1] = (struct kexec_segment){ kernel.data + skip, kernel.size - skip,
					 (void *)load, pages(bp->hdr.init_size) };
	seg[2] = (struct kexec_segment){ initrd.data, initrd.size,
					 (char *)seg[1].mem + seg[1].memsz,
					 pages(initrd.size) };
	bp->hdr.ramdisk_image = (unsigned long)seg[2].mem;
	bp->hdr.ramdisk_size = initrd.size;
	bp->ext_ramdisk_image = bp->ext_ramdisk_size = 0;
	bp->hdr.cmd_line_ptr = base + 2 * PAGE;
	REQUIRE(strlen(args) < PAGE);
	strcpy((char *)head + 2 * PAGE, args);
	write_code(head, base + PAGE, load + ENTRY_64);
	REQUIRE(syscall(SYS_kexec_load, base, 3ul, seg,
			(when == KEXEC_AT_CRASH ? KEXEC_ON_CRASH : 0) |
			KEXEC_ARCH_DEFAULT) == 0);
	munmap(kernel.data, kernel.size);
	munmap(initrd.data, initrd.size);
}
