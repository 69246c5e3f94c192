/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * struct dune_vm: one per mm. Holds what its vCPUs share: the EPT, the slot
 * table, the generation of the EPT's flushes.
 *
 * Lifetime: one reference per vm fd and per vCPU. The last put unregisters
 * the mmu notifier and frees the EPT. Created complete, published last.
 *
 * Legend: (i) constant after creation  [p] protocol of smp/  [a] atomic
 *         [c] per CPU
 *
 * There is no lock of the vm: the EPT's tables have one each (smp/pt_table.h).
 * Lock card: vms_lock, mutex (vm.c). Protects the list of all vms: one per mm; and
 * dune_vm.complete. Inside of it vms_try_walk() takes tables' locks and waits for a
 * shootdown; nothing is allocated, because reclaim takes it (if it is free).
 */
#ifndef KMOD_VM_H
#define KMOD_VM_H

#include <linux/kref.h>
#include <linux/mmu_notifier.h>
#include <linux/percpu.h>
#include <uapi/dune.h>

#include "gather.h"
#include "inval.h"
#include "placement.h"
#include "replicas.h"
#include "slots.h"
#include "stats.h"
#include "vcpu_pages.h"

struct vm_counts {
	u64 value[DUNE_NR_VM_COUNTERS];
};

/* By lines: what a new vCPU writes, what every fault reads, what flushes write. */
struct dune_vm {
	struct kref ref;		/* [a] */
	struct vcpu_pages vcpu_pages;	/* own lock */
	struct list_head all;		/* vms_lock */
	bool complete;			/* vms_lock */

	struct mm_struct *mm ____cacheline_aligned; /* (i) grabbed (mm_count), not got */
	struct stats_vm *stats;		/* (i) */
	struct dune_vm_page *page;	/* (i) counters, shared with user space */
	struct vm_counts __percpu *counts; /* [c] */
	struct sd_cpu __percpu *sd_cpu;	/* [p] (i) one line a CPU */
	struct placement placement;	/* (i) */
	pid_t tgid;			/* (i) the creator's, for traces */

	struct slots slots ____cacheline_aligned; /* own lock */
	struct mmu_notifier notifier;	/* (i) start, end, age, release */
	struct mmu_notifier secondary;	/* (i) after Linux' TLB flushes */

	struct replicas ept ____cacheline_aligned; /* [p] */
	struct inval inval;		/* [p] */
};

/*
 * A new vm for current->mm, its EPT as placement_init() made *placement, its files
 * of inode. ERR_PTR: -EBUSY it has one, -ENOMEM, ...
 */
struct dune_vm *vm_create(const struct placement *placement, struct inode *inode);
struct dune_vm *vm_get(struct dune_vm *vm);
/* May sleep. */
void vm_put(struct dune_vm *vm);

/* A counter that user space reads after DUNE_SYNC_COUNTERS. Any context. */
static inline void vm_count(struct dune_vm *vm, enum dune_vm_counter c, s64 n)
{
	this_cpu_add(vm->counts->value[c], n);
}

/* One of those before DUNE_VM_FIRST_PER_CPU. */
static inline void vm_count_live(struct dune_vm *vm, enum dune_vm_counter c,
				 s64 n)
{
	atomic64_add(n, (atomic64_t *)&vm->page->counters[c]);
}

/* A counter as it is now: what is kept per CPU is summed up. Any context. */
u64 vm_counter(struct dune_vm *vm, enum dune_vm_counter c);
/* A reference to the counters of the mm's vm, or NULL. May sleep. */
struct stats_vm *vm_stats_of(struct mm_struct *mm);

/*
 * Each complete vm, which lives at least until fn is back, unless somebody has the
 * list. END_LAST: enough, and this one is the last next time. Process context.
 */
enum vms_walk { VMS_WALK_ON, VMS_WALK_END_LAST };
void vms_try_walk(enum vms_walk (*fn)(struct dune_vm *vm, void *arg), void *arg);

/* Sums up what is counted per CPU. Process context. */
void vm_sync_counters(struct dune_vm *vm);

/* ept_notifier.c; both may sleep. */
int ept_notifier_register(struct dune_vm *vm);
void ept_notifier_unregister(struct dune_vm *vm);

#endif /* KMOD_VM_H */
