// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Memory that calls read and write, at fixed places. */
#include "sysdiff.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

static void *map_at(uint64_t addr, size_t size, int prot)
{
	void *p = mmap((void *)addr, size, prot,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);

	REQUIRE(p == (void *)addr);
	return p;
}

void sd_memory_setup(void)
{
	for (int i = 0; i < SD_NR_SLOTS; i++) {
		map_at(SD_SLOT(i), 3 * SD_PAGE, PROT_NONE);
		map_at(SD_SLOT(i) + SD_PAGE, SD_PAGE, PROT_READ | PROT_WRITE);
		map_at(SD_SLOT_RO(i), SD_PAGE, PROT_READ);
	}
}

uint64_t sd_mix_number(uint64_t digest, uint64_t v)
{
	digest = (digest ^ v) * 0x100000001b3ull;
	return digest ^ digest >> 29;
}

uint64_t sd_mix(uint64_t digest, const void *data, size_t n)
{
	const unsigned char *p = data;
	uint64_t v;

	for (; n >= 8; n -= 8, p += 8) {
		memcpy(&v, p, 8);
		digest = sd_mix_number(digest, v);
	}
	while (n--)
		digest = sd_mix_number(digest, *p++);
	return digest;
}

#define USED_WORDS	96

static uint64_t *words_of(int slot)
{
	return (uint64_t *)SD_AT(slot, USED_WORDS * 8);
}

static uint64_t word_of(int slot, unsigned int i)
{
	return 0x9e3779b97f4a7c15ull * (slot * USED_WORDS + i + 1);
}

void sd_memory_fill(unsigned int slots)
{
	for (int slot = 0; slot < SD_NR_SLOTS; slot++)
		if (slots & 1u << slot)
			for (unsigned int i = 0; i < USED_WORDS; i++)
				words_of(slot)[i] = word_of(slot, i);
}

uint64_t sd_memory_digest(unsigned int slots, unsigned int volatile_slots)
{
	uint64_t digest = SD_DIGEST_SEED;

	for (int slot = 0; slot < SD_NR_SLOTS; slot++) {
		const uint64_t *p = words_of(slot);
		bool written = volatile_slots & 1u << slot;

		if (slots & 1u << slot)
			for (unsigned int i = 0; i < USED_WORDS; i++)
				digest = sd_mix_number(digest, written ?
						       p[i] != word_of(slot, i) : p[i]);
	}
	return digest;
}

void sd_maps_make(void)
{
	REQUIRE(munmap((void *)SD_MAPS, SD_MAPS_ROOM) == 0);
	map_at(SD_MAPS, SD_MAPS_PAGES * SD_PAGE, PROT_READ | PROT_WRITE);
	for (int i = 0; i < SD_MAPS_PAGES; i++)
		*(uint64_t *)(SD_MAPS + i * SD_PAGE) = 0x1000 + i;
}

/* A page may lie behind the end of its file. */
static uint64_t word_at(uint64_t addr)
{
	uint64_t word;
	struct iovec local = { &word, sizeof(word) }, remote = { (void *)addr, sizeof(word) };

	if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != sizeof(word))
		return errno;
	return word;
}

/* "start-end perms offset ..." of the lines inside the range; contents. */
uint64_t sd_maps_digest(void)
{
	uint64_t digest = SD_DIGEST_SEED, start, end;
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512], perms[8], buf[1024];

	REQUIRE(f);
	setvbuf(f, buf, _IOFBF, sizeof(buf));
	while (fgets(line, sizeof(line), f) &&
	       sscanf(line, "%lx-%lx %7s", &start, &end, perms) == 3) {
		if (end <= SD_MAPS)
			continue;
		if (start >= SD_MAPS + SD_MAPS_ROOM)
			break;
		digest = sd_mix_number(digest, start);
		digest = sd_mix_number(digest, end);
		digest = sd_mix(digest, perms, 4);
		if (perms[0] != 'r' || end > SD_MAPS + SD_MAPS_ROOM)
			continue;
		for (uint64_t p = start; p < end; p += SD_PAGE)
			digest = sd_mix_number(digest, word_at(p));
	}
	fclose(f);
	return digest;
}
