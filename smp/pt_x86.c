// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * x86-64 page-table entries, for supervisor mappings of a guest. Role: the
 * meaning of bits, nothing else. Fact source: Intel SDM vol. 3, "Paging",
 * formats of 4-level paging-structure entries.
 */
#include "pt.h"

#define X86_PRESENT	(1ull << 0)
#define X86_WRITE	(1ull << 1)
#define X86_PCD		(1ull << 4)
#define X86_PWT		(1ull << 3)
#define X86_ACCESSED	(1ull << 5)
#define X86_DIRTY	(1ull << 6)
#define X86_LARGE	(1ull << 7)
#define X86_NX		(1ull << 63)
#define X86_ADDR	0x000ffffffffff000ull
#define X86_AGED	(1ull << 52)	/* ignored by hardware */

static u64 x86_make_leaf(const struct pt_leaf *leaf)
{
	u64 entry = (leaf->pa & X86_ADDR) | X86_PRESENT;

	if (leaf->rights & PT_W)
		entry |= X86_WRITE;
	if (!(leaf->rights & PT_X))
		entry |= X86_NX;
	if (leaf->memtype == PT_MEM_UC)
		entry |= X86_PCD | X86_PWT;
	if (leaf->level > 1)
		entry |= X86_LARGE;
	if (leaf->age == PT_YOUNG)
		entry |= X86_ACCESSED;
	return entry;
}

/* Upper entries allow everything: the leaf alone decides. */
static u64 x86_make_table(u64 table_pa)
{
	return (table_pa & X86_ADDR) | X86_PRESENT | X86_WRITE | X86_ACCESSED;
}

static unsigned int x86_rights(u64 entry)
{
	return PT_R | (entry & X86_WRITE ? PT_W : 0) |
	       (entry & X86_NX ? 0 : PT_X);
}

const struct pt_geometry pt_x86 = {
	.make_leaf = x86_make_leaf,
	.make_table = x86_make_table,
	.rights = x86_rights,
	.present_mask = X86_PRESENT,
	.leaf_bit = X86_LARGE,
	.addr_mask = X86_ADDR,
	.accessed_bit = X86_ACCESSED,
	.dirty_bit = X86_DIRTY,
	.aged_bit = X86_AGED,
};
