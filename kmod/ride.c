// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU in guest mode occupies a CPU that has the mm loaded, so the interrupt
 * of Linux' own TLB flush ends the guest run, and the generation check before
 * the next one does the rest. No second interrupt is needed, provided that the
 * flush is sure to come. It is, in both kernels, where all of this holds:
 *
 * - the range is zapped through one mmu_gather (zap_page_range_single() of
 *   MADV_DONTNEED; unmap_vmas() of munmap and of mmap over something). Each
 *   page-table entry that was present when it was cleared goes through
 *   tlb_remove_tlb_entry() or its huge twin, so that tlb_flush_mmu() calls
 *   flush_tlb_mm_range() before it frees the batch. An entry that someone else
 *   cleared is flushed by that one; tlb_finish_mmu() flushes all when two
 *   gathers overlap;
 * - flush_tlb_mm_range() interrupts, and waits for, every CPU in mm_cpumask()
 *   that has the mm loaded and is not lazy; a CPU that runs a vCPU is neither.
 *   Under another hypervisor it may not: a paravirtualised flush spares a CPU
 *   that is scheduled out, or is a call that interrupts none. No ride there.
 *
 * The same notifier event (CLEAR) comes from reclaim, migration, KSM, huge
 * page collapse and copy-on-write, some of which free pages without such a
 * flush. What tells them apart is the system call that the thread of this very
 * mm is in, be it its own or one that is made here for its guest, and that it is not
 * reclaiming; and what is not sure is flushed at once. docs/decisions/ has the
 * list of callers.
 */
#include <linux/compat.h>
#include <linux/mman.h>
#include <linux/moduleparam.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/sched/task_stack.h>
#include <asm/cpufeature.h>

#include "ride.h"
#include "vcpu.h"

static bool ride = true;
module_param(ride, bool, 0644);
MODULE_PARM_DESC(ride, "leave EPT flushes to Linux' own TLB flush where that is sure to come (default: yes; never under another hypervisor)");

/* x86-64 numbers; <asm/unistd.h> does not give them all inside the kernel. */
enum { NR_MMAP = 9, NR_MUNMAP = 11, NR_IOCTL = 16, NR_MADVISE = 28 };

#define OTHER_CONTEXT (PF_KTHREAD | PF_IO_WORKER | PF_MEMALLOC)

/* Of the madvise() that this thread is in. */
static bool in_dontneed(const struct mmu_notifier_range *range,
			const struct pt_regs *regs)
{
	return range->event == MMU_NOTIFY_CLEAR && regs->dx == MADV_DONTNEED &&
	       range->start - regs->di < regs->si &&
	       range->end - regs->di < regs->si + PAGE_SIZE;
}

static bool in_unmap(const struct mmu_notifier_range *range,
		     const struct pt_regs *regs)
{
	return range->event == MMU_NOTIFY_UNMAP &&
	       (regs->orig_ax == NR_MUNMAP || regs->orig_ax == NR_MMAP);
}

/*
 * DUNE_RUN is an ioctl, in which the module makes calls for the guest: their
 * arguments are not the thread's.
 */
static bool in_call_for_guest(const struct mmu_notifier_range *range)
{
	const struct dune_vcpu *vcpu = vcpu_of_current();
	const struct pt_regs *regs = vcpu ? vcpu->zapping : NULL;

	return regs && (in_unmap(range, regs) ||
			(regs->orig_ax == NR_MADVISE &&
			 in_dontneed(range, regs)));
}

bool ride_is_sure(const struct mmu_notifier_range *range)
{
	const struct pt_regs *regs = task_pt_regs(current);
	bool zaps;

	if (likely(regs->orig_ax == NR_MADVISE))
		zaps = in_dontneed(range, regs);
	else if (regs->orig_ax == NR_IOCTL)
		zaps = in_call_for_guest(range);
	else
		zaps = in_unmap(range, regs);
	return zaps && !boot_cpu_has(X86_FEATURE_HYPERVISOR) &&
	       current->mm == range->mm &&
	       !(current->flags & OTHER_CONTEXT) && !in_32bit_syscall() &&
	       READ_ONCE(ride);
}
