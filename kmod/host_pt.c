// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lockless walk of a user page table, interrupts off: that holds off the
 * freeing of page-table pages on x86 (as for get_user_pages_fast()). Every
 * entry is read once; an entry may become another kind while we walk, the
 * caller's sequence check sorts that out.
 */
#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/pgtable.h>

#include "host_pt.h"

static int fill(struct pt_leaf *leaf, unsigned int level, u64 pfn, u64 flags)
{
	u64 cache = _PAGE_PWT | _PAGE_PCD |
		    (level > 1 ? _PAGE_PAT_LARGE : _PAGE_PAT);

	/* _PAGE_PRESENT itself: PROT_NONE and NUMA hints are "present" too. */
	if (!(flags & _PAGE_PRESENT) || !(flags & _PAGE_USER))
		return -ENOENT;
	leaf->level = level;
	leaf->pa = (pfn << PAGE_SHIFT) & ~(pt_level_size(level) - 1);
	leaf->rights = PT_R | (flags & _PAGE_NX ? 0 : PT_X);
	/*
	 * The guest's writes set no dirty bit that Linux reads, so writing is
	 * for leaves that Linux has as dirty already. Whatever cleans one
	 * calls the notifier, and our copy is gone.
	 */
	if ((flags & _PAGE_RW) && (flags & _PAGE_DIRTY))
		leaf->rights |= PT_W;
	/*
	 * Index 0 of Linux' PAT is write-back: any other, and what is no RAM,
	 * is not cached here (the guest's own PAT may still combine writes).
	 */
	leaf->memtype = pfn_valid(pfn) && !(flags & cache) ? PT_MEM_WB :
							     PT_MEM_UC;
	return 0;
}

static int walk(struct mm_struct *mm, unsigned long hva, struct pt_leaf *leaf)
{
	pgd_t pgd = READ_ONCE(*pgd_offset(mm, hva));
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;
	pte_t pte;

	if (pgd_none(pgd) || pgd_bad(pgd))
		return -ENOENT;
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (p4d_none(p4d) || !p4d_present(p4d))
		return -ENOENT;
	pud = READ_ONCE(*pud_offset(&p4d, hva));
	if (pud_none(pud) || !pud_present(pud))
		return -ENOENT;
	if (pud_leaf(pud))
		return fill(leaf, 3, pud_pfn(pud), pud_flags(pud));
	pmd = READ_ONCE(*pmd_offset(&pud, hva));
	if (pmd_none(pmd) || !pmd_present(pmd))
		return -ENOENT;
	if (pmd_leaf(pmd))
		return fill(leaf, 2, pmd_pfn(pmd), pmd_flags(pmd));
	pte = READ_ONCE(*pte_offset_kernel(&pmd, hva));
	return fill(leaf, 1, pte_pfn(pte), pte_flags(pte));
}

int host_pt_leaf(struct mm_struct *mm, unsigned long hva, struct pt_leaf *leaf)
{
	unsigned long flags;
	int err;

	local_irq_save(flags);
	err = walk(mm, hva, leaf);
	local_irq_restore(flags);
	return err;
}
