// SPDX-License-Identifier: GPL-2.0-only
/* Life of a vm; see vm.h for its fields and locks. */
#include <linux/err.h>
#include <linux/percpu.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "power.h"
#include "vm.h"
#include "vmx/vmx.h"

/* Lock card in vm.h. */
static DEFINE_MUTEX(vms_lock);
static LIST_HEAD(vms);

static bool mm_has_vm(struct mm_struct *mm)
{
	struct dune_vm *vm;

	lockdep_assert_held(&vms_lock);
	list_for_each_entry(vm, &vms, all)
		if (vm->mm == mm)
			return true;
	return false;
}

static const struct pt_geometry *ept_geometry(void)
{
	return vmx_api_caps() & DUNE_CAP_EPT_AD ? &pt_ept_ad : &pt_ept_plain;
}

u64 vm_counter(struct dune_vm *vm, enum dune_vm_counter c)
{
	u64 sum = 0;
	int cpu;

	if (c == DUNE_VM_slots)
		return slots_nr(&vm->slots);
	if (c < DUNE_VM_FIRST_PER_CPU)
		return READ_ONCE(vm->page->counters[c]);
	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(vm->counts, cpu)->value[c]);
	return sum;
}

void vm_sync_counters(struct dune_vm *vm)
{
	unsigned int i;

	for (i = DUNE_VM_slots; i < DUNE_NR_VM_COUNTERS; i++)
		WRITE_ONCE(vm->page->counters[i], vm_counter(vm, i));
}

/* Its memory, for the emulator's conflict detector. */
static void vm_note(struct dune_vm *vm)
{
	unsigned int cpu;

	plat_note(vm, offsetof(struct dune_vm, ept), "dune_vm");
	plat_note(&vm->ept.first.pt, sizeof(vm->ept.first.pt), "pt");
	plat_note(&vm->ept.first.sd, sizeof(vm->ept.first.sd), "sd_vm");
	plat_note(&vm->inval, sizeof(vm->inval), "inval");
	plat_note(vm->page, PAGE_SIZE, "dune_vm_page");
	for_each_possible_cpu(cpu) {
		plat_note(per_cpu_ptr(vm->counts, cpu), sizeof(*vm->counts),
			  "vm_counts");
		plat_note(per_cpu_ptr(vm->sd_cpu, cpu), sizeof(*vm->sd_cpu),
			  "sd_cpu");
	}
}

static void vm_note_gone(struct dune_vm *vm)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		plat_note_gone(per_cpu_ptr(vm->counts, cpu));
		plat_note_gone(per_cpu_ptr(vm->sd_cpu, cpu));
	}
	plat_note_gone(vm->page);
	plat_note_gone(&vm->inval);
	plat_note_gone(&vm->ept.first.sd);
	plat_note_gone(&vm->ept.first.pt);
	plat_note_gone(vm);
}

static int vm_init(struct dune_vm *vm)
{
	int err;

	kref_init(&vm->ref);
	slots_init(&vm->slots);

	vm->page = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vm->page)
		return -ENOMEM;
	err = -ENOMEM;
	vm->counts = alloc_percpu_gfp(struct vm_counts, GFP_KERNEL_ACCOUNT);
	if (!vm->counts)
		goto err_page;
	vm->sd_cpu = alloc_percpu_gfp(struct sd_cpu, GFP_KERNEL_ACCOUNT);
	if (!vm->sd_cpu)
		goto err_counts;
	vm_note(vm);
	err = pt_init(&vm->ept.first.pt, ept_geometry());
	if (err)
		goto err_sd;
	vm_count(vm, DUNE_VM_ept_tables, 1);
	sd_vm_init(&vm->ept.first.sd, pt_root_pa(&vm->ept.first.pt),
		   mm_cpumask(vm->mm), vm->sd_cpu);
	err = placement_begin(vm);
	if (err)
		goto err_ept;
	err = stats_vm_begin(vm);
	if (err)
		goto err_placement;
	err = power_get();
	if (err)
		goto err_stats;
	mmgrab(vm->mm);
	err = ept_notifier_register(vm);
	if (err)
		goto err_power;
	return 0;

err_power:
	mmdrop(vm->mm);
	power_put();
err_stats:
	stats_vm_end(vm);
err_placement:
	placement_end(vm);
err_ept:
	pt_destroy(&vm->ept.first.pt);
err_sd:
	vm_note_gone(vm);
	free_percpu(vm->sd_cpu);
err_counts:
	free_percpu(vm->counts);
err_page:
	free_page((unsigned long)vm->page);
	return err;
}

/* Takes the mm's place in the list: 0 or -EBUSY. */
static int vm_list(struct dune_vm *vm)
{
	int err = -EBUSY;

	mutex_lock(&vms_lock);
	if (!mm_has_vm(vm->mm)) {
		list_add(&vm->all, &vms);
		err = 0;
	}
	mutex_unlock(&vms_lock);
	return err;
}

static void vm_unlist(struct dune_vm *vm)
{
	mutex_lock(&vms_lock);
	list_del(&vm->all);
	mutex_unlock(&vms_lock);
}

static void vm_complete(struct dune_vm *vm)
{
	mutex_lock(&vms_lock);
	vm->complete = true;
	mutex_unlock(&vms_lock);
}

void vms_try_walk(enum vms_walk (*fn)(struct dune_vm *vm, void *arg), void *arg)
{
	struct dune_vm *vm;

	if (!mutex_trylock(&vms_lock))
		return;
	list_for_each_entry(vm, &vms, all) {
		if (vm->complete && fn(vm, arg) == VMS_WALK_END_LAST) {
			list_move_tail(&vm->all, &vms);
			break;
		}
	}
	mutex_unlock(&vms_lock);
}

struct stats_vm *vm_stats_of(struct mm_struct *mm)
{
	struct stats_vm *stats = NULL;
	struct dune_vm *vm;

	mutex_lock(&vms_lock);
	list_for_each_entry(vm, &vms, all) {
		if (vm->mm != mm)
			continue;
		/* A vm is listed before it is complete. */
		stats = smp_load_acquire(&vm->stats);
		if (stats)
			stats_vm_get(stats);
		break;
	}
	mutex_unlock(&vms_lock);
	return stats;
}

/*
 * Listed first, so that the lock of all vms is not held over vm_init(): that
 * waits for the mmap_lock, which the process can keep from it for ever.
 */
struct dune_vm *vm_create(const struct placement *placement, struct inode *inode)
{
	struct dune_vm *vm;
	int err;

	vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	if (!vm)
		return ERR_PTR(-ENOMEM);
	vm->mm = current->mm;
	vm->tgid = current->tgid;
	vcpu_pages_init(&vm->vcpu_pages, inode);
	vm->placement = *placement;
	err = vm_list(vm);
	if (err)
		goto err_free;
	err = vm_init(vm);
	if (err)
		goto err_unlist;
	vm_complete(vm);
	return vm;

err_unlist:
	vm_unlist(vm);
	if (vm->stats)
		stats_vm_put(vm->stats);
err_free:
	vcpu_pages_destroy(&vm->vcpu_pages);
	kfree(vm);
	return ERR_PTR(err);
}

struct dune_vm *vm_get(struct dune_vm *vm)
{
	kref_get(&vm->ref);
	return vm;
}

static void vm_release(struct kref *ref)
{
	struct dune_vm *vm = container_of(ref, struct dune_vm, ref);

	ept_notifier_unregister(vm);
	stats_vm_end(vm);
	vm_unlist(vm);
	/*
	 * No vCPU is left. CPUs may still cache translations under this root;
	 * the next vm with the same root page flushes before its first entry,
	 * because its seen generations start behind.
	 */
	placement_end(vm);
	pt_destroy(&vm->ept.first.pt);
	slots_destroy(&vm->slots);
	vcpu_pages_destroy(&vm->vcpu_pages);
	power_put();
	vm_note_gone(vm);
	free_percpu(vm->sd_cpu);
	free_percpu(vm->counts);
	free_page((unsigned long)vm->page);
	mmdrop(vm->mm);
	stats_vm_put(vm->stats);
	kfree(vm);
}

void vm_put(struct dune_vm *vm)
{
	kref_put(&vm->ref, vm_release);
}
