// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Memory that is no RAM, or that a device gives: no page of Linux is behind it, and
 * it is not cached.
 */
#include "abi.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>

#define READ_WRITE	(PROT_READ | PROT_WRITE)

/* --- /dev/zero --- */

static void shared_child(void *arg)
{
	char *p = arg;

	CHECK_EQ(p[PAGE], 7);
	p[PAGE] = 8;
}

static void private_child(void *arg)
{
	char *p = arg;

	CHECK_EQ(p[PAGE], 7);
	p[PAGE] = 9;
	CHECK_EQ(p[2 * PAGE], 0);
}

static void dev_zero(void)
{
	int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	char *one, *two;

	if (fd < 0)
		SKIP("no /dev/zero");
	one = mmap(NULL, 4 * PAGE, READ_WRITE, MAP_SHARED, fd, 0);
	two = mmap(NULL, 4 * PAGE, READ_WRITE, MAP_PRIVATE, fd, 0);
	REQUIRE(one != MAP_FAILED && two != MAP_FAILED);
	for (int i = 0; i < 4; i++) {
		CHECK_EQ(one[i * PAGE], 0);
		CHECK_EQ(two[i * PAGE], 0);
	}
	one[PAGE] = two[PAGE] = 7;
	in_child(shared_child, one);
	in_child(private_child, two);
	CHECK_EQ(one[PAGE], 8);
	CHECK_EQ(two[PAGE], 7);
	CHECK_EQ(munmap(one, 2 * PAGE), 0);
	CHECK_EQ(fault_code(one + PAGE, WRITE), SEGV_MAPERR);
	CHECK_EQ(one[3 * PAGE], 0);
	close(fd);
}

/* --- /dev/mem --- */

#define ROM		0xf0000l
#define ROM_SIZE	0x10000ul

static int mem_open(int flags)
{
	int fd = open("/dev/mem", flags | O_CLOEXEC);

	if (fd < 0)
		SKIP("no /dev/mem");
	return fd;
}

static char *mem_map(int fd, size_t size, int prot, int flags, off_t at)
{
	char *p = mmap(NULL, size, prot, flags, fd, at);

	if (p == MAP_FAILED && errno == EPERM)
		SKIP("/dev/mem shows nothing at %#lx", (long)at);
	REQUIRE(p != MAP_FAILED);
	return p;
}

static char rom_read[ROM_SIZE];

static void rom_child(void *arg)
{
	char *p = arg;

	CHECK(!memcmp(p, rom_read, ROM_SIZE));
	CHECK_EQ(munmap(p, PAGE), 0);
	CHECK_EQ(fault_code(p, READ), SEGV_MAPERR);
}

static void *rom_thread(void *arg)
{
	CHECK(!memcmp(arg, rom_read, ROM_SIZE));
	return NULL;
}

static void rom(void)
{
	int fd = mem_open(O_RDONLY);
	pthread_t thread;
	char *p, *copy, *moved;

	if (pread(fd, rom_read, ROM_SIZE, ROM) != (ssize_t)ROM_SIZE)
		SKIP("no ROM");
	p = mem_map(fd, ROM_SIZE, PROT_READ, MAP_SHARED, ROM);
	CHECK(!memcmp(p, rom_read, ROM_SIZE));
	CHECK_EQ(fault_code(p, WRITE), SEGV_ACCERR);
	in_child(rom_child, p);
	REQUIRE(!pthread_create(&thread, NULL, rom_thread, p));
	CHECK_EQ(pthread_join(thread, NULL), 0);
	/* Pages of the mapping become RAM when they are written. */
	copy = mem_map(fd, ROM_SIZE, READ_WRITE, MAP_PRIVATE, ROM);
	CHECK(!memcmp(copy, rom_read, ROM_SIZE));
	memset(copy + 5 * PAGE, 0x5a, 8);
	CHECK(!memcmp(copy, rom_read, 5 * PAGE));
	CHECK(!memcmp(copy + 5 * PAGE + 8, rom_read + 5 * PAGE + 8, PAGE - 8));
	CHECK_EQ(copy[5 * PAGE + 7], 0x5a);
	CHECK(!memcmp(p, rom_read, ROM_SIZE));
	moved = mremap(p, ROM_SIZE, ROM_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
		       map_any(ROM_SIZE, PROT_NONE, 0));
	REQUIRE(moved != MAP_FAILED);
	CHECK(!memcmp(moved, rom_read, ROM_SIZE));
	CHECK_EQ(fault_code(p, READ), SEGV_MAPERR);
	CHECK_EQ(munmap(moved + PAGE, PAGE), 0);
	CHECK_EQ(fault_code(moved + PAGE, READ), SEGV_MAPERR);
	CHECK_EQ(moved[0], rom_read[0]);
	CHECK_EQ(mprotect(moved, PAGE, PROT_NONE), 0);
	CHECK_EQ(fault_code(moved, READ), SEGV_ACCERR);
	close(fd);
}

/* --- memory of a graphics adapter --- */

/* The end of VGA's text memory: never on the screen. */
#define TEXT		0xb8000l
#define TEXT_SIZE	0x8000ul
#define HIDDEN		0x7000ul

static char *text_memory;

static void text_child(void *arg)
{
	CHECK(bytes_are(text_memory + HIDDEN, 64, 2));
	bytes_fill(text_memory + HIDDEN, 64, 3);
}

static void *text_thread(void *arg)
{
	bytes_fill(text_memory + HIDDEN + 64, 64, 9);
	return NULL;
}

/* Does Linux itself read what it has written? */
static bool is_memory(int fd, off_t at)
{
	char old[64], text[64] __attribute__((aligned(8)));

	if (pread(fd, old, sizeof(old), at) != sizeof(old))
		return false;
	bytes_fill(text, sizeof(text), 77);
	if (pwrite(fd, text, sizeof(text), at) != sizeof(text))
		return false;
	memset(text, 0, sizeof(text));
	return pread(fd, text, sizeof(text), at) == sizeof(text) &&
	       bytes_are(text, sizeof(text), 77) && pwrite(fd, old, sizeof(old), at) == sizeof(old);
}

static bool text_is(int fd, uint64_t seed)
{
	char text[64] __attribute__((aligned(8)));

	return pread(fd, text, sizeof(text), TEXT + HIDDEN) == sizeof(text) &&
	       bytes_are(text, sizeof(text), seed);
}

static void graphics(void)
{
	int fd = mem_open(O_RDWR);
	char old[128], *other;
	pthread_t thread;

	if (!is_memory(fd, TEXT + HIDDEN))
		SKIP("no VGA memory");
	text_memory = mem_map(fd, TEXT_SIZE, READ_WRITE, MAP_SHARED, TEXT);
	other = mem_map(fd, PAGE, PROT_READ, MAP_SHARED, TEXT + HIDDEN);
	memcpy(old, text_memory + HIDDEN, sizeof(old));
	for (uint64_t i = 0; i < 4; i++) {
		bytes_fill(text_memory + HIDDEN, 64, 10 + i);
		CHECK(bytes_are(other, 64, 10 + i));
		CHECK(text_is(fd, 10 + i));
		__atomic_fetch_xor((uint64_t *)(text_memory + HIDDEN), 1, __ATOMIC_SEQ_CST);
		CHECK(!bytes_are(other, 64, 10 + i));
	}
	bytes_fill(text_memory + HIDDEN, 64, 2);
	in_child(text_child, NULL);
	CHECK(bytes_are(other, 64, 3));
	REQUIRE(!pthread_create(&thread, NULL, text_thread, NULL));
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK(bytes_are(text_memory + HIDDEN + 64, 64, 9));
	CHECK_EQ(mprotect(text_memory, TEXT_SIZE, PROT_READ), 0);
	CHECK_EQ(fault_code(text_memory + HIDDEN + 8, WRITE), SEGV_ACCERR);
	CHECK(bytes_are(other, 64, 3));
	CHECK_EQ(pwrite(fd, old, sizeof(old), TEXT + HIDDEN), sizeof(old));
	CHECK(!memcmp(text_memory + HIDDEN, old, sizeof(old)));
	CHECK_EQ(munmap(text_memory, TEXT_SIZE), 0);
	CHECK_EQ(fault_code(text_memory + HIDDEN, READ), SEGV_MAPERR);
	CHECK(!memcmp(other, old, 128));
	close(fd);
}

/* --- memory of PCI devices --- */

#define PCI	"/sys/bus/pci/devices"

/* Only QEMU's and Bochs' adapter: elsewhere registers may be there. */
static bool is_plain_memory(const char *device)
{
	char path[512];
	FILE *f;
	unsigned int vendor = 0;

	snprintf(path, sizeof(path), PCI "/%s/vendor", device);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%x", &vendor) != 1)
		vendor = 0;
	if (f)
		fclose(f);
	return vendor == 0x1234;
}

static int resource_open(void)
{
	DIR *dir = opendir(PCI);
	struct dirent *entry;
	char path[512];
	int fd = -1;

	while (dir && fd < 0 && (entry = readdir(dir))) {
		if (!is_plain_memory(entry->d_name))
			continue;
		snprintf(path, sizeof(path), PCI "/%s/resource0", entry->d_name);
		fd = open(path, O_RDWR | O_CLOEXEC);
	}
	if (dir)
		closedir(dir);
	return fd;
}

static void pci(void)
{
	int fd = resource_open();
	char *one, *two, old[64];

	if (fd < 0)
		SKIP("no PCI device with plain memory");
	one = mmap(NULL, 4 * PAGE, READ_WRITE, MAP_SHARED, fd, 0);
	two = mmap(NULL, 4 * PAGE, READ_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(one != MAP_FAILED && two != MAP_FAILED);
	memcpy(old, one + 3 * PAGE, sizeof(old));
	for (uint64_t i = 0; i < 4; i++) {
		bytes_fill(one + 3 * PAGE, 64, i);
		CHECK(bytes_are(two + 3 * PAGE, 64, i));
		bytes_fill(two + 3 * PAGE, 64, i + 9);
		CHECK(bytes_are(one + 3 * PAGE, 64, i + 9));
	}
	CHECK_EQ(munmap(one, 4 * PAGE), 0);
	CHECK_EQ(fault_code(one + 3 * PAGE, WRITE), SEGV_MAPERR);
	memcpy(two + 3 * PAGE, old, sizeof(old));
	close(fd);
}

/* --- HPET: a counter that goes on while nobody writes it --- */

#define HPET_COUNTER	(0xf0 / 4)

static void hpet(void)
{
	int fd = open("/dev/hpet", O_RDONLY | O_CLOEXEC);
	volatile uint32_t *p;
	uint32_t first, last;
	int moves = 0;

	if (fd < 0)
		SKIP("no /dev/hpet");
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		SKIP("/dev/hpet shows nothing");
	first = last = p[HPET_COUNTER];
	for (int i = 0; i < 1000; i++) {
		uint32_t now = p[HPET_COUNTER];

		CHECK((int32_t)(now - last) >= 0);
		moves += now != last;
		last = now;
	}
	/* Cached, it would stand still. */
	CHECK(moves > 1 && last != first);
	CHECK_EQ(fault_code((char *)p, WRITE), SEGV_ACCERR);
	close(fd);
	CHECK_EQ(munmap((void *)p, PAGE), 0);
	CHECK_EQ(fault_code((char *)p, READ), SEGV_MAPERR);
}

const struct part device_parts[] = {
	{ "dev_zero", "/dev/zero", dev_zero },
	{ "rom", "/dev/mem: the ROM", rom },
	{ "graphics", "/dev/mem: VGA memory", graphics },
	{ "pci_memory", "a PCI device's memory", pci },
	{ "hpet", "/dev/hpet", hpet },
	{ NULL, NULL, NULL },
};
