// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * x86-64 page-table entries, for the page tables of a guest. Role: the meaning
 * of bits, nothing else. Fact source: Intel SDM vol. 3, "Paging", formats of
 * 4-level paging-structure entries.
 *
 * MAY_WRITE is PT_W as software sees it; WRITE, for hardware, is clear as well
 * while the leaf is PT_COW. A leaf without PT_R has PRESENT clear, so that
 * hardware stays away, and NONE set, so that software knows it for a leaf.
 */
#include "pt_entry.h"

#define X86_PRESENT	(1ull << 0)
#define X86_WRITE	(1ull << 1)
#define X86_USER	(1ull << 2)
#define X86_PWT		(1ull << 3)
#define X86_PCD		(1ull << 4)
#define X86_ACCESSED	(1ull << 5)
#define X86_DIRTY	(1ull << 6)
#define X86_LARGE	(1ull << 7)
#define X86_NONE	(1ull << 8)	/* hardware: global, if present */
#define X86_NX		(1ull << 63)
#define X86_ADDR	0x000ffffffffff000ull
/* Ignored by hardware. */
#define X86_AGED	(1ull << 52)
#define X86_COW		(1ull << 53)
#define X86_MAY_WRITE	(1ull << 54)

#define X86_PERM	(X86_PRESENT | X86_WRITE | X86_USER | X86_NX)
#define X86_RIGHTS	(X86_PERM | X86_NONE | X86_COW | X86_MAY_WRITE)

_Static_assert((PT_FROZEN & (X86_PRESENT | X86_NONE)) == 0,
	       "a frozen entry counts as present");
_Static_assert(((X86_ADDR | X86_ACCESSED | X86_DIRTY | X86_AGED | X86_LARGE) &
		X86_RIGHTS) == 0, "rights collide with other bits");

static u64 x86_set_rights(u64 entry, unsigned int rights)
{
	entry &= ~X86_RIGHTS;
	entry |= rights & PT_R ? X86_PRESENT : X86_NONE;
	if (rights & PT_W)
		entry |= X86_MAY_WRITE | (rights & PT_COW ? 0 : X86_WRITE);
	if (!(rights & PT_X))
		entry |= X86_NX;
	if (rights & PT_U)
		entry |= X86_USER;
	if (rights & PT_COW)
		entry |= X86_COW;
	return entry;
}

static unsigned int x86_rights(u64 entry)
{
	return (entry & X86_PRESENT ? PT_R : 0) |
	       (entry & X86_MAY_WRITE ? PT_W : 0) |
	       (entry & X86_NX ? 0 : PT_X) | (entry & X86_USER ? PT_U : 0) |
	       (entry & X86_COW ? PT_COW : 0);
}

static u64 x86_make_leaf(const struct pt_leaf *leaf)
{
	u64 entry = leaf->pa & X86_ADDR;

	if (leaf->memtype == PT_MEM_UC)
		entry |= X86_PCD | X86_PWT;
	if (leaf->level > 1)
		entry |= X86_LARGE;
	if (leaf->age != PT_OLD)
		entry |= X86_ACCESSED;
	if (leaf->age == PT_DIRTY)
		entry |= X86_DIRTY;
	/* What is present is readable. */
	if (leaf->rights & PT_RWX)
		return x86_set_rights(entry, leaf->rights | PT_R);
	return x86_set_rights(entry, leaf->rights);
}

/* Upper entries allow everything: the leaf alone decides. */
static u64 x86_make_table(u64 table_pa)
{
	return (table_pa & X86_ADDR) | X86_PRESENT | X86_WRITE | X86_USER |
	       X86_ACCESSED;
}

const struct pt_geometry pt_x86 = {
	.make_leaf = x86_make_leaf,
	.make_table = x86_make_table,
	.rights = x86_rights,
	.set_rights = x86_set_rights,
	.present_mask = X86_PRESENT | X86_NONE,
	.leaf_bit = X86_LARGE,
	.addr_mask = X86_ADDR,
	.accessed_bit = X86_ACCESSED,
	.dirty_bit = X86_DIRTY,
	.aged_bit = X86_AGED,
	.cached_mask = X86_ACCESSED | X86_AGED,
	.cow_bit = X86_COW,
	.rights_mask = X86_RIGHTS,
	.perm_mask = X86_PERM,
	.perm_inverted = X86_NX,
};
