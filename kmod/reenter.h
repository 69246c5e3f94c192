/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Re-entry: a re-issued system call has ended, and on Linux' way back to user
 * mode, its last step before the return, the guest runs again with the result.
 * When it makes the next call that has to be re-issued, the thread returns
 * right to its SYSCALL instruction. So such a call costs one way into the
 * kernel, not two. Anything else waits for DUNE_RUN.
 *
 * It pays only if the next exit is another such call; if not, the thread goes
 * through user mode once for nothing. So it is done after some calls in a row.
 *
 * It is an optimisation: wherever it does not happen, the caller's code after
 * the SYSCALL instruction calls DUNE_RUN, as ever.
 */
#ifndef KMOD_REENTER_H
#define KMOD_REENTER_H

#include <linux/ptrace.h>
#include <linux/sched/task_stack.h>

#include <asm/fsgsbase.h>
#include <asm/segment.h>

#include "vcpu.h"

/* Before DUNE_RUN returns for a call. Preemptible: another CPU only loses. */
void vcpu_arm_reentry(struct dune_vcpu *vcpu);

enum vcpu_reentry {
	VCPU_REENTRY_WAITS,	/* may be wanted at a later return */
	VCPU_REENTRY_OVER,	/* not before the next vcpu_arm_reentry() */
};

/*
 * current returns to user mode on the CPU where vcpu is loaded; it may be
 * anybody's. irqs off, and they stay so: Linux looks for work no more.
 */
enum vcpu_reentry vcpu_reenter(struct dune_vcpu *vcpu);

/*
 * run.c: what user space sees of the guest while it is outside. Linux pushes
 * signal frames below the caller's rsp: it has to be the guest's, or the frame
 * lands on the guest's live stack.
 */
void vcpu_sync_regs_out(struct dune_vcpu *vcpu);

/* The same with what is known. */
static inline void vcpu_regs_out(struct dune_vcpu *vcpu, u64 rip, u64 rsp,
				 u64 rflags)
{
	struct dune_vcpu_page *page = vcpu->page;

	page->regs.rip = rip;
	page->regs.rsp = rsp;
	page->regs.rflags = rflags;
	if (!(READ_ONCE(page->run_flags) & DUNE_RUN_RECORD))
		current_pt_regs()->sp = rsp;
}

/* The guest may have changed the thread's TLS pointer. */
void vcpu_sync_fs_base_out(struct dune_vcpu *vcpu);

/* The other way. CPUs without RDFSBASE are refused at load. */
static inline void vcpu_sync_fs_base_in(struct dune_vcpu *vcpu)
{
	u64 fs_base = rdfsbase();

	if (likely(fs_base == vcpu->vmx.host_fs_base))
		return;
	if (unlikely(READ_ONCE(vcpu->page->user_sp)))
		vmx_set_host_fs_base(&vcpu->vmx, fs_base);
	else
		vmx_set_fs_base(&vcpu->vmx, fs_base);
}

/* A VM exit would not bring these back. */
static inline bool vcpu_foreign_segments(void)
{
	unsigned int ds, es, fs, gs;

	savesegment(ds, ds);
	savesegment(es, es);
	savesegment(fs, fs);
	savesegment(gs, gs);
	return ds | es | fs | gs;
}

#endif /* KMOD_REENTER_H */
