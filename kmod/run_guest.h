/* SPDX-License-Identifier: GPL-2.0-only */
/* One run, for the two places that begin one: DUNE_RUN and re-entry. */
#ifndef KMOD_RUN_GUEST_H
#define KMOD_RUN_GUEST_H

#include <asm/fpu/api.h>

#include "compat.h"
#include "guest_time.h"
#include "requests.h"
#include "residency.h"
#include "vcpu.h"
#include "vcpu_requests.h"

/*
 * irqs and preemption off, no work pending. The caller ends the guest's time
 * for Linux (guest_time_end()), after the interrupt that ended the run if it
 * takes that.
 */
static __always_inline void vcpu_run_guest(struct dune_vcpu *vcpu,
					   struct vmx_exit *exit)
{
	struct dune_vcpu_page *page = vcpu->page;
	struct sd_cpu *sd = this_cpu_ptr(vcpu->vm->sd_cpu);
	enum sd_end end;
	u64 gen, begin;

	/* The guest's FPU state is the thread's. */
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
	sd_begin(sd, vcpu->id);
	vreq_run_begin(page);
	gen = sd_enter(&vcpu->replica->sd, sd);
	if (gen) {
		vmx_flush_ept(vcpu->vmx.eptp);
		sd_flushed(sd, gen);
		vcpu_count(vcpu, DUNE_VCPU_invept);
	}
	sd_entered(sd);
	residency_enter(&vcpu->vmx);
	if (unlikely(vreq_run_pending(page)))
		vcpu_take_requests(vcpu);
	guest_time_begin();
	begin = guest_tsc_begin();
	vcpu_run_inner(vcpu, exit);
	guest_tsc_end(vcpu, begin);
	end = sd_exit(sd);
	vreq_run_end(page);
	residency_leave(&vcpu->vmx, end);
	if (end == SD_END_KICKED)
		vcpu_count(vcpu, DUNE_VCPU_kicked);
}

#endif /* KMOD_RUN_GUEST_H */
