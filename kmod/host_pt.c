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
 * guest's own PAT may still combine writes). A page that is not special is
 * RAM; of the special ones the zero page is frequent. pfn_valid() would not
 * do: it holds for a hole beside RAM too.
 */
static enum pt_memtype memtype(u64 entry, u64 pa, u64 cache_bits)
{
	unsigned long pfn = pa >> PAGE_SHIFT;

	if (entry & cache_bits)
		return PT_MEM_UC;
	if (!(entry & _PAGE_SPECIAL) || is_zero_pfn(pfn) || page_is_ram(pfn))
		return PT_MEM_WB;
	return PT_MEM_UC;
}

static int fill(struct pt_leaf *leaf, unsigned int level, u64 entry)
{
	u64 cache_bits = level > 1 ? CACHE_BITS_LARGE : CACHE_BITS_4K;
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

static u64 entry_below(u64 entry, unsigned long index)
{
	return READ_ONCE(((u64 *)__va(entry & PTE_PFN_MASK))[index]);
}

/*
 * The entry where the walk ends, and its level; a leaf or not present. Entries
 * as the CPU reads them: VMX and a paravirtualised page table do not go
 * together.
 */
static u64 walk(struct mm_struct *mm, unsigned long hva, unsigned int *level)
{
	u64 entry = native_pgd_val(READ_ONCE(*pgd_offset(mm, hva)));

	*level = 3;
	if (pgtable_l5_enabled() && (entry & _PAGE_PRESENT))
		entry = entry_below(entry, p4d_index(hva));
	if (!(entry & _PAGE_PRESENT))
		return 0;
	entry = entry_below(entry, pud_index(hva));
	if (!(entry & _PAGE_PRESENT) || unlikely(entry & _PAGE_PSE))
		return entry;
	*level = 2;
	entry = entry_below(entry, pmd_index(hva));
	if (!(entry & _PAGE_PRESENT) || (entry & _PAGE_PSE))
		return entry;
	*level = 1;
	return entry_below(entry, pte_index(hva));
}

int host_pt_leaf(struct mm_struct *mm, unsigned long hva, struct pt_leaf *leaf)
{
	unsigned int level;
	u64 entry;

	lockdep_assert_irqs_enabled();
	local_irq_disable();
	entry = walk(mm, hva, &level);
	local_irq_enable();
	return fill(leaf, level, entry);
}
