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
#include <asm/fpu/api.h>
#include <asm/fsgsbase.h>
#include <asm/segment.h>

#include "compat.h"
#include "guest_time.h"
#include "quantum.h"
#include "residency.h"
#include "vcpu.h"

/* irqs off, preemption off: from the last check to the end of the exit. */
static void run_guest(struct dune_vcpu *vcpu, struct vmx_exit *exit)
{
	struct dune_vm *vm = vcpu->vm;
	struct sd_cpu *sd = this_cpu_ptr(vm->sd_cpu);
	enum sd_end end;
	u64 gen, begin;

	/* The guest's FPU state is the thread's. */
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
	gen = sd_enter(&vm->sd, sd);
	if (gen) {
		vmx_flush_ept(vcpu->vmx.eptp);
		sd_flushed(sd, gen);
		vcpu_count(vcpu, DUNE_VCPU_invept);
	}
	sd_entered(sd);
	residency_enter(&vcpu->vmx);
	guest_time_begin();
	begin = guest_tsc_begin();
	vcpu_run_inner(vcpu, exit);
	guest_tsc_end(vcpu, begin);
	end = sd_exit(sd);
	residency_leave(&vcpu->vmx, end);
	if (end == SD_END_KICKED)
		vcpu_count(vcpu, DUNE_VCPU_kicked);
	if (exit->kind == VMX_EXIT_INTERRUPT) {
		/* The host interrupt that ended the run is taken here. */
		local_irq_enable();
		local_irq_disable();
	}
	guest_time_end();
}

static int enter_once(struct dune_vcpu *vcpu)
{
	struct vmx_exit exit;

	preempt_disable();
	local_irq_disable();
	/* Loaded nowhere: this CPU is going offline and will let us go on. */
	if (vcpu_work_pending(VCPU_RUN_WORK & ~vcpu->late_work) ||
	    vcpu->vmx.cpu == VMX_NO_CPU) {
		local_irq_enable();
		preempt_enable();
		if (vcpu_work_pending(VCPU_HOST_WORK & ~vcpu->late_work)) {
			vcpu_count(vcpu, DUNE_VCPU_host_work);
			return DUNE_EXIT_RETRY;
		}
		vcpu_count(vcpu, DUNE_VCPU_resched);
		cond_resched();
		return VCPU_CONTINUE;
	}
	vcpu->late_work = 0;
	run_guest(vcpu, &exit);
	local_irq_enable();
	preempt_enable();
	return vcpu_handle_exit(vcpu, &exit);
}

/*
 * A tracer stops the thread at the entry of DUNE_RUN too, and a thread that has
 * slept has rseq's work pending: always, so it would never enter the guest.
 * It waits until the first exit.
 */
static unsigned long work_that_waits(void)
{
	return READ_ONCE(current_thread_info()->syscall_work) &
	       SYSCALL_WORK_SYSCALL_TRACE ? _TIF_NOTIFY_RESUME : 0;
}

/* A VM exit would not bring these back. */
static bool foreign_segments(void)
{
	unsigned int ds, es, fs, gs;

	savesegment(ds, ds);
	savesegment(es, es);
	savesegment(fs, fs);
	savesegment(gs, gs);
	return ds | es | fs | gs;
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
	u32 sync = READ_ONCE(page->sync);
	struct dune_regs regs;
	int err = vcpu_quantum_sync(vcpu);

	if (err)
		return err;
	current_save_fsgs();
	if (current->thread.fsbase != vcpu->vmx.host_fs_base)
		vmx_set_fs_base(&vcpu->vmx, current->thread.fsbase);
	if (sync & DUNE_SYNC_SREGS) {
		err = sync_sregs(vcpu);
		if (err)
			return err;
	}
	if (sync & DUNE_SYNC_REGS) {
		regs = page->regs;
		vmx_set_regs(&vcpu->vmx, &regs);
	}
	if (sync)
		WRITE_ONCE(page->sync, 0);
	if (vcpu->phase == VCPU_SYSCALL)
		page->regs.rax = arg;
	vcpu->phase = VCPU_READY;
	return 0;
}

/* The guest may have changed the thread's TLS pointer. */
static void sync_fs_base_out(struct dune_vcpu *vcpu)
{
	u64 fs_base = vmx_guest_fs_base(&vcpu->vmx);

	if (fs_base == vcpu->vmx.host_fs_base)
		return;
	preempt_disable();
	x86_fsbase_write_cpu(fs_base);
	current->thread.fsbase = fs_base;
	vmx_set_fs_base(&vcpu->vmx, fs_base);
	preempt_enable();
}

/*
 * What user space sees of the guest while it is outside. Linux pushes signal
 * frames below the caller's rsp: it has to be the guest's, or the frame lands
 * on the guest's live stack.
 */
static void sync_regs_out(struct dune_vcpu *vcpu)
{
	struct dune_vcpu_page *page = vcpu->page;
	struct dune_regs r;

	vmx_get_regs(&vcpu->vmx, &r);
	page->regs.rip = r.rip;
	page->regs.rsp = r.rsp;
	page->regs.rflags = r.rflags;
	if (!(READ_ONCE(page->run_flags) & DUNE_RUN_RECORD))
		current_pt_regs()->sp = r.rsp;
}

long vcpu_run(struct dune_vcpu *vcpu, unsigned long arg)
{
	int kind;

	if (READ_ONCE(vmx_shut_down))
		return -ESHUTDOWN;
	if (current->mm != vcpu->vm->mm || task_pid(current) != vcpu->owner)
		return -EPERM;
	if (vcpu->phase == VCPU_DEAD)
		return -EIO;
	if (READ_ONCE(vcpu->page->sync) & ~(DUNE_SYNC_REGS | DUNE_SYNC_SREGS) ||
	    READ_ONCE(vcpu->page->run_flags) & ~DUNE_RUN_FLAGS)
		return -EINVAL;
	if (foreign_segments())
		return -EOPNOTSUPP;

	vcpu_count(vcpu, DUNE_VCPU_runs);
	vcpu_load(vcpu);
	/* Loaded nowhere even now: VMX did not come back after a suspend. */
	kind = vcpu->vmx.cpu == VMX_NO_CPU ? -ESHUTDOWN : sync_in(vcpu, arg);
	if (kind)
		goto out;
	vcpu->late_work = work_that_waits();
	do {
		kind = enter_once(vcpu);
	} while (kind == VCPU_CONTINUE);
	if (kind != VCPU_LEFT)
		sync_regs_out(vcpu);
	sync_fs_base_out(vcpu);
out:
	vcpu_put(vcpu);

	/* VCPU_LEFT: this is the thread's rax in plain Linux mode. */
	return kind == VCPU_LEFT ? current_pt_regs()->ax : kind;
}
