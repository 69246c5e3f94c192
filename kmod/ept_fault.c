// SPDX-License-Identifier: GPL-2.0-only
/*
 * EPT violation: make the EPT mirror what the mm allows at that address.
 *
 * The host page table is the truth. Its leaf is copied: same page, same size,
 * no more rights. Where it has none, or too few rights, Linux' own fault
 * handling is asked first. No page reference is taken; a snapshot of the
 * invalidations (smp/inval.h) tells when the copy is stale. No lock and no line
 * that threads in other 2 MiB regions write is touched.
 */
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/userfaultfd_k.h>
#include <asm/cpufeature.h>

#include "compat.h"
#include "flush.h"
#include "host_pt.h"
#include "trace.h"
#include "vcpu.h"

/* After so many races let the guest run into the violation again. */
#define MAX_TRIES	64
/* So often Linux is asked for a mapping and makes one that does not do. */
#define MAX_BUSY	8

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
	u32 caps;
	u64 pa;

	if (likely(leaf->level == 1))
		return;
	caps = vmx_api_caps();
	pa = leaf->pa + (gpa & (pt_level_size(leaf->level) - 1));

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

static noinline void count_rare(struct dune_vcpu *vcpu, struct pt_map_op *op)
{
	vm_count(vcpu->vm, DUNE_VM_ept_tables, op->tables);
	vcpu_count_n(vcpu, DUNE_VCPU_ept_contended, op->contended);
	vcpu_count_n(vcpu, DUNE_VCPU_ept_restarts, op->restarts);
	op->tables = op->contended = op->restarts = 0;
}

static const enum dune_vm_counter leaves_now[] = {
	[1] = DUNE_VM_ept_4k, [2] = DUNE_VM_ept_2m, [3] = DUNE_VM_ept_1g,
};

static void count_result(struct dune_vcpu *vcpu, struct pt_map_op *op,
			 enum pt_map_result result)
{
	struct dune_vm *vm = vcpu->vm;

	switch (result) {
	case PT_MAP_INSTALLED:
		vcpu_count(vcpu, DUNE_VCPU_ept_installs);
		vm_count(vm, DUNE_VM_ept_installed, 1);
		vm_count(vm, leaves_now[op->leaf.level], 1);
		break;
	case PT_MAP_UPGRADED:
		vcpu_count(vcpu, DUNE_VCPU_ept_installs);
		vm_count(vm, DUNE_VM_ept_upgraded, 1);
		break;
	case PT_MAP_SPURIOUS:
		vcpu_count(vcpu, DUNE_VCPU_ept_spurious);
		break;
	case PT_MAP_CONFLICT:
		vcpu_count(vcpu, DUNE_VCPU_ept_conflicts);
		break;
	case PT_MAP_STALE:
		break;
	}
	if (unlikely(op->tables | op->contended | op->restarts))
		count_rare(vcpu, op);
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
 * A leaf of 1 GiB lies in many buckets: look again with all of them in the
 * snapshot. False: something changes.
 */
static bool giant_leaf(struct dune_vcpu *vcpu, u64 hva, u32 access,
		       struct pt_map_op *op)
{
	struct dune_vm *vm = vcpu->vm;

	if (!inval_snap_all(&vm->inval, hva, &op->snap) ||
	    host_leaf(vm->mm, hva, access, &op->leaf))
		return false;
	fit_leaf(&op->leaf, op->addr);
	return true;
}

/*
 * Linux has another leaf there than the EPT: a small one in place of a large
 * one whose last user is gone, say. What is in the way goes, as for any
 * invalidation, and the fault is tried again.
 */
static void make_room(struct dune_vm *vm, u64 hva, const struct pt_leaf *leaf)
{
	u64 size = pt_level_size(max(leaf->level, 2u));
	u64 start = hva & ~(size - 1);

	ept_make_room(vm, start, start + size);
}

/*
 * 0; -EAGAIN: the mm changed meanwhile; -EBUSY: Linux made a mapping that does
 * not allow the access; -EFAULT, -ENOMEM, ...: refused.
 */
static int try_map(struct dune_vcpu *vcpu, const struct vmx_exit *exit, u64 hva)
{
	u64 gpa = exit->gpa;
	u32 access = exit->access;
	struct pt_map_op *op = &vcpu->map;
	struct dune_vm *vm = vcpu->vm;
	enum pt_map_result result;
	int err;

	if (unlikely(vcpu->tables.nr < PT_CACHE_MAX ||
		     vcpu->tables.place != vcpu->place)) {
		err = placement_fill(vcpu);
		if (err)
			return err;
	}
	/* Before the host page table is read [IV-3]. */
	if (!inval_snap(&vm->inval, hva, &op->snap))
		return -EAGAIN;
	err = host_leaf(vm->mm, hva, access, &op->leaf);
	if (err == -EAGAIN) {
		err = populate(vm->mm, hva, access);
		if (err)
			return err == -EAGAIN ? -EBUSY : err;
		/* Linux' fault may itself have invalidated: look again. */
		if (!inval_snap(&vm->inval, hva, &op->snap))
			return -EAGAIN;
		err = host_leaf(vm->mm, hva, access, &op->leaf);
	}
	if (err)
		return err == -EAGAIN ? -EBUSY : err;
	op->addr = gpa;
	fit_leaf(&op->leaf, gpa);
	if (unlikely(op->leaf.level > 2) && !giant_leaf(vcpu, hva, access, op))
		return -EAGAIN;

	result = pt_map(&READ_ONCE(vcpu->replica)->pt, op);
	count_result(vcpu, op, result);
	if (result == PT_MAP_CONFLICT)
		make_room(vm, hva, &op->leaf);
	if (result == PT_MAP_STALE || result == PT_MAP_CONFLICT)
		return -EAGAIN;
	trace_dune_fault(exit, hva, op->leaf.level, result);
	return 0;
}

/* Not mapped: the guest runs into the violation again. */
static int put_off(const struct vmx_exit *exit, u64 hva, int err)
{
	trace_dune_fault(exit, hva, 0, err);
	return VCPU_CONTINUE;
}

static int refuse(struct dune_vcpu *vcpu, const struct vmx_exit *exit, u64 hva,
		  int err)
{
	struct dune_exit *record = &vcpu->page->exit;

	trace_dune_fault(exit, hva, 0, err);
	vcpu_count(vcpu, DUNE_VCPU_ept_refused);
	vcpu_record(vcpu, DUNE_EXIT_FAULT, exit);
	record->addr = hva;
	record->gpa = exit->gpa;
	record->access = exit->access;
	record->gva = vmx_fault_gva(&vcpu->vmx, exit);
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
		return refuse(vcpu, exit, ~0ull, -EFAULT);
	for (tries = 0; tries < MAX_TRIES; tries++) {
		err = try_map(vcpu, exit, hva);
		if (!err)
			return VCPU_CONTINUE;
		if (err != -EAGAIN && (err != -EBUSY || tries >= MAX_BUSY))
			break;
		vcpu_count(vcpu, DUNE_VCPU_ept_retries);
		if (vcpu_work_pending(VCPU_HOST_WORK))
			return put_off(exit, hva, err);	/* the loop goes out for it */
		cond_resched();
	}
	/*
	 * Out of memory is Linux' to judge too: the access is made natively,
	 * and the OOM killer or SIGBUS is what a plain process would get.
	 */
	if (err == -EAGAIN) {
		/* The invalidation's thread may need this CPU to get on. */
		usleep_range(20, 100);
		return put_off(exit, hva, err);
	}
	if (err == -EINTR)
		return put_off(exit, hva, err);
	return refuse(vcpu, exit, hva, err);
}
