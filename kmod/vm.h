/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * struct dune_vm: one per mm. Holds what its vCPUs share: the EPT, the slot
 * table, the list of vCPUs.
 *
 * Lifetime: one reference per vm fd and per vCPU. The last put unregisters
 * the mmu notifier and frees the EPT. Created complete, published last.
 *
 * Legend: (i) constant after creation  [e] ept_lock  [l] vcpu_lock to write,
 *         RCU to read  [a] atomic
 *
 * Lock cards
 *   ept_lock   spinlock. Protects the EPT's entries and counts, the notifier
 *              sequence. Held over a shootdown, so that whoever finds an entry
 *              gone knows that its flush is over. Process context, irqs on;
 *              inside mmap_lock and the mm's page-table and rmap locks.
 *   vcpu_lock  spinlock. Protects vcpus. Process context. Inside nothing.
 *   vms_lock   mutex (vm.c). Protects the list of all vms: one per mm.
 *              Outside mmap_lock (mmu_notifier_register).
 */
#ifndef KMOD_VM_H
#define KMOD_VM_H

#include <linux/kref.h>
#include <linux/mmu_notifier.h>
#include <linux/spinlock.h>
#include <uapi/dune.h>

#include "gather.h"
#include "pt.h"
#include "shootdown.h"
#include "slots.h"

#define DUNE_MAX_VCPUS	4096

struct dune_vm {
	struct kref ref;		/* [a] */
	struct mm_struct *mm;		/* (i) grabbed (mm_count), not got */
	struct list_head all;		/* vms_lock */
	struct dune_vm_page *page;	/* (i) counters, shared with user space */
	struct slots slots;		/* own lock */

	spinlock_t ept_lock;
	struct pt ept;			/* [e] writers; RCU walkers */
	unsigned long inv_seq;		/* [e] invalidations completed */
	unsigned int inv_active;	/* [e] invalidations between start and end */
	u64 inv_start, inv_end;		/* [e] what they cover, while active */
	struct mmu_notifier notifier;
	struct sd_vm sd;		/* gen: [e] to write, fences to read */
	u64 __percpu *seen;		/* generation each CPU has flushed to */

	spinlock_t vcpu_lock;
	struct list_head vcpus;		/* [l] */
	atomic_t nr_vcpus;		/* [a] */
};

/* A new vm for current->mm. ERR_PTR: -EBUSY it has one, -ENOMEM, ... */
struct dune_vm *vm_create(void);
struct dune_vm *vm_get(struct dune_vm *vm);
/* May sleep. */
void vm_put(struct dune_vm *vm);

static inline void vm_count(struct dune_vm *vm, enum dune_vm_counter c, s64 n)
{
	atomic64_add(n, (atomic64_t *)&vm->page->counters[c]);
}

/* ept_notifier.c; both may sleep. */
int ept_notifier_register(struct dune_vm *vm);
void ept_notifier_unregister(struct dune_vm *vm);

#endif /* KMOD_VM_H */
