// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Building the guest page table: pure, in plain memory. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "../pgtable.h"
#include "test.h"

#define POOL_GPA	0x1c0040000000ull	/* any, page-aligned */

static struct dune_pt pt;

static bool setup(void)
{
	void *pool = mmap(NULL, PT_POOL_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(pool != MAP_FAILED);
	pt_init(&pt, pool, POOL_GPA);
	return true;
}

static void regions_map_to_their_slot(void)
{
	static const uint64_t addrs[] = {
		0, 0x555555554000, 0x7ff7ffffe000, 1ull << 30, (1ull << 39) - 1, USER_END - 1,
	};
	unsigned int i;

	for (i = 0; i < sizeof(addrs) / sizeof(addrs[0]); i++) {
		uint64_t gpa = (uint64_t)(i + 3) << 30;
		uint64_t offset = addrs[i] & (REGION_SIZE - 1);

		CHECK_EQ(pt_lookup(&pt, addrs[i]), ~0ull);
		CHECK(!pt_region_present(&pt, addrs[i]));
		pt_region_set(&pt, addrs[i], gpa | offset);
		CHECK(pt_region_present(&pt, addrs[i]));
		CHECK_EQ(pt_lookup(&pt, addrs[i]), gpa | offset);
		CHECK_EQ(pt_lookup(&pt, addrs[i] ^ 0xfff000), gpa | (offset ^ 0xfff000));
		CHECK_EQ(*pt_region_entry(&pt, addrs[i]) & 0xfff, 0xe7);
	}
}

static void second_fill_changes_nothing(void)
{
	uint64_t *entry = pt_region_entry(&pt, 0x40000000);

	pt_region_set(&pt, 0x40000000, 5ull << 30);
	pt_region_set(&pt, 0x40000000, 6ull << 30);
	CHECK_EQ(*entry, (5ull << 30) | PT_REGION);
}

static void neighbours_stay_empty(void)
{
	pt_region_set(&pt, 0x7fff00000000, 1ull << 30);
	CHECK_EQ(pt_lookup(&pt, 0x7fff00000000 - 1), ~0ull);
	CHECK_EQ(pt_lookup(&pt, 0x7fff00000000 + REGION_SIZE), ~0ull);
	CHECK_EQ(pt_lookup(&pt, 0x7fff00000000 ^ (1ull << 47)), ~0ull);
}

/* The bytes the guest fetches at va, through the table. */
static void fetch(uint64_t va, unsigned char *to, unsigned int n)
{
	for (; n; n--, va++, to++) {
		uint64_t gpa = pt_lookup(&pt, va);

		CHECK(gpa != ~0ull);
		*to = *((unsigned char *)pt.pool + (gpa - POOL_GPA));
	}
}

static void check_entry(uint64_t va)
{
	static const unsigned char jump[] = { 0xff, 0x25, 0, 0, 0, 0 };
	uint64_t target = 0x123456789abcdef0, got;
	unsigned char code[14];

	CHECK_EQ(pt_map_syscall_entry(&pt, va, target), 0);
	fetch(va, code, sizeof(code));
	CHECK(!memcmp(code, jump, sizeof(jump)));
	memcpy(&got, code + 6, sizeof(got));
	CHECK_EQ(got, target);
}

static void syscall_entry_in_a_page(void)
{
	check_entry(0xffffffff81e00080);
	CHECK_EQ(pt_lookup(&pt, 0xffffffff81e01000), ~0ull);
}

static void syscall_entry_across_pages(void)
{
	check_entry(0xffffffff81e00ff8);
}

static void syscall_entry_across_1g(void)
{
	check_entry(0xffffffffbffffff4);
	CHECK(pt.used <= PT_POOL_PAGES);
}

static void syscall_entry_across_512g(void)
{
	check_entry(0xffff807fffffffff);
	CHECK(pt.used <= PT_POOL_PAGES);
}

static void pool_ends_with_an_error(void)
{
	while (pt.used < PT_POOL_PAGES - 1)
		CHECK(pt_alloc(&pt) > 0);
	CHECK_EQ(pt_map_syscall_entry(&pt, 0xffffffff81e00080, 0), -ENOSPC);
	CHECK_EQ(pt_alloc(&pt), -ENOSPC);
}

int main(void)
{
	static const struct test_case cases[] = {
		CASE(regions_map_to_their_slot),
		CASE(second_fill_changes_nothing),
		CASE(neighbours_stay_empty),
		CASE(syscall_entry_in_a_page),
		CASE(syscall_entry_across_pages),
		CASE(syscall_entry_across_1g),
		CASE(syscall_entry_across_512g),
		CASE(pool_ends_with_an_error),
	};

	return test_main(cases, sizeof(cases) / sizeof(cases[0]), setup);
}
