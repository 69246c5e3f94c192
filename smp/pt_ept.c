// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * EPT entry formats. Role: the meaning of bits, nothing else.
 *
 * A new young leaf has accessed set: the fault that installs it is an access,
 * and the CPU is spared a locked update. It has dirty set only with
 * the right to write: the owner counts a page as dirty from the moment it is
 * mapped writable and reads no dirty bit back, so the update is spared as
 * well; a read-only leaf stays clean because hardware could not have set it.
 */
#include "pt.h"

#define EPT_MEMTYPE_SHIFT	3
#define EPT_MEMTYPE_UC		0ull
#define EPT_MEMTYPE_WB		6ull
#define EPT_IGNORE_PAT		(1ull << 6)
#define EPT_LARGE		(1ull << 7)
#define EPT_ACCESSED		(1ull << 8)
#define EPT_DIRTY		(1ull << 9)
#define EPT_ADDR		0x000ffffffffff000ull
#define EPT_AGED		(1ull << 52)	/* ignored by hardware */

_Static_assert((EPT_ADDR & (EPT_LARGE | EPT_ACCESSED | EPT_DIRTY)) == 0,
	       "flags collide with the address");
_Static_assert(PT_R == 1 && PT_W == 2 && PT_X == 4,
	       "rights are the EPT's bits 2:0");

static u64 ept_make_plain(const struct pt_leaf *leaf)
{
	u64 entry = (leaf->pa & EPT_ADDR) | (leaf->rights & PT_RWX);

	/* RAM is WB whatever the guest's PAT says; a device may get stricter. */
	if (leaf->memtype == PT_MEM_WB)
		entry |= EPT_MEMTYPE_WB << EPT_MEMTYPE_SHIFT | EPT_IGNORE_PAT;
	else
		entry |= EPT_MEMTYPE_UC << EPT_MEMTYPE_SHIFT;
	if (leaf->level > 1)
		entry |= EPT_LARGE;
	return entry;
}

static u64 ept_make_ad(const struct pt_leaf *leaf)
{
	u64 entry = ept_make_plain(leaf);

	if (leaf->age != PT_OLD)
		entry |= EPT_ACCESSED;
	if (leaf->rights & PT_W)
		entry |= EPT_DIRTY;
	return entry;
}

/* Upper entries allow everything: the leaf alone decides. */
static u64 ept_make_table(u64 table_pa)
{
	return (table_pa & EPT_ADDR) | PT_RWX;
}

static unsigned int ept_rights(u64 entry)
{
	return entry & PT_RWX;
}

static u64 ept_set_rights(u64 entry, unsigned int rights)
{
	return (entry & ~(u64)PT_RWX) | (rights & PT_RWX);
}

const struct pt_geometry pt_ept_ad = {
	.make_leaf = ept_make_ad,
	.make_table = ept_make_table,
	.rights = ept_rights,
	.set_rights = ept_set_rights,
	.rights_mask = PT_RWX,
	.perm_mask = PT_RWX,
	.present_mask = PT_RWX,
	.leaf_bit = EPT_LARGE,
	.addr_mask = EPT_ADDR,
	.accessed_bit = EPT_ACCESSED,
	.dirty_bit = EPT_DIRTY,
	.aged_bit = EPT_AGED,
	.cached_mask = EPT_ACCESSED | EPT_AGED,
};

const struct pt_geometry pt_ept_plain = {
	.make_leaf = ept_make_plain,
	.make_table = ept_make_table,
	.rights = ept_rights,
	.set_rights = ept_set_rights,
	.rights_mask = PT_RWX,
	.perm_mask = PT_RWX,
	.present_mask = PT_RWX,
	.leaf_bit = EPT_LARGE,
	.addr_mask = EPT_ADDR,
	.cached_mask = PT_RWX,
};
