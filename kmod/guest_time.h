/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Time a vCPU spends on its CPU in the guest, in TSC cycles: the counter
 * guest_tsc. Taken once around the run loop that keeps irqs off, not at each
 * exit inside, so exits handled in there count as guest time; what needs the
 * host does not. RDTSC is not serialising: some ten cycles either way.
 */
#ifndef KMOD_GUEST_TIME_H
#define KMOD_GUEST_TIME_H

#include <asm/msr.h>

#include "vcpu.h"

/* irqs off, from the first to the second: the same CPU's TSC. */
static __always_inline u64 guest_tsc_begin(void)
{
	return rdtsc();
}

static __always_inline void guest_tsc_end(struct dune_vcpu *vcpu, u64 begin)
{
	vcpu_count_n(vcpu, DUNE_VCPU_guest_tsc, rdtsc() - begin);
}

#endif /* KMOD_GUEST_TIME_H */
