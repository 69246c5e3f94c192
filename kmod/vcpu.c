// SPDX-License-Identifier: GPL-2.0-only
/* Life of a vCPU and its file; see vcpu.h. */
#include <linux/anon_inodes.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "compat.h"
#include "inode.h"
#include "residency.h"
#include "vcpu.h"

void vcpu_retire(struct dune_vcpu *vcpu)
{
	struct dune_vm *vm = vcpu->vm;

	if (vcpu->retired)
		return;
	WRITE_ONCE(vcpu->retired, true);
	/* Refused after a bug only: what may be in use is never freed. */
	vcpu->leaked = residency_retire(&vcpu->vmx) != RESIDENCY_DONE;
	/* Nothing is counted any more. With the id the page goes. */
	stats_vcpu_end(vcpu);
	pt_cache_drain(&vcpu->tables);
	if (!vcpu->leaked) {
		vmx_vcpu_destroy(&vcpu->vmx);
		vcpu_pages_put(&vm->vcpu_pages, vcpu->id);
	}
	vm_count_live(vm, DUNE_VM_vcpus, -1);
}

static void retire_work(struct work_struct *work)
{
	vcpu_retire(container_of(work, struct dune_vcpu, retire));
}

static void vcpu_free(struct dune_vcpu *vcpu)
{
	struct dune_vm *vm = vcpu->vm;

	thread_exit_unwatch(vcpu);
	vcpu_retire(vcpu);
	if (vcpu->leaked)
		return;
	put_pid(vcpu->owner);
	plat_note_gone(vcpu);
	kfree(vcpu);
	vm_put(vm);
}

static int vcpu_release(struct inode *inode, struct file *file)
{
	vcpu_free(file->private_data);
	return 0;
}

bool vcpu_move_page(struct dune_vcpu *vcpu, void **page)
{
	struct vcpu_pages *pages = &vcpu->vm->vcpu_pages;
	struct dune_vcpu_page *from = vcpu->page, *to = *page;

	if (!vcpu_pages_move_begin(pages, vcpu->id))
		return false;
	/* Whoever schedules counts there until it is copied, and here from then on. */
	preempt_disable();
	/* All of it: user space may use what is behind the struct. */
	copy_page(to, from);
	/* [VP-1] The copy before who finds it; pairs with [VP-2] in stats.c. */
	smp_store_release(&vcpu->page, to);
	vcpu->vmx.gprs = &to->regs;
	preempt_enable();
	vcpu_pages_move_end(pages, vcpu->id, to);
	stats_vm_settle(vcpu->vm->stats);
	*page = from;
	return true;
}

static long vcpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return cmd == DUNE_RUN ? vcpu_run(file->private_data, arg) : -ENOTTY;
}

static vm_fault_t vcpu_page_fault(struct vm_fault *vmf)
{
	struct dune_vcpu *vcpu = vmf->vma->vm_file->private_data;

	/*
	 * It is another vCPU's, or will be. What is mapped already stays so until
	 * the page moves: the process has that in its mapping of all of them anyway.
	 */
	if (READ_ONCE(vcpu->retired))
		return VM_FAULT_SIGBUS;
	return vcpu_pages_fault(&vcpu->vm->vcpu_pages, vmf);
}

static const struct vm_operations_struct vcpu_vm_ops = {
	.fault = vcpu_page_fault,
};

static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct dune_vcpu *vcpu = file->private_data;

	if (current->mm != vcpu->vm->mm)
		return -EPERM;
	if (!(vma->vm_flags & VM_SHARED) || vma->vm_flags & VM_EXEC ||
	    vma->vm_pgoff || vma->vm_end - vma->vm_start != DUNE_VCPU_PAGE_SIZE)
		return -EINVAL;
	vm_flags_set(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	vm_flags_clear(vma, VM_MAYEXEC);
	vma->vm_ops = &vcpu_vm_ops;
	/* As if it were the vm fd's: who moves the page looks there. */
	vma->vm_pgoff = (DUNE_MMAP_VCPU_PAGES >> PAGE_SHIFT) + vcpu->id;
	return 0;
}

static const struct file_operations vcpu_fops = {
	.owner = THIS_MODULE,
	.release = vcpu_release,
	.unlocked_ioctl = vcpu_ioctl,
	.mmap = vcpu_mmap,
	.llseek = noop_llseek,
};

/* Complete but in nobody's list yet. */
static struct dune_vcpu *vcpu_create(struct dune_vm *vm)
{
	struct dune_vcpu *vcpu;
	int id, err;

	vcpu = kzalloc(sizeof(*vcpu), GFP_KERNEL_ACCOUNT);
	if (!vcpu)
		return ERR_PTR(-ENOMEM);
	id = vcpu_pages_get(&vm->vcpu_pages, &vcpu->page);
	if (id < 0) {
		err = id;
		goto err_vcpu;
	}
	err = vmx_vcpu_create(&vcpu->vmx, &vcpu->page->regs,
			      pt_root_pa(&vm->ept.first.pt));
	if (err)
		goto err_id;
	plat_note(vcpu, sizeof(*vcpu), "dune_vcpu");
	vcpu->id = id;
	vcpu_preempt_init(vcpu);
	vcpu->owner = get_pid(task_pid(current));
	vcpu->vm = vm_get(vm);
	vcpu->map.inval = &vm->inval;
	vcpu->map.cache = &vcpu->tables;
	vcpu->tables.user = id;
	vcpu->replica = &vm->ept.first;
	vcpu->next_node = NUMA_NO_NODE;
	vcpu->home = vcpu->node = NUMA_NO_NODE;
	INIT_WORK(&vcpu->retire, retire_work);
	vm_count_live(vm, DUNE_VM_vcpus, 1);
	vm_count_live(vm, DUNE_VM_vcpus_created, 1);
	stats_vcpu_begin(vcpu);
	return vcpu;

err_id:
	vcpu_pages_put(&vm->vcpu_pages, id);
err_vcpu:
	kfree(vcpu);
	return ERR_PTR(err);
}

struct file *vcpu_create_file(struct dune_vm *vm, u64 *id)
{
	struct dune_vcpu *vcpu = vcpu_create(vm);
	struct file *file;

	if (IS_ERR(vcpu))
		return ERR_CAST(vcpu);
	*id = vcpu->id;
	thread_exit_watch(vcpu);
	file = anon_inode_getfile("[dune-vcpu]", &vcpu_fops, vcpu, O_RDWR);
	if (IS_ERR(file))
		vcpu_free(vcpu);
	else
		inode_attach(vm->vcpu_pages.inode, file);
	return file;
}
