// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Accessed and dirty bits: dune_vm_scan(). */
#include "range.h"

/* A piece whose bits are on the stack until no table is locked any more. */
#define PIECE		(32ull << 20)
#define PIECE_WORDS	(PIECE / PAGE_SIZE / 64)

struct scan {
	unsigned int what;
	u64 *bitmap;
	u64 base;
	u64 pages;
};

/*
 * Bit 0 of bits is the page at start. The program's bitmap may fault: copy on
 * write takes locks, of the very table that was scanned.
 */
static void publish(const struct scan *scan, u64 start, const u64 *bits, u64 nr)
{
	u64 first = (start - scan->base) / PAGE_SIZE;
	u64 *to = scan->bitmap + first / 64;
	unsigned int shift = first % 64;

	for (u64 i = 0; i < nr; i++) {
		if (bits[i] << shift)
			to[i] |= bits[i] << shift;
		if (shift && bits[i] >> (64 - shift))
			to[i + 1] |= bits[i] >> (64 - shift);
	}
}

static void scan_piece(struct vm_op *op, struct scan *scan, struct pt_table *pd,
		       u64 start, u64 end)
{
	u64 bits[PIECE_WORDS], nr = ((end - start) / PAGE_SIZE + 63) / 64;
	struct pt_scan work = {
		.range = {
			.addr = start, .end = end, .top = pd,
			.gather = &op->gather,
		},
		.what = (scan->what & DUNE_SCAN_ACCESSED ? PT_SCAN_ACCESSED : 0) |
			(scan->what & DUNE_SCAN_DIRTY ? PT_SCAN_DIRTY : 0),
		.mode = scan->what & DUNE_SCAN_CLEAR ? PT_SCAN_CLEAR : PT_SCAN_TEST,
		.bitmap = scan->bitmap ? bits : NULL,
		.base = start,
	};

	if (scan->bitmap)
		__builtin_memset(bits, 0, nr * sizeof(u64));
	pt_scan(&op->root->pt, &work);
	scan->pages += work.pages;
	if (scan->bitmap)
		publish(scan, start, bits, nr);
}

static void scan_inside(struct vm_op *op, void *arg, struct pt_table *pd, u64 start,
			u64 end)
{
	while (start < end) {
		u64 stop = end - start > PIECE ? start + PIECE : end;

		scan_piece(op, arg, pd, start, stop);
		start = stop;
	}
}

static void set_bits(u64 *bitmap, u64 from, u64 nr)
{
	for (u64 i = from; i < from + nr; i++)
		bitmap[i / 64] |= 1ull << i % 64;
}

/* Hardware sets these bits in copies of a level-3 entry: nobody can tell. */
static void scan_leaf(struct vm_op *op, struct scan *scan, u64 start, u64 end)
{
	u64 l3 = plat_load(&op->root->region[region_index(start)].l3);
	u64 nr = (end - start) / PAGE_SIZE;

	if (l3 == REGION_EMPTY)
		return;
	scan->pages += nr;
	if (scan->bitmap)
		set_bits(scan->bitmap, (start - scan->base) / PAGE_SIZE, nr);
}

static void test_range(struct vm_op *op, struct scan *scan, u64 start, u64 end)
{
	for (u64 i = region_index(start); i <= region_index(end - 1); i++) {
		u64 l3 = plat_load_acquire(&op->root->region[i].l3);
		u64 from = vm_part_start(start, i), to = vm_part_end(end, i);

		if (region_is_table(l3))
			scan_inside(op, scan, pt_table_of(l3 & pt_x86.addr_mask),
				    from, to);
		else
			scan_leaf(op, scan, from, to);
	}
}

/* Not the library's: a PD there would gain nobody anything. */
static const struct vm_work scanning = { .inside = scan_inside };

/* Pages that stick out of the range would keep their bits. */
static int split_ends(struct vm_op *op, u64 start, u64 end)
{
	int err = 0;

	if (start & (DUNE_PAGE_2M - 1))
		err = vm_split(op, start, start + PAGE_SIZE, DUNE_PAGE_4K);
	if (!err && (end & (DUNE_PAGE_2M - 1)))
		err = vm_split(op, end - PAGE_SIZE, end, DUNE_PAGE_4K);
	return err;
}

static long scan_range(struct vm_op *op, struct scan *scan, u64 start, u64 end)
{
	int err;

	if (!(scan->what & DUNE_SCAN_CLEAR)) {
		test_range(op, scan, start, end);
		return scan->pages;
	}
	err = split_ends(op, start, end);
	if (!err)
		err = vm_for_range(op, start, end, &scanning, scan);
	return err ? err : (long)scan->pages;
}

long dune_vm_scan(struct dune_root *root, void *addr, size_t len, unsigned int what,
		  uint64_t *bitmap)
{
	u64 start = (u64)addr, end = start + len;
	struct scan scan = { .what = what, .bitmap = (u64 *)bitmap, .base = start };
	struct vm_op op;
	long ret = vm_check_range(start, len);

	if (ret)
		return ret;
	if ((what & ~DUNE_SCAN_FLAGS) || !(what & (DUNE_SCAN_ACCESSED | DUNE_SCAN_DIRTY)))
		return -EINVAL;
	ret = vm_op_begin(&op, root);
	if (ret)
		return ret;
	ret = scan_range(&op, &scan, start, end);
	vm_op_end(&op);
	return ret;
}

