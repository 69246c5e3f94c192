// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What the calls of dune_vm.h do, seen by real accesses of one thread: rights,
 * mappings, sizes of pages, accessed and dirty bits, batches, errors.
 */
#include "probe.h"
#include "test.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define PAGE	4096ul
#define MIB2	(2ul << 20)
#define GIB	(1ul << 30)
#define ALL	(DUNE_R | DUNE_W | DUNE_X | DUNE_U)
#define RW	(DUNE_R | DUNE_W)

/* Addresses that Linux gives to nobody. */
#define FAR	((char *)0x100000000000)

static char *heap;	/* 8 MiB, aligned to 2 MiB, each page begins with its number */
#define HEAP_PAGES	2048ul

static uint64_t *page(unsigned long i)
{
	return (uint64_t *)(heap + i * PAGE);
}

static void heap_init(void)
{
	char *p = mmap(NULL, HEAP_PAGES * PAGE + MIB2, PROT_READ | PROT_WRITE | PROT_EXEC,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	heap = (char *)(((uintptr_t)p + MIB2 - 1) & ~(MIB2 - 1));
	for (unsigned long i = 0; i < HEAP_PAGES; i++)
		*page(i) = i;
}

static void rights(void)
{
	uint64_t value = 0;

	mode_enter();
	CHECK_EQ(dune_vm_protect(NULL, page(3), PAGE, DUNE_R), 0);
	CHECK_EQ(probe_read(page(3), &value), PROBE_OK);
	CHECK_EQ(value, 3);
	CHECK_EQ(probe_write(page(3), 33), DUNE_PF_PRESENT | DUNE_PF_WRITE);
	CHECK_EQ(probe_fault_addr(), (uint64_t)page(3));
	CHECK_EQ(probe_write(page(2), 2), PROBE_OK);
	CHECK_EQ(probe_write(page(4), 4), PROBE_OK);

	CHECK_EQ(dune_vm_protect(NULL, page(3), PAGE, 0), 0);
	CHECK_EQ(probe_read(page(3) + 1, &value), 0);
	CHECK_EQ(probe_fault_addr(), (uint64_t)(page(3) + 1));
	CHECK_EQ(probe_write(page(3), 33), DUNE_PF_WRITE);

	CHECK_EQ(dune_vm_protect(NULL, page(3), PAGE, RW), 0);
	CHECK_EQ(probe_write(page(3), 34), PROBE_OK);
	CHECK_EQ(probe_call(page(3)), DUNE_PF_PRESENT | DUNE_PF_FETCH);
	*(unsigned char *)page(3) = 0xc3;	/* ret */
	CHECK_EQ(dune_vm_protect(NULL, page(3), PAGE, DUNE_R | DUNE_X), 0);
	CHECK_EQ(probe_call(page(3)), PROBE_OK);
	CHECK_EQ(dune_vm_protect(NULL, page(3), PAGE, ALL), 0);
	*page(3) = 3;
	mode_exit();
}

/* 1, 31, 32, 33, 600 pages: single pages, and the whole tag. */
static void ranges(void)
{
	static const unsigned long lengths[] = { 1, 31, 32, 33, 511, 512, 600, 1024 };

	mode_enter();
	for (unsigned int n = 0; n < 8; n++) {
		unsigned long first = 7 + n, last = first + lengths[n] - 1;

		for (unsigned long i = first; i <= last; i++)
			*page(i) = i;	/* translations to forget */
		CHECK_EQ(dune_vm_protect(NULL, page(first), lengths[n] * PAGE, DUNE_R), 0);
		for (unsigned long i = first; i <= last; i++)
			CHECK_EQ(probe_write(page(i), 0), DUNE_PF_PRESENT | DUNE_PF_WRITE);
		CHECK_EQ(probe_write(page(first - 1), first - 1), PROBE_OK);
		CHECK_EQ(probe_write(page(last + 1), last + 1), PROBE_OK);
		CHECK_EQ(dune_vm_protect(NULL, page(first), lengths[n] * PAGE, ALL), 0);
		for (unsigned long i = first; i <= last; i++)
			CHECK_EQ(probe_write(page(i), i), PROBE_OK);
	}
	mode_exit();
}

/* The kernel and plain mode know nothing of a root. */
static void the_host_sees_through(void)
{
	int fds[2];

	REQUIRE(pipe(fds) == 0);
	mode_enter();
	CHECK_EQ(dune_vm_protect(NULL, page(5), PAGE, 0), 0);
	CHECK_EQ(write(fds[1], page(5), 8), 8);
	CHECK_EQ(read(fds[0], page(5), 8), 8);
	mode_exit();
	CHECK_EQ(*page(5), 5);
	mode_enter();
	CHECK_EQ(probe_read(page(5), NULL), 0);
	mode_exit();
	CHECK_EQ(dune_vm_protect(NULL, page(5), PAGE, ALL), 0);	/* in plain mode */
	mode_enter();
	CHECK_EQ(probe_read(page(5), NULL), PROBE_OK);
	mode_exit();
	close(fds[0]);
	close(fds[1]);
}

static void mappings(void)
{
	struct dune_vm_entry entry;
	uint64_t value = 0;

	mode_enter();
	CHECK_EQ(dune_vm_map(NULL, FAR, PAGE, heap, RW, 0), -EEXIST);
	CHECK_EQ(dune_vm_unmap(NULL, FAR, GIB), 0);
	CHECK_EQ(dune_vm_lookup(NULL, FAR, &entry), -ENOENT);
	CHECK_EQ(probe_read(FAR, NULL), 0);
	CHECK_EQ(dune_vm_map(NULL, FAR + PAGE, 20 * PAGE, page(100), RW, 0), 0);
	CHECK_EQ(dune_vm_map(NULL, FAR + 20 * PAGE, 2 * PAGE, page(300), RW, 0), -EEXIST);
	CHECK_EQ(probe_read(FAR + 21 * PAGE, NULL), 0);
	for (unsigned long i = 0; i < 20; i++) {
		CHECK_EQ(probe_read(FAR + (1 + i) * PAGE, &value), PROBE_OK);
		CHECK_EQ(value, 100 + i);
	}
	CHECK_EQ(probe_write(FAR + 5 * PAGE + 8, 77), PROBE_OK);
	CHECK_EQ(page(104)[1], 77);
	CHECK_EQ(dune_vm_lookup(NULL, FAR + 5 * PAGE + 9, &entry), 0);
	CHECK_EQ((uint64_t)entry.addr, (uint64_t)FAR + 5 * PAGE);
	CHECK_EQ((uint64_t)entry.mem, (uint64_t)page(104));
	CHECK_EQ(entry.size, PAGE);
	CHECK_EQ(entry.prot, RW);
	CHECK(entry.flags & DUNE_VM_DIRTY);
	CHECK(entry.flags & DUNE_VM_ACCESSED);
	CHECK_EQ(dune_vm_unmap(NULL, FAR + 3 * PAGE, 5 * PAGE), 0);
	for (unsigned long i = 0; i < 22; i++)
		CHECK_EQ(probe_read(FAR + i * PAGE, NULL),
			 i >= 1 && i <= 20 && !(i >= 3 && i < 8) ? PROBE_OK : 0);
	/* Other memory in its place. */
	CHECK_EQ(dune_vm_map(NULL, FAR + 3 * PAGE, 5 * PAGE, page(200), DUNE_R, 0), 0);
	CHECK_EQ(probe_read(FAR + 7 * PAGE, &value), PROBE_OK);
	CHECK_EQ(value, 204);
	CHECK_EQ(probe_write(FAR + 7 * PAGE, 0), DUNE_PF_PRESENT | DUNE_PF_WRITE);
	mode_exit();
}

static void page_sizes(void)
{
	struct dune_vm_entry entry;
	uint64_t value = 0;

	mode_enter();
	CHECK_EQ(dune_vm_unmap(NULL, FAR + GIB, 2 * GIB), 0);
	CHECK_EQ(dune_vm_map(NULL, FAR + GIB, 2 * MIB2, heap, RW, 0), 0);
	CHECK_EQ(dune_vm_lookup(NULL, FAR + GIB + MIB2 + 5, &entry), 0);
	CHECK_EQ(entry.size, MIB2);
	CHECK_EQ((uint64_t)entry.mem, (uint64_t)heap + MIB2);
	CHECK_EQ(probe_read(FAR + GIB + 700 * PAGE, &value), PROBE_OK);
	CHECK_EQ(value, 700);
	/* A page in the middle of a large one. */
	CHECK_EQ(dune_vm_protect(NULL, FAR + GIB + 700 * PAGE, PAGE, DUNE_R), 0);
	CHECK_EQ(probe_write(FAR + GIB + 700 * PAGE, 0), DUNE_PF_PRESENT | DUNE_PF_WRITE);
	CHECK_EQ(probe_write(FAR + GIB + 701 * PAGE, 701), PROBE_OK);
	CHECK_EQ(probe_write(FAR + GIB + 699 * PAGE, 699), PROBE_OK);
	CHECK_EQ(dune_vm_lookup(NULL, FAR + GIB + 701 * PAGE, &entry), 0);
	CHECK_EQ(entry.size, PAGE);
	CHECK_EQ(dune_vm_lookup(NULL, FAR + GIB, &entry), 0);
	CHECK_EQ(entry.size, MIB2);
	CHECK_EQ(dune_vm_protect(NULL, FAR + GIB + 700 * PAGE, PAGE, RW), 0);
	CHECK_EQ(dune_vm_merge(NULL, FAR + GIB, 2 * MIB2, MIB2), 0);
	CHECK_EQ(dune_vm_lookup(NULL, FAR + GIB + 701 * PAGE, &entry), 0);
	CHECK_EQ(entry.size, MIB2);
	CHECK_EQ(probe_write(FAR + GIB + 700 * PAGE, 700), PROBE_OK);
	/* 1 GiB: the region that the heap is in, somewhere else. */
	CHECK_EQ(dune_vm_map(NULL, FAR + 2 * GIB, GIB,
			     (void *)((uint64_t)heap & ~(GIB - 1)), DUNE_R, 0), 0);
	CHECK_EQ(dune_vm_lookup(NULL, FAR + 2 * GIB, &entry), 0);
	CHECK_EQ(entry.size, GIB);
	CHECK_EQ(probe_read(FAR + 2 * GIB + ((uint64_t)page(9) & (GIB - 1)), &value), PROBE_OK);
	CHECK_EQ(value, 9);
	CHECK_EQ(dune_vm_split(NULL, FAR + 2 * GIB, GIB, MIB2), 0);
	CHECK_EQ(dune_vm_lookup(NULL, FAR + 2 * GIB, &entry), 0);
	CHECK_EQ(entry.size, MIB2);
	CHECK_EQ(dune_vm_merge(NULL, FAR + 2 * GIB, GIB, GIB), 0);
	CHECK_EQ(dune_vm_lookup(NULL, FAR + 2 * GIB, &entry), 0);
	CHECK_EQ(entry.size, GIB);
	CHECK_EQ(probe_read(FAR + 2 * GIB + ((uint64_t)page(9) & (GIB - 1)), &value), PROBE_OK);
	CHECK_EQ(dune_vm_unmap(NULL, FAR + GIB, 2 * GIB), 0);
	CHECK_EQ(probe_read(FAR + 2 * GIB, NULL), 0);
	CHECK_EQ(probe_read(FAR + GIB, NULL), 0);
	mode_exit();
}

static int count_pages(const struct dune_vm_entry *entry, void *arg)
{
	*(unsigned long *)arg += entry->size / PAGE;
	/* It may call anything. */
	return dune_vm_lookup(NULL, entry->addr, &(struct dune_vm_entry){ 0 });
}

static int stop_at_once(const struct dune_vm_entry *entry, void *arg)
{
	return 42;
}

static void walks(void)
{
	unsigned long pages = 0;

	mode_enter();
	CHECK_EQ(dune_vm_unmap(NULL, FAR + 4 * GIB, GIB), 0);
	for (unsigned long i = 0; i < 100; i++)
		CHECK_EQ(dune_vm_map(NULL, FAR + 4 * GIB + 3 * i * PAGE, PAGE, page(i), RW, 0), 0);
	CHECK_EQ(dune_vm_walk(NULL, FAR + 4 * GIB, GIB, count_pages, &pages), 0);
	CHECK_EQ(pages, 100);
	CHECK_EQ(dune_vm_walk(NULL, FAR + 4 * GIB, GIB, stop_at_once, NULL), 42);
	pages = 0;
	CHECK_EQ(dune_vm_walk(NULL, heap, HEAP_PAGES * PAGE, count_pages, &pages), 0);
	CHECK(pages >= HEAP_PAGES);
	mode_exit();
}

static void accessed_and_dirty(void)
{
	uint64_t bitmap[32] = { 0 };

	mode_enter();
	CHECK_EQ(dune_vm_split(NULL, heap, HEAP_PAGES * PAGE, PAGE), 0);
	CHECK_EQ(dune_vm_scan(NULL, heap, HEAP_PAGES * PAGE, DUNE_SCAN_ACCESSED |
			      DUNE_SCAN_DIRTY | DUNE_SCAN_CLEAR, NULL), HEAP_PAGES);
	CHECK_EQ(dune_vm_scan(NULL, heap, HEAP_PAGES * PAGE, DUNE_SCAN_ACCESSED, NULL), 0);
	for (int round = 0; round < 3; round++) {
		probe_read(page(70), NULL);
		*page(71) = 71;
		*page(1500) = 1500;
		memset(bitmap, 0, sizeof(bitmap));
		CHECK_EQ(dune_vm_scan(NULL, heap, HEAP_PAGES * PAGE, DUNE_SCAN_ACCESSED, bitmap), 3);
		CHECK_EQ(bitmap[1], 3 << 6);
		memset(bitmap, 0, sizeof(bitmap));
		CHECK_EQ(dune_vm_scan(NULL, heap, HEAP_PAGES * PAGE, DUNE_SCAN_ACCESSED |
				      DUNE_SCAN_DIRTY, bitmap), 3);
		memset(bitmap, 0, sizeof(bitmap));
		/* Clears what it was asked for: accessed stays. */
		CHECK_EQ(dune_vm_scan(NULL, heap, HEAP_PAGES * PAGE, DUNE_SCAN_DIRTY |
				      DUNE_SCAN_CLEAR, bitmap), 2);
		CHECK_EQ(bitmap[1], 1 << 7);
		CHECK_EQ(bitmap[1500 / 64], 1ull << 1500 % 64);
		CHECK_EQ(dune_vm_scan(NULL, heap, HEAP_PAGES * PAGE, DUNE_SCAN_ACCESSED, NULL), 3);
		CHECK_EQ(dune_vm_scan(NULL, heap, HEAP_PAGES * PAGE, DUNE_SCAN_ACCESSED |
				      DUNE_SCAN_CLEAR, NULL), 3);
	}
	CHECK_EQ(dune_vm_merge(NULL, heap, HEAP_PAGES * PAGE, MIB2), 0);
	mode_exit();
}

static void batches(void)
{
	mode_enter();
	for (unsigned long i = 0; i < 40; i++)
		*page(i) = i;
	CHECK_EQ(dune_vm_batch_begin(), 0);
	for (unsigned long i = 0; i < 40; i += 2)
		CHECK_EQ(dune_vm_protect(NULL, page(i), PAGE, DUNE_R), 0);
	CHECK_EQ(dune_vm_batch_end(), 0);
	for (unsigned long i = 0; i < 40; i++)
		CHECK_EQ(probe_write(page(i), i),
			 i % 2 ? PROBE_OK : (int)(DUNE_PF_PRESENT | DUNE_PF_WRITE));
	CHECK_EQ(dune_vm_protect(NULL, heap, 40 * PAGE, ALL), 0);
	CHECK_EQ(dune_vm_batch_end(), -EINVAL);
	mode_exit();
}

static void errors(void)
{
	struct dune_vm_entry entry;

	mode_enter();
	CHECK_EQ(dune_vm_protect(NULL, heap + 1, PAGE, DUNE_R), -EINVAL);
	CHECK_EQ(dune_vm_protect(NULL, heap, PAGE - 1, DUNE_R), -EINVAL);
	CHECK_EQ(dune_vm_protect(NULL, heap, 0, DUNE_R), -EINVAL);
	CHECK_EQ(dune_vm_protect(NULL, heap, PAGE, DUNE_W), -EINVAL);
	CHECK_EQ(dune_vm_protect(NULL, heap, PAGE, 1 << 4), -EINVAL);
	CHECK_EQ(dune_vm_protect(NULL, (void *)(1ul << 47), PAGE, DUNE_R), -ERANGE);
	CHECK_EQ(dune_vm_protect(NULL, heap, ~0ul << 12, DUNE_R), -ERANGE);
	CHECK_EQ(dune_vm_lookup(NULL, (void *)~0ul, &entry), -ERANGE);
	/* The code that runs. */
	CHECK_EQ(dune_vm_unmap(NULL, (void *)((uint64_t)dune_vm_unmap & ~(GIB - 1)), GIB), -EBUSY);
	CHECK_EQ(probe_write(page(1), 1), PROBE_OK);
	mode_exit();
}

int main(int argc, char **argv)
{
	test_start(argc, argv, (struct test_opts){ .rounds = 1 });
	if (opt.native)
		SKIP("Linux has no guest page tables");
	heap_init();
	probe_start();
	test_part("rights", rights);
	test_part("ranges", ranges);
	test_part("the_host_sees_through", the_host_sees_through);
	test_part("mappings", mappings);
	test_part("page_sizes", page_sizes);
	test_part("walks", walks);
	test_part("accessed_and_dirty", accessed_and_dirty);
	test_part("batches", batches);
	test_part("errors", errors);
	return test_end();
}
