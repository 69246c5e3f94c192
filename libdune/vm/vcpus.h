/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The vCPUs of the process by their ids, which the module gives out: where other
 * threads find the page with a vCPU's requests (smp/vcpu_requests.h).
 */
#ifndef DUNE_VM_VCPUS_H
#define DUNE_VM_VCPUS_H

#include "op.h"

#pragma GCC visibility push(hidden)

/*
 * Which vectors are pending at a vCPU's thread. Not in its page, which is the next
 * vCPU's with the id as soon as this one ends: who has found the thread alive may
 * still post then. This goes after a grace period.
 */
struct vcpu_irr {
	u64 word[4];
	plat_rcu_t rcu;
};

/*
 * The calling thread has a vCPU from now on, local is zeroed and found by it:
 * a view of the default root. Plain mode. 0 or a negative errno.
 */
int vcpu_begin(struct vm_local *local, struct dune_vcpu_page *page);
/*
 * It ends: it never enters the guest again, and nobody has freed its id yet. Who has
 * found it under RCU may post to its page for a while. That stays mapped, and once it
 * is the next vCPU's with the id, a flush or an interrupt of nothing is all it gets.
 */
void vcpu_end(struct vm_local *local);
/* Address of what the calling thread's read sections write to, after vcpu_begin(). */
u64 vcpu_reader(void);

#pragma GCC visibility pop

/* NULL: there is none any more. Under RCU; see vcpu_end(). */
static inline struct dune_vcpu_page *vcpu_page(u32 id)
{
	return __atomic_load_n(&vm_vcpus[id].page, __ATOMIC_ACQUIRE);
}

/* The same. */
static inline struct vcpu_irr *vcpu_irr(u32 id)
{
	return __atomic_load_n(&vm_vcpus[id].irr, __ATOMIC_ACQUIRE);
}

#endif /* DUNE_VM_VCPUS_H */
