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

/* Any cache type but that of index 0 in Linux' PAT, which is write-back. */
#define CACHE_BITS_4K		(_PAGE_PWT | _PAGE_PCD | _PAGE_PAT)
#define CACHE_BITS_LARGE	(_PAGE_PWT | _PAGE_PCD | _PAGE_PAT_LARGE)

/*
 * What is no RAM, or not mapped write-back by Linux, is not cached here (the
 * guest's own PAT may still combine writes). A page that is not special has a
 * struct page: it is RAM.
 */
static enum pt_memtype memtype(u64 entry, u64 pa, u64 cache_bits)
{
	if (entry & cache_bits)
		return PT_MEM_UC;
	if (!(entry & _PAGE_SPECIAL) || pfn_valid(pa >> PAGE_SHIFT))
		return PT_MEM_WB;
	return PT_MEM_UC;
}

static int fill(struct pt_leaf *leaf, unsigned int level, u64 entry,
		u64 cache_bits)
{
	u64 present = _PAGE_PRESENT | _PAGE_USER;
	u64 writable = _PAGE_RW | _PAGE_DIRTY;

	/* _PAGE_PRESENT itself: PROT_NONE and NUMA hints are "present" too. */
	if ((entry & present) != present)
		return -ENOENT;
	leaf->level = level;
	leaf->pa = entry & PTE_PFN_MASK & ~(pt_level_size(level) - 1);
	leaf->rights = PT_R | (entry & _PAGE_NX ? 0 : PT_X);
	/*
	 * The guest's writes set no dirty bit that Linux reads, so writing is
	 * for leaves that Linux has as dirty already. Whatever cleans one
	 * calls the notifier, and our copy is gone.
	 */
	if ((entry & writable) == writable)
		leaf->rights |= PT_W;
	leaf->memtype = memtype(entry, leaf->pa, cache_bits);
	return 0;
}

/*
 * Entries as the CPU reads them: VMX and a paravirtualised page table do not
 * go together.
 */
static int walk(struct mm_struct *mm, unsigned long hva, struct pt_leaf *leaf)
{
	u64 entry = native_pgd_val(READ_ONCE(*pgd_offset(mm, hva)));

	if (pgtable_l5_enabled()) {
		if (!(entry & _PAGE_PRESENT))
			return -ENOENT;
		entry = READ_ONCE(((u64 *)__va(entry & PTE_PFN_MASK))
				  [p4d_index(hva)]);
	}
	if (!(entry & _PAGE_PRESENT))
		return -ENOENT;
	entry = READ_ONCE(((u64 *)__va(entry & PTE_PFN_MASK))[pud_index(hva)]);
	if (!(entry & _PAGE_PRESENT))
		return -ENOENT;
	if (unlikely(entry & _PAGE_PSE))
		return fill(leaf, 3, entry, CACHE_BITS_LARGE);
	entry = READ_ONCE(((u64 *)__va(entry & PTE_PFN_MASK))[pmd_index(hva)]);
	if (entry & _PAGE_PSE)
		return fill(leaf, 2, entry, CACHE_BITS_LARGE);
	if (!(entry & _PAGE_PRESENT))
		return -ENOENT;
	entry = READ_ONCE(((u64 *)__va(entry & PTE_PFN_MASK))[pte_index(hva)]);
	return fill(leaf, 1, entry, CACHE_BITS_4K);
}

int host_pt_leaf(struct mm_struct *mm, unsigned long hva, struct pt_leaf *leaf)
{
	int err;

	lockdep_assert_irqs_enabled();
	local_irq_disable();
	err = walk(mm, hva, leaf);
	local_irq_enable();
	return err;
}
