/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What other threads want of a vCPU: dune_vcpu_page.requests. A run reads them
 * once, after it has said that it is in guest (smp/vcpu_requests.h, smp/kick.h):
 * who sets one later ends the run by DUNE_HC_KICK. Between two runs nothing is
 * taken, so nothing gets lost there.
 *
 * An interrupt that the guest cannot take yet becomes an open window: the VMCS
 * remembers it, wherever the vCPU goes, until the guest can.
 */
#ifndef KMOD_REQUESTS_H
#define KMOD_REQUESTS_H

#include "vcpu.h"

/* There are some. In a run, before its first entry; irqs off. */
void vcpu_take_requests(struct dune_vcpu *vcpu);

/* exits.c, in a run: the guest can take interrupts now. */
int vcpu_irq_window(struct dune_vcpu *vcpu, const struct vmx_exit *exit);

/*
 * The guest's registers are about to be set anew, which drops what was being
 * delivered: an interrupt among that is requested again.
 */
void vcpu_keep_irq(struct dune_vcpu *vcpu);

/* Is an interrupt requested or waiting? */
static inline bool vcpu_irq_pending(const struct dune_vcpu *vcpu)
{
	return vcpu->vmx.irq_window ||
	       READ_ONCE(vcpu->page->requests) & DUNE_REQ_IRQ;
}

/* DUNE_HC_KICK on the struct dune_kick at addr: its result. May sleep. */
long vcpu_kick(struct dune_vcpu *vcpu, u64 addr);

#endif /* KMOD_REQUESTS_H */
