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
 * The calling thread has a vCPU from now on, local is zeroed and found by it:
 * a view of the default root. Plain mode. 0 or a negative errno.
 */
int vcpu_begin(struct vm_local *local, struct dune_vcpu_page *page);
/*
 * It ends: it never enters the guest again, and nobody has freed its id yet. The
 * page is unmapped here, when nobody can look at it any more.
 */
void vcpu_end(struct vm_local *local);
/* Address of what the calling thread's read sections write to, after vcpu_begin(). */
u64 vcpu_reader(void);

#pragma GCC visibility pop

/* NULL: there is none any more. Under RCU. */
static inline struct dune_vcpu_page *vcpu_page(u32 id)
{
	return __atomic_load_n(&vm_vcpus[id].page, __ATOMIC_ACQUIRE);
}

#endif /* DUNE_VM_VCPUS_H */
