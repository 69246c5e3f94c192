/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Bits of pt_x86's entries; private to smp/. Fact source: Intel SDM vol. 3,
 * "Paging", formats of 4-level paging-structure entries.
 */
#ifndef SMP_PT_X86_H
#define SMP_PT_X86_H

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
#define X86_MAPPED	(X86_PRESENT | X86_NONE)
#define X86_RIGHTS	(X86_PERM | X86_NONE | X86_COW | X86_MAY_WRITE)

/* Of a struct pt_geometry. */
#define PT_X86_MASKS						\
	.present_mask = X86_MAPPED,				\
	.leaf_bit = X86_LARGE,					\
	.addr_mask = X86_ADDR,					\
	.accessed_bit = X86_ACCESSED,				\
	.dirty_bit = X86_DIRTY,					\
	.aged_bit = X86_AGED,					\
	.cached_mask = X86_ACCESSED | X86_AGED,			\
	.cow_bit = X86_COW,					\
	.rights_mask = X86_RIGHTS,				\
	.perm_mask = X86_PERM,					\
	.perm_inverted = X86_NX

/*
 * The masks alone, for inline code that is for pt_x86 only: constants of the
 * compiler's instead of loads.
 */
static const struct pt_geometry pt_x86_masks __attribute__((unused)) = { PT_X86_MASKS };

/* Of a leaf: PT_R | ... */
static inline unsigned int pt_x86_rights(u64 entry)
{
	return (entry & X86_PRESENT ? PT_R : 0) |
	       (entry & X86_MAY_WRITE ? PT_W : 0) |
	       (entry & X86_NX ? 0 : PT_X) | (entry & X86_USER ? PT_U : 0) |
	       (entry & X86_COW ? PT_COW : 0);
}

#endif /* SMP_PT_X86_H */
