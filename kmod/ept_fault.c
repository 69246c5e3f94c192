// SPDX-License-Identifier: GPL-2.0-only
/*
 * EPT violation: make the EPT mirror what the mm allows at that address.
 *
 * The host page table is the truth. get_user_pages_fast() makes Linux bring
 * the page in with the fault's intent (it breaks CoW, honours the VMA), then
 * the host's own leaf is copied: same page, same size, no more rights. No
 * reference is kept; the notifier sequence tells when the copy is stale.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>

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

/* VM_PFNMAP and VM_IO mappings (the vDSO's data, devices) have no pages. */
static int populate_pfnmap(struct mm_struct *mm, u64 hva, bool write)
{
	int err;

	mmap_read_lock(mm);
	err = fixup_user_fault(mm, hva, write ? FAULT_FLAG_WRITE : 0, NULL);
	mmap_read_unlock(mm);
	return err;
}

/* Have Linux map hva. 0, -EINTR/-EAGAIN (try later), or it refuses. */
static int populate(struct mm_struct *mm, u64 hva, u32 access)
{
	bool write = access & DUNE_ACCESS_WRITE;
	struct page *page;
	int got;

	got = get_user_pages_fast(hva & PAGE_MASK, 1, write ? FOLL_WRITE : 0,
				  &page);
	if (got == 1) {
		/*
		 * The guest's writes set no dirty bit that Linux reads. Every
		 * path that cleans a page unmaps or write-protects it first,
		 * which removes our leaf: so marking it here is enough.
		 */
		if (write && !PageDirty(page))
			set_page_dirty_lock(page);
		put_page(page);
		return 0;
	}
	if (got == -EFAULT)
		return populate_pfnmap(mm, hva, write);
	return got ? got : -EAGAIN;
}

/* The largest leaf of the EPT that fits in the host's leaf. */
static void fit_leaf(struct pt_leaf *leaf, u64 gpa, u32 access)
{
	u32 caps = vmx_api_caps();
	u64 pa = leaf->pa + (gpa & (pt_level_size(leaf->level) - 1));

	if (leaf->level == 3 && !(caps & DUNE_CAP_EPT_1G))
		leaf->level = 2;
	if (leaf->level == 2 && !(caps & DUNE_CAP_EPT_2M))
		leaf->level = 1;
	leaf->pa = pa & ~(pt_level_size(leaf->level) - 1);
	/* Write only where a write was announced: see populate(). */
	if (!(access & DUNE_ACCESS_WRITE))
		leaf->rights &= ~PT_W;
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

/* 0, -EAGAIN (the mm changed), -EFAULT (refused), or another errno. */
static int try_map(struct dune_vcpu *vcpu, u64 gpa, u64 hva, u32 access)
{
	struct dune_vm *vm = vcpu->vm;
	unsigned int want = wanted_rights(access);
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
	err = populate(vm->mm, hva, access);
	if (err)
		return err;
	if (host_pt_leaf(vm->mm, hva, &leaf))
		return -EAGAIN;		/* gone again */
	if ((want & PT_X) && !(leaf.rights & PT_X))
		return -EFAULT;		/* GUP knows no execute intent */
	if ((leaf.rights & want) != want)
		return -EAGAIN;
	fit_leaf(&leaf, gpa, access);

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
		if (err != -EAGAIN)
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
	if (err == -EAGAIN || err == -EINTR || err == -ERESTARTSYS)
		return VCPU_CONTINUE;
	return refuse(vcpu, exit, hva);
}
