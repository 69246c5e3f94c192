// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * On CPUs with the iTLB multihit erratum the EPT has no large executable leaf:
 * code in a huge page of the host runs from small ones, data does not.
 */
#include "test.h"
#include "machine.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define BUG "/sys/devices/system/cpu/vulnerabilities/itlb_multihit"
#define THP "/sys/kernel/mm/transparent_hugepage/enabled"
#define HUGE (2ul * 1024 * 1024)

static unsigned char *huge_page(int prot)
{
	unsigned char *area = mmap(NULL, 2 * HUGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(area != MAP_FAILED);
	area = (void *)(((uintptr_t)area + HUGE - 1) & ~(HUGE - 1));
	REQUIRE(madvise(area, HUGE, MADV_HUGEPAGE) == 0);
	area[0] = 0xc3;		/* RET */
	return area;
}

static bool is_huge(const void *area)
{
	char line[256];
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long begin, end, kb = 0;
	bool here = false;

	REQUIRE(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx", &begin, &end) == 2)
			here = begin <= (uintptr_t)area && (uintptr_t)area < end;
		else if (here && sscanf(line, "AnonHugePages: %lu", &kb) == 1)
			break;
	}
	fclose(f);
	return kb >= HUGE / 1024;
}

static void data(void)
{
	volatile unsigned char *page = huge_page(PROT_READ | PROT_WRITE);
	uint64_t large = vm_stat(DUNE_VM_ept_2m);

	CHECK(is_huge((void *)page));
	mode_enter();
	page[4096] = 1;
	mode_exit();
	if (!opt.native)
		CHECK_EQ(vm_stat(DUNE_VM_ept_2m) - large, 1);
}

static void code(void)
{
	unsigned char *page = huge_page(PROT_READ | PROT_WRITE | PROT_EXEC);
	uint64_t large = vm_stat(DUNE_VM_ept_2m), small = vm_stat(DUNE_VM_ept_4k);

	CHECK(is_huge(page));
	mode_enter();
	((void (*)(void))(uintptr_t)page)();
	((volatile unsigned char *)page)[4096] = 1;
	mode_exit();
	CHECK_EQ(vm_stat(DUNE_VM_ept_2m) - large, 0);
	if (!opt.native)
		CHECK(vm_stat(DUNE_VM_ept_4k) - small >= 2);
}

int main(int argc, char **argv)
{
	char text[128] = "";

	test_start(argc, argv, (struct test_opts){ 0 });
	if (!read_text(BUG, text, sizeof(text)) || strstr(text, "Not affected"))
		SKIP("this CPU has no iTLB multihit erratum");
	if (write_text(THP, "madvise"))
		SKIP("no transparent huge pages");
	test_part("data", data);
	test_part("code", code);
	return test_end();
}
