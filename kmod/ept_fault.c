// SPDX-License-Identifier: GPL-2.0-only
/*
 * EPT violation: make the EPT mirror what the mm allows at that address.
 *
 * The host page table is the truth. Its leaf is copied: same page, same size,
 * no more rights. Where it has none, or too few rights, Linux' own fault
 * handling is asked first. No page reference is taken; the notifier sequence
 * tells when the copy is stale.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/userfaultfd_k.h>
#include <asm/cpufeature.h>

#include "compat.h"
#include "flush.h"
#include "host_pt.h"
#include "vcpu.h"

/* After so many races let the guest run into the violation again. */
#define MAX_TRIES	8

static unsigned int wanted_rights(u32 access)
{
	return (access & DUNE_ACCESS_READ ? PT_R : 0) |
	       (access & DUNE_ACCESS_WRITE ? PT_W : 0) |
	       (access & DUNE_ACCESS_EXEC ? PT_X : 0);
}

/*
 * Have Linux map hva with this intent, as its own page fault would: break CoW,
 * mark dirty, honour the VMA. 0 or a negative errno: it refuses.
 *
 * Not for user space to resolve in here: a userfault, which a signal must be
 * able to interrupt, and stack growth. Both happen natively, see DUNE_EXIT_FAULT.
 */
static int populate(struct mm_struct *mm, u64 hva, u32 access)
{
	unsigned int flags = access & DUNE_ACCESS_WRITE ? FAULT_FLAG_WRITE : 0;
	struct vm_area_struct *vma;
	bool unlocked = false;
	int err = -EFAULT;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, hva);
	if (vma && !userfaultfd_armed(vma))
		err = fixup_user_fault(mm, hva, flags, &unlocked);
	mmap_read_unlock(mm);
	return err;
}

/* The largest leaf of the EPT that fits in the host's leaf. */
static void fit_leaf(struct pt_leaf *leaf, u64 gpa)
{
	u32 caps = vmx_api_caps();
	u64 pa = leaf->pa + (gpa & (pt_level_size(leaf->level) - 1));

	if (leaf->level == 3 && !(caps & DUNE_CAP_EPT_1G))
		leaf->level = 2;
	if (leaf->level == 2 && !(caps & DUNE_CAP_EPT_2M))
		leaf->level = 1;
	/*
	 * On these CPUs a guest that changes the size of a code mapping can
	 * stop the machine: no large leaf is executable.
	 */
	if ((leaf->rights & PT_X) && boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT))
		leaf->level = 1;
	leaf->pa = pa & ~(pt_level_size(leaf->level) - 1);
}

static bool already_mapped(struct dune_vm *vm, u64 gpa, unsigned int want)
{
	unsigned int level, rights = 0;
	u64 entry;

	rcu_read_lock();
	entry = pt_lookup(&vm->ept, gpa, &level);
	if (entry)
		rights = vm->ept.geom->rights(entry);
	rcu_read_unlock();
	return (rights & want) == want;
}

static void count_result(struct dune_vcpu *vcpu, enum pt_map_result result)
{
	vcpu_count(vcpu, result == PT_MAP_SPURIOUS ? DUNE_VCPU_ept_spurious :
						     DUNE_VCPU_ept_installs);
}

/*
 * The host page table may have changed since seq was read, or may be about to,
 * somewhere in the leaf: a huge leaf counts as a whole.
 */
static bool stale_locked(const struct dune_vm *vm, unsigned long seq, u64 hva,
			 const struct pt_leaf *leaf)
{
	u64 size = pt_level_size(leaf->level);
	u64 start = hva & ~(size - 1);

	if (vm->inv_seq != seq)
		return true;
	return vm->inv_active && start < vm->inv_end &&
	       start + size > vm->inv_start;
}

/*
 * What the host has at hva now, if it allows the access. 0; -EAGAIN: nothing,
 * or too little; -EFAULT: it never will.
 */
static int host_leaf(struct mm_struct *mm, u64 hva, u32 access,
		     struct pt_leaf *leaf)
{
	unsigned int want = wanted_rights(access);

	if (host_pt_leaf(mm, hva, leaf))
		return -EAGAIN;
	if ((leaf->rights & want) == want)
		return 0;
	return want & PT_X & ~leaf->rights ? -EFAULT : -EAGAIN;
}

/*
 * 0; -EAGAIN: the mm changed meanwhile; -EBUSY: Linux made a mapping that does
 * not allow the access; -EFAULT, -ENOMEM, ...: refused.
 */
static int try_map(struct dune_vcpu *vcpu, u64 gpa, u64 hva, u32 access)
{
	struct dune_vm *vm = vcpu->vm;
	enum pt_map_result result;
	struct gather gather;
	struct pt_leaf leaf;
	unsigned long seq;
	int err;

	err = pt_cache_fill(&vcpu->tables);
	if (err)
		return err;
	/* [SEQ-1] Before the host page table is read; see ept_notifier.c. */
	seq = smp_load_acquire(&vm->inv_seq);
	err = host_leaf(vm->mm, hva, access, &leaf);
	if (err == -EAGAIN) {
		err = populate(vm->mm, hva, access);
		if (err)
			return err == -EAGAIN ? -EBUSY : err;
		err = host_leaf(vm->mm, hva, access, &leaf);
	}
	if (err)
		return err == -EAGAIN ? -EBUSY : err;
	fit_leaf(&leaf, gpa);

	gather_init(&gather);
	spin_lock(&vm->ept_lock);
	if (stale_locked(vm, seq, hva, &leaf)) {
		spin_unlock(&vm->ept_lock);
		return -EAGAIN;
	}
	result = pt_map(&vm->ept, gpa, &leaf, &vcpu->tables, &gather);
	ept_flush_locked(vm, &gather);
	spin_unlock(&vm->ept_lock);
	count_result(vcpu, result);
	return 0;
}

static int refuse(struct dune_vcpu *vcpu, const struct vmx_exit *exit, u64 hva)
{
	struct dune_exit *record = &vcpu->page->exit;

	vcpu_count(vcpu, DUNE_VCPU_ept_refused);
	vcpu_record(vcpu, DUNE_EXIT_FAULT, exit);
	record->addr = hva;
	record->gpa = exit->gpa;
	record->access = exit->access;
	return DUNE_EXIT_FAULT;
}

int vcpu_ept_fault(struct dune_vcpu *vcpu, const struct vmx_exit *exit)
{
	struct dune_vm *vm = vcpu->vm;
	unsigned int tries;
	u64 hva;
	int err;

	vcpu_count(vcpu, DUNE_VCPU_ept_faults);
	/* A guest page table may point anywhere: not ours, not harmful. */
	if (slots_hva(&vm->slots, exit->gpa, &hva))
		return refuse(vcpu, exit, ~0ull);
	if (already_mapped(vm, exit->gpa, wanted_rights(exit->access))) {
		vcpu_count(vcpu, DUNE_VCPU_ept_spurious);
		return VCPU_CONTINUE;
	}
	for (tries = 0; tries < MAX_TRIES; tries++) {
		err = try_map(vcpu, exit->gpa, hva, exit->access);
		if (!err)
			return VCPU_CONTINUE;
		if (err != -EAGAIN && err != -EBUSY)
			break;
		vcpu_count(vcpu, DUNE_VCPU_ept_retries);
		if (vcpu_host_work_pending())
			return VCPU_CONTINUE;	/* the loop goes out for it */
		cond_resched();
	}
	/*
	 * Out of memory is Linux' to judge too: the access is made natively,
	 * and the OOM killer or SIGBUS is what a plain process would get.
	 */
	if (err == -EAGAIN || err == -EINTR)
		return VCPU_CONTINUE;
	return refuse(vcpu, exit, hva);
}
