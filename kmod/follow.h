/* SPDX-License-Identifier: GPL-2.0-only */
/* What a thread does with its memory when it has moved to another NUMA node. */
#ifndef KMOD_FOLLOW_H
#define KMOD_FOLLOW_H

#include "vcpu.h"

/* It is on a CPU of this node now. Preemption off. */
void follow_moved(struct dune_vcpu *vcpu, int node);

/* Has it been away long enough? Then some of the work. May sleep. */
void follow_now(struct dune_vcpu *vcpu);

/* For places where nothing is in a hurry. Owner, its VMCS loaded; may sleep. */
static inline void follow_if_away(struct dune_vcpu *vcpu)
{
	if (unlikely(READ_ONCE(vcpu->away_since)))
		follow_now(vcpu);
}

#endif /* KMOD_FOLLOW_H */
