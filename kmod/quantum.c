// SPDX-License-Identifier: GPL-2.0-only
/* See quantum.h. */
#include "quantum.h"

/* Nothing is changed on failure, so the next DUNE_RUN fails again. */
int vcpu_quantum_change(struct dune_vcpu *vcpu, u32 us)
{
	if (!(vmx_api_caps() & DUNE_CAP_QUANTUM))
		return -EOPNOTSUPP;
	if (us && (us < DUNE_QUANTUM_MIN_US || us > DUNE_QUANTUM_MAX_US))
		return -EINVAL;
	vmx_quantum_set(&vcpu->vmx, us);
	vcpu->quantum_us = us;
	return 0;
}

int vcpu_quantum_over(struct dune_vcpu *vcpu, const struct vmx_exit *exit)
{
	vcpu_count(vcpu, DUNE_VCPU_quanta);
	vmx_quantum_restart(&vcpu->vmx);
	return vcpu_record(vcpu, DUNE_EXIT_QUANTUM, exit);
}
