/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Quantum: after so much time in the guest DUNE_RUN returns, for schedulers in
 * user space. Costs a comparison a DUNE_RUN while it is off.
 */
#ifndef KMOD_QUANTUM_H
#define KMOD_QUANTUM_H

#include "vcpu.h"

int vcpu_quantum_change(struct dune_vcpu *vcpu, u32 us);

/* What user space wants now; 0, -EINVAL or -EOPNOTSUPP. The vCPU is loaded. */
static inline int vcpu_quantum_sync(struct dune_vcpu *vcpu)
{
	u32 us = READ_ONCE(vcpu->page->quantum_us);

	return likely(us == vcpu->quantum_us) ? 0 : vcpu_quantum_change(vcpu, us);
}

/* exits.c: one has ended. */
int vcpu_quantum_over(struct dune_vcpu *vcpu, const struct vmx_exit *exit);

#endif /* KMOD_QUANTUM_H */
