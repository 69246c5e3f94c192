// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Sparse memory, and what its tables take. See scale.h. */
#include "test.h"

#include <sys/mman.h>

#include "emucount.h"
#include "scale.h"

/*
 * Guest physical space is a table of 1 GiB slots, 2^10 of them where the CPU has 40
 * bits; libdune and the program have a few.
 */
#define SPARSE_GIB	960ul
#define DENSE_GIB	4ul	/* of these, a page in each 2 MiB */

/* Unmapping takes at most so many instructions more than without a vm. */
#define UNMAP_FIXED	60000
#define UNMAP_PAGE	3500	/* for each page that was touched */

static bool counts;

static char *reserve(uint64_t bytes)
{
	char *p = mmap(NULL, bytes + GIB, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	REQUIRE(p != MAP_FAILED);
	REQUIRE(madvise(p, bytes + GIB, MADV_NOHUGEPAGE) == 0);
	return (char *)(((uintptr_t)p + GIB - 1) & ~(GIB - 1));
}

static uint64_t touch(char *area)
{
	uint64_t pages = 0, wrong = 0;

	for (uint64_t i = 0; i < SPARSE_GIB; i++, pages++)
		*(volatile uint64_t *)(area + i * GIB) = i;
	for (uint64_t i = 0; i < DENSE_GIB * 512; i++)
		if (i % 512) {
			*(volatile uint64_t *)(area + i * 2 * MIB) = i;
			pages++;
		}
	for (uint64_t i = 0; i < SPARSE_GIB; i++)
		wrong += *(volatile uint64_t *)(area + i * GIB) != i;
	CHECK_EQ(wrong, 0);
	return pages;
}

static uint64_t insns(void)
{
	return counts ? emucount_read(EMUCOUNT_SELF, EMU_INSN) : 0;
}

static uint64_t unmap(char *area)
{
	uint64_t before = insns();

	REQUIRE(munmap(area, TIB) == 0);
	return insns() - before;
}

static struct sparse {
	uint64_t pages, insns;		/* of munmap() */
} *native, *dune;			/* shared with the children */

static void plain_child(void *arg)
{
	char *area = reserve(TIB);

	pin_to(0);
	native->pages = touch(area);
	native->insns = unmap(area);
}

static void check_tables(const struct memory *full, const struct memory *rest)
{
	/* Of level 2 and level 1 for a GiB, of level 1 for each 2 MiB. */
	const long tables = 2 * SPARSE_GIB + 511 * DENSE_GIB;

	if (!opt.native)
		CHECK_IN(full->ept_tables, tables, tables + 16);
	CHECK_IN((long)rest->ept_tables, -16, 16);
	if (!is_debug_kernel())
		CHECK_IN(rest->all_kb, -1000000, 2048);
	if (!opt.native)
		CHECK(vm_stat(DUNE_VM_slots) >= SPARSE_GIB);
}

static void dune_child(void *arg)
{
	char *area = reserve(TIB);
	struct memory before, full, rest;

	pin_to(0);
	mode_enter();
	before = memory_now();
	dune->pages = touch(area);
	full = memory_since(&before);
	dune->insns = unmap(area);
	/* Tables go after a grace period. */
	for (int i = 0; i < 50 && (rest = memory_since(&before)).all_kb > 1024; i++)
		usleep(20000);
	printf("    1 TiB mapped, %lu pages touched: %ld EPT tables, %ld kB in all; unmapped: %ld tables, %ld kB\n",
	       (unsigned long)dune->pages, (long)full.ept_tables, full.all_kb,
	       (long)rest.ept_tables, rest.all_kb);
	check_tables(&full, &rest);
	mode_exit();
}

void sparse_memory(void)
{
	uint64_t limit;

	counts = emucount_available();
	native = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(native != MAP_FAILED);
	dune = native + 1;
	CHECK_EQ(run_child(600, plain_child, NULL), 0);
	CHECK_EQ(run_child(600, dune_child, NULL), 0);
	if (!counts || opt.native)
		return;
	printf("    munmap() of it: %lu instructions natively, %lu in Dune mode\n",
	       (unsigned long)native->insns, (unsigned long)dune->insns);
	limit = native->insns + UNMAP_FIXED + UNMAP_PAGE * dune->pages;
	if (!is_debug_kernel())
		CHECK_IN(dune->insns, native->insns / 2, limit);
}

/* ---- tables ---- */

#define RW	(DUNE_R | DUNE_W)
/* Addresses that Linux gives to nobody. */
#define FAR	((char *)0x100000000000ul)

/* What mapping 1 GiB of the host's memory takes in tables of the guest. */
static void map_gib(const char *what, unsigned int flags, long max_kb)
{
	static char *mem;
	struct memory before, took;

	if (!mem)
		mem = reserve(GIB);
	before = memory_now();
	CHECK_EQ(dune_vm_map(NULL, FAR, GIB, mem, RW, flags), 0);
	took = memory_since(&before);
	report_each(what, &took, 1);
	CHECK_IN(took.process_kb, 0, max_kb);
	CHECK_EQ(dune_vm_unmap(NULL, FAR, GIB), 0);
}

static void tables_child(void *arg)
{
	char *area = reserve(GIB);
	struct memory before, took;

	mode_enter();
	CHECK_EQ(dune_vm_unmap(NULL, FAR, GIB), 0);
	/* Tables that there are: 0, 1 and 513, and a page of the pool's for owners. */
	map_gib("guest tables: a GiB in 1 GiB pages", 0, 64);
	map_gib("guest tables: a GiB in 2 MiB pages", DUNE_VM_2M, 64);
	map_gib("guest tables: a GiB in 4 KiB pages", DUNE_VM_4K, 513 * 4 + 256);
	before = memory_now();
	*(volatile char *)area = 1;
	took = memory_since(&before);
	report_each("EPT: a GiB with one page", &took, 1);
	/* The third: of 512 GiB, if it is the first there. */
	CHECK_IN(took.ept_tables, 2, 3);
	before = memory_now();
	for (uint64_t i = 1; i < 512; i++)
		*(volatile char *)(area + i * 2 * MIB) = 1;
	took = memory_since(&before);
	report_each("EPT: 511 pages more, 2 MiB apart", &took, 1);
	CHECK_IN(took.ept_tables, 511, 515);
	mode_exit();
}

/* In a process of its own: what it has mapped stays. */
void tables_per_gib(void)
{
	CHECK_EQ(run_child(300, tables_child, NULL), 0);
}
