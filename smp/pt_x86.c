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
#include "pt_x86.h"

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
	.rights = pt_x86_rights,
	.set_rights = x86_set_rights,
	PT_X86_MASKS,
};
