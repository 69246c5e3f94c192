// SPDX-License-Identifier: GPL-2.0-only
/*
 * DUNE_RUN: enter the guest, handle exits, until something needs user mode.
 * The loop is preemptible between an exit and the next entry; preempt
 * notifiers keep the VMCS with the thread.
 */
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>

#include "compat.h"
#include "follow.h"
#include "power.h"
#include "quantum.h"
#include "reenter.h"
#include "requests.h"
#include "run_guest.h"
#include "vcpu.h"

#define VCPU_SYNCS	(DUNE_SYNC_REGS | DUNE_SYNC_SREGS | DUNE_SYNC_FAULT)

static int enter_once(struct dune_vcpu *vcpu)
{
	struct vmx_exit exit;

	preempt_disable();
	local_irq_disable();
	if (vcpu_work_pending(VCPU_RUN_WORK & ~vcpu->late_work) ||
	    !residency_is_here(&vcpu->vmx)) {
		enum power_state power = power_state_here();

		local_irq_enable();
		preempt_enable();
		if (power == POWER_LOST)
			return -ESHUTDOWN;
		if (vcpu_work_pending(VCPU_HOST_WORK & ~vcpu->late_work)) {
			vcpu_count(vcpu, DUNE_VCPU_host_work);
			return DUNE_EXIT_RETRY;
		}
		vcpu_count(vcpu, DUNE_VCPU_resched);
		cond_resched();
		return VCPU_CONTINUE;
	}
	vcpu->late_work = 0;
	vcpu_run_guest(vcpu, &exit);
	if (exit.kind == VMX_EXIT_INTERRUPT) {
		/* The host interrupt that ended the run is taken here. */
		local_irq_enable();
		local_irq_disable();
	}
	guest_time_end();
	local_irq_enable();
	preempt_enable();
	return vcpu_handle_exit(vcpu, &exit);
}

/* What a re-entry has left. */
static int handle_deferred(struct dune_vcpu *vcpu)
{
	if (!vcpu->deferred)
		return VCPU_CONTINUE;
	vcpu->deferred = false;
	return vcpu_handle_exit(vcpu, &vcpu->deferred_exit);
}

/*
 * A tracer stops the thread at the entry of DUNE_RUN too, and a thread that has
 * slept has rseq's work pending: always, so it would never enter the guest.
 * It waits until the first exit.
 */
static unsigned long work_that_waits(unsigned long syscall_work)
{
	return syscall_work & SYSCALL_WORK_SYSCALL_TRACE ? _TIF_NOTIFY_RESUME : 0;
}

/*
 * The thread comes back here on its own account, whenever something ended the
 * run: in user dispatch's eyes by a call that the program did not make. So the
 * range without dispatch is DUNE_RUN's own SYSCALL, if the program asked for
 * none. It stays behind with the thread; nothing else is called from there.
 * (syscall_user_dispatch() in kernel/entry/.)
 */
static void exempt_from_dispatch(void)
{
	struct syscall_user_dispatch *sd = &current->syscall_dispatch;

	if (sd->len)
		return;
	sd->offset = current_pt_regs()->ip;
	sd->len = 1;
}

/* 48 bits: the guest walks 4 levels, whatever the host does. */
static bool canonical(u64 addr)
{
	return (u64)((s64)(addr << 16) >> 16) == addr;
}

/* A base that becomes the thread's own may not fault in WRFSBASE. */
static int sync_sregs(struct dune_vcpu *vcpu)
{
	struct dune_sregs sregs = vcpu->page->sregs;

	barrier();	/* check what is used: not read again */
	if (!canonical(sregs.fs_base) || !canonical(sregs.gs_base))
		return -EINVAL;
	vmx_set_sregs(&vcpu->vmx, &sregs);
	return 0;
}

/* Take over what user space changed since the last run. 0 or an errno. */
static int sync_in(struct dune_vcpu *vcpu, unsigned long arg)
{
	struct dune_vcpu_page *page = vcpu->page;
	u32 sync = READ_ONCE(page->sync), quantum_us = vcpu->quantum_us;
	struct dune_regs regs;
	int err = vcpu_quantum_sync(vcpu);

	if (err)
		return err;
	if (quantum_us != vcpu->quantum_us &&
	    vcpu->deferred_exit.kind == VMX_EXIT_QUANTUM)
		vcpu->deferred = false;
	vcpu_sync_fs_base_in(vcpu);
	if (sync & DUNE_SYNC_SREGS) {
		err = sync_sregs(vcpu);
		if (err)
			return err;
	}
	if (sync & DUNE_SYNC_FAULT)
		vmx_inject_page_fault(&vcpu->vmx, READ_ONCE(page->exit.gva),
				      READ_ONCE(page->exit.access));
	if (sync & DUNE_SYNC_REGS) {
		regs = page->regs;
		vcpu_keep_irq(vcpu);
		vmx_set_regs(&vcpu->vmx, &regs);
		/* What it was about is gone, unless nothing can go on. */
		if (!vcpu_exit_is_fatal(&vcpu->deferred_exit))
			vcpu->deferred = false;
	}
	if (sync)
		WRITE_ONCE(page->sync, 0);
	if (vcpu->phase == VCPU_SYSCALL)
		page->regs.rax = arg;
	vcpu->phase = VCPU_READY;
	return 0;
}

void vcpu_sync_fs_base_out(struct dune_vcpu *vcpu)
{
	u64 fs_base;

	if (unlikely(READ_ONCE(vcpu->page->user_sp)))
		return;
	fs_base = vmx_guest_fs_base(&vcpu->vmx);
	if (likely(fs_base == vcpu->vmx.host_fs_base))
		return;
	preempt_disable();
	wrfsbase(fs_base);
	current->thread.fsbase = fs_base;
	vmx_set_fs_base(&vcpu->vmx, fs_base);
	preempt_enable();
}

void vcpu_sync_regs_out(struct dune_vcpu *vcpu)
{
	u64 user_sp = READ_ONCE(vcpu->page->user_sp);
	struct dune_regs r;

	vmx_get_regs(&vcpu->vmx, &r);
	vcpu_regs_out(vcpu, r.rip, r.rsp, r.rflags);
	/* Whoever has the guest's rsp is not to choose where signals go. */
	if (unlikely(user_sp) &&
	    !(READ_ONCE(vcpu->page->run_flags) & DUNE_RUN_RECORD))
		current_pt_regs()->sp = user_sp;
}

long vcpu_run(struct dune_vcpu *vcpu, unsigned long arg)
{
	unsigned long syscall_work = READ_ONCE(current_thread_info()->syscall_work);
	int turns = 0;
	int kind;

	if (current->mm != vcpu->vm->mm || task_pid(current) != vcpu->owner)
		return -EPERM;
	if (unlikely(READ_ONCE(vmx_shut_down)))
		return vcpu->initialised ? power_stay_down() : -ESHUTDOWN;
	if (vcpu->phase == VCPU_DEAD)
		return -EIO;
	if (READ_ONCE(vcpu->page->sync) & ~VCPU_SYNCS ||
	    READ_ONCE(vcpu->page->run_flags) & ~DUNE_RUN_FLAGS)
		return -EINVAL;
	if (vcpu_foreign_segments())
		return -EOPNOTSUPP;

	vcpu_count(vcpu, DUNE_VCPU_runs);
	vcpu_load(vcpu);
	/* Not here even now: VMX did not come back after a suspend. */
	kind = residency_is_here(&vcpu->vmx) ? sync_in(vcpu, arg) : -ESHUTDOWN;
	if (kind)
		goto out;
	follow_if_away(vcpu);
	vcpu->late_work = work_that_waits(syscall_work);
	if (unlikely(syscall_work & SYSCALL_WORK_SYSCALL_USER_DISPATCH))
		exempt_from_dispatch();
	kind = handle_deferred(vcpu);
	while (kind == VCPU_CONTINUE && !READ_ONCE(vmx_shut_down)) {
		kind = enter_once(vcpu);
		turns++;
	}
	if (kind == -ESHUTDOWN)
		goto out;	/* the VMCS cannot be read here */
	if (kind == DUNE_EXIT_SYSCALL && turns == 1)
		vcpu->calls_in_a_row++;
	else
		vcpu->calls_in_a_row = 0;
	if (kind != VCPU_LEFT)
		vcpu_sync_regs_out(vcpu);
	vcpu_sync_fs_base_out(vcpu);
	if (kind == DUNE_EXIT_SYSCALL)
		vcpu_arm_reentry(vcpu);
out:
	vcpu_put(vcpu);
	/* Then what was read of the guest may be nonsense. */
	if (unlikely(READ_ONCE(vmx_shut_down)))
		return power_stay_down();

	/* VCPU_LEFT: this is the thread's rax in plain Linux mode. */
	return kind == VCPU_LEFT ? current_pt_regs()->ax : kind;
}
