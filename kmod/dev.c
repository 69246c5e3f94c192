// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/dune: the vm fd. It belongs to the mm that opened it; DUNE_CREATE_VM
 * gives it a vm. Lock card: dune_file.lock. Type: mutex. Protects: vm, set
 * once. Outside everything else.
 */
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/msr.h>
#include <uapi/dune_abi_check.h>

#include "compat.h"
#include "dev.h"
#include "inode.h"
#include "user_return.h"
#include "vcpu.h"
#include "vmx/mitigate.h"

struct dune_file {
	struct mutex lock;
	struct mm_struct *mm;	/* grabbed: for comparison only */
	struct inode *inode;	/* inode.h; a reference */
	struct dune_vm *vm;	/* NULL until DUNE_CREATE_VM; then constant */
};

static int dune_open(struct inode *inode, struct file *file)
{
	struct dune_file *f;
	int err;

	if (!current->mm)
		return -EINVAL;
	/*
	 * There a guest page table entry can make the CPU read any cached
	 * physical memory speculatively.
	 */
	if (vmx_l1tf_open && !capable(CAP_SYS_RAWIO))
		return -EPERM;
	f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	if (!f)
		return -ENOMEM;
	f->inode = inode_new();
	if (IS_ERR(f->inode)) {
		err = PTR_ERR(f->inode);
		kfree(f);
		return err;
	}
	inode_attach(f->inode, file);
	mutex_init(&f->lock);
	f->mm = current->mm;
	mmgrab(f->mm);
	file->private_data = f;
	return nonseekable_open(inode, file);
}

static int dune_release(struct inode *inode, struct file *file)
{
	struct dune_file *f = file->private_data;

	if (f->vm)
		vm_put(f->vm);
	iput(f->inode);
	mmdrop(f->mm);
	kfree(f);
	return 0;
}

static struct dune_vm *file_vm(struct dune_file *f)
{
	return smp_load_acquire(&f->vm);
}

static long get_info(void __user *arg)
{
	struct dune_info info = {
		.api_version = DUNE_API_VERSION,
		.caps = vmx_api_caps() |
			(user_return_is_there() ? DUNE_CAP_REENTER : 0),
		.phys_bits = boot_cpu_data.x86_phys_bits,
		.nr_slots = slots_limit(),
		.nr_vcpu_counters = DUNE_NR_VCPU_COUNTERS,
		.nr_vm_counters = DUNE_NR_VM_COUNTERS,
		.max_vcpus = DUNE_MAX_VCPUS,
	};

	return copy_to_user(arg, &info, sizeof(info)) ? -EFAULT : 0;
}

static long create_vm(struct dune_file *f, void __user *arg)
{
	struct dune_create_vm req;
	struct placement placement;
	struct dune_vm *vm;
	long err;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	if (req.flags || req.reserved0 ||
	    memchr_inv(req.reserved, 0, sizeof(req.reserved)))
		return -EINVAL;
	err = placement_init(&placement, &req);
	if (err)
		return err;
	rdmsrl(MSR_LSTAR, req.syscall_entry);

	mutex_lock(&f->lock);
	err = -EBUSY;
	if (f->vm)
		goto out;
	vm = vm_create(&placement, f->inode);
	err = PTR_ERR_OR_ZERO(vm);
	if (err)
		goto out;
	if (copy_to_user(arg, &req, sizeof(req))) {
		vm_put(vm);
		err = -EFAULT;
		goto out;
	}
	smp_store_release(&f->vm, vm);
out:
	mutex_unlock(&f->lock);
	return err;
}

/* A new vCPU's file, which the caller has not seen yet. */
static struct file *vcpu_file(struct dune_vm *vm, struct dune_create_vcpu *req,
			      void __user *arg)
{
	struct file *file = vcpu_create_file(vm, &req->id);

	if (IS_ERR(file) || !copy_to_user(arg, req, sizeof(*req)))
		return file;
	fput(file);
	return ERR_PTR(-EFAULT);
}

static long create_vcpu(struct dune_file *f, void __user *arg)
{
	struct dune_vm *vm = file_vm(f);
	struct dune_create_vcpu req;
	struct file *file;
	int fd;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	if (!vm || req.flags || memchr_inv(req.reserved, 0, sizeof(req.reserved)))
		return -EINVAL;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	file = vcpu_file(vm, &req, arg);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	fd_install(fd, file);
	return fd;
}

static long get_slot(struct dune_file *f, void __user *arg)
{
	struct dune_vm *vm = file_vm(f);
	struct dune_slot slot;
	int err;

	if (copy_from_user(&slot, arg, sizeof(slot)))
		return -EFAULT;
	if (!vm)
		return -EINVAL;
	err = slots_get(&vm->slots, slot.hva, &slot.gpa);
	if (err)
		return err;
	return copy_to_user(arg, &slot, sizeof(slot)) ? -EFAULT : 0;
}

static long sync_counters(struct dune_file *f, unsigned long arg)
{
	struct dune_vm *vm = file_vm(f);

	if (!vm || arg)
		return -EINVAL;
	vm_sync_counters(vm);
	return 0;
}

static long stat_open(void __user *arg)
{
	struct dune_stat_open req;

	return copy_from_user(&req, arg, sizeof(req)) ? -EFAULT :
							stats_open(&req);
}

static long dune_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct dune_file *f = file->private_data;
	void __user *uarg = (void __user *)arg;

	if (current->mm != f->mm)
		return -EPERM;
	switch (cmd) {
	case DUNE_GET_INFO:
		return get_info(uarg);
	case DUNE_CREATE_VM:
		return create_vm(f, uarg);
	case DUNE_CREATE_VCPU:
		return create_vcpu(f, uarg);
	case DUNE_GET_SLOT:
		return get_slot(f, uarg);
	case DUNE_SYNC_COUNTERS:
		return sync_counters(f, arg);
	case DUNE_STAT_OPEN:
		return stat_open(uarg);
	default:
		return -ENOTTY;
	}
}

/* NULL: there was no memory for it. Linux tries again then, or kills. */
static vm_fault_t give_page(struct vm_fault *vmf, struct page *page)
{
	if (!page)
		return VM_FAULT_OOM;
	get_page(page);
	vmf->page = page;
	return 0;
}

static struct dune_vm *vma_vm(struct vm_fault *vmf)
{
	return file_vm(vmf->vma->vm_file->private_data);
}

static vm_fault_t vm_page_fault(struct vm_fault *vmf)
{
	return give_page(vmf, virt_to_page(vma_vm(vmf)->page));
}

static vm_fault_t slot_table_fault(struct vm_fault *vmf)
{
	unsigned long i = vmf->pgoff - (DUNE_MMAP_SLOT_TABLE >> PAGE_SHIFT);

	return give_page(vmf, slots_table_page(&vma_vm(vmf)->slots, i));
}

static vm_fault_t all_vcpu_pages_fault(struct vm_fault *vmf)
{
	return vcpu_pages_fault(&vma_vm(vmf)->vcpu_pages, vmf);
}

static const struct vm_operations_struct vm_page_ops = {
	.fault = vm_page_fault,
};

static const struct vm_operations_struct slot_table_ops = {
	.fault = slot_table_fault,
};

static const struct vm_operations_struct vcpu_pages_ops = {
	.fault = all_vcpu_pages_fault,
};

/* What of the vm fd can be mapped, and with which rights never. */
static const struct area {
	unsigned long offset, size;
	const struct vm_operations_struct *ops;
	unsigned long never, may_never;
} areas[] = {
	{ DUNE_MMAP_VM_PAGE, PAGE_SIZE, &vm_page_ops,
	  VM_WRITE | VM_EXEC, VM_MAYWRITE | VM_MAYEXEC },
	{ DUNE_MMAP_SLOT_TABLE, DUNE_SLOT_TABLE_SIZE, &slot_table_ops,
	  VM_WRITE | VM_EXEC, VM_MAYWRITE | VM_MAYEXEC },
	{ DUNE_MMAP_VCPU_PAGES, DUNE_VCPU_PAGES_SIZE, &vcpu_pages_ops,
	  VM_EXEC, VM_MAYEXEC },
};

static const struct area *area_of(const struct vm_area_struct *vma)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(areas); i++)
		if (vma->vm_pgoff == areas[i].offset >> PAGE_SHIFT)
			return &areas[i];
	return NULL;
}

static int dune_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct dune_file *f = file->private_data;
	const struct area *area = area_of(vma);

	if (current->mm != f->mm)
		return -EPERM;
	if (!file_vm(f) || !area || vma->vm_end - vma->vm_start != area->size)
		return -EINVAL;
	if (!(vma->vm_flags & VM_SHARED) || vma->vm_flags & area->never)
		return -EINVAL;
	vma->vm_ops = area->ops;
	vm_flags_set(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	vm_flags_clear(vma, area->may_never);
	return 0;
}

static const struct file_operations dune_fops = {
	.owner = THIS_MODULE,
	.open = dune_open,
	.release = dune_release,
	.unlocked_ioctl = dune_ioctl,
	.mmap = dune_mmap,
};

static struct miscdevice dune_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "dune",
	.mode = 0660,
	.fops = &dune_fops,
};

int dev_setup(void)
{
	return misc_register(&dune_misc);
}

void dev_teardown(void)
{
	misc_deregister(&dune_misc);
}
