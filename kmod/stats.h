/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counters of more than the caller's own vCPU: sums over a user's vms or over
 * one process, ended ones included, behind a read-only fd (DUNE_STAT_OPEN).
 *
 * A vCPU's counters are in a page its process can write: sums are for people
 * to look at, nothing in the module depends on them.
 *
 *   stats_user   one per effective uid, as long as a vm or a fd refers to it
 *   stats_vm     one per vm; outlives it while a fd refers to it
 *   vCPU         in its stats_vm's list until it is retired
 *
 * Lock cards.
 * users_lock, mutex (stats.c). Protects: the list of users, their last
 * reference. Nothing is taken inside it.
 * stats_user.lock, mutex. Protects: its list of vms, what has gone, each
 * stats_vm.vm. Outside stats_vm.lock.
 * stats_vm.lock, mutex. Protects: its list of vCPUs, what has gone; that a vCPU's page
 * which somebody looks at is not freed.
 */
#ifndef KMOD_STATS_H
#define KMOD_STATS_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <uapi/dune.h>

struct dune_vcpu;
struct dune_vm;
struct stats_user;

struct stats_totals {
	u64 vcpu[DUNE_NR_VCPU_COUNTERS];
	u64 vm[DUNE_NR_VM_COUNTERS];
};

struct stats_vm {
	refcount_t ref;
	struct stats_user *user;	/* constant, holds a reference */
	struct list_head of_user;	/* user->lock; empty once the vm ended */
	struct dune_vm *vm;		/* user->lock; NULL once it ended */
	struct mutex lock;
	struct list_head vcpus;		/* lock; dune_vcpu.of_stats */
	struct stats_totals gone;	/* lock; retired vCPUs and, at last, the vm */
};

/*
 * All in process context. begin() sets vm->stats, a reference of the vm's: 0
 * or -ENOMEM. end(): nothing counts in the vm any more, and its counters go
 * next; the reference stays, for as long as the vm can be found.
 */
int stats_vm_begin(struct dune_vm *vm);
void stats_vm_end(struct dune_vm *vm);
struct stats_vm *stats_vm_get(struct stats_vm *stats);
void stats_vm_put(struct stats_vm *stats);

void stats_vcpu_begin(struct dune_vcpu *vcpu);
/* It counts no more; before its page is another one's, and its VMCS freed. */
void stats_vcpu_end(struct dune_vcpu *vcpu);

/* Who was looking at vCPUs has done so: a page that one had can be freed. */
void stats_vm_settle(struct stats_vm *stats);

/* Is one of the vm's vCPUs on a CPU of that NUMA node, or was last? */
bool stats_vm_uses_node(struct stats_vm *stats, int node);

/* DUNE_STAT_OPEN: a fd or a negative errno. */
int stats_open(const struct dune_stat_open *req);

#endif /* KMOD_STATS_H */
