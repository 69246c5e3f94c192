// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMCALL from guest ring 0: Linux system calls, re-issued by the thread itself
 * in user mode, and the few calls of our own.
 *
 * Re-issue: DUNE_RUN returns with the call's arguments live in the caller's
 * user registers and rsp/rbp the guest's. So signals, restarts, seccomp,
 * ptrace, clone and exec work as they do for any process.
 */
#include <linux/ptrace.h>
#include <linux/sched/task_stack.h>
#include <linux/uaccess.h>
#include <uapi/asm/unistd_64.h>
#include <uapi/linux/sched.h>

#include "fastcall.h"
#include "reenter.h"
#include "requests.h"
#include "vmx/enter.h"

#define RED_ZONE	128

/* What sigreturn lets a process set. */
#define USER_FLAGS (X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | \
		    X86_EFLAGS_ZF | X86_EFLAGS_SF | X86_EFLAGS_TF | \
		    X86_EFLAGS_DF | X86_EFLAGS_OF | X86_EFLAGS_RF | \
		    X86_EFLAGS_AC)

static bool creates_task(u32 nr)
{
	return nr == __NR_clone || nr == __NR_clone3 || nr == __NR_fork ||
	       nr == __NR_vfork;
}

/* Stack pointer of the task that this call would create; 0: none. */
static u64 new_task_sp(const struct dune_regs *r)
{
	struct clone_args args;
	unsigned long head = offsetofend(struct clone_args, stack_size);

	switch ((u32)r->rax) {
	case __NR_clone:
		return r->rsi ? r->rsi : r->rsp;
	case __NR_clone3:
		/* A bad pointer fails in the call itself, natively. */
		if (r->rsi < head ||
		    copy_from_user(&args, (void __user *)r->rdi, head))
			return 0;
		return args.stack ? args.stack + args.stack_size : r->rsp;
	default:
		return r->rsp;
	}
}

/* Address of the frame that lets the new task go on, or 0. */
static u64 put_fork_frame(struct dune_vcpu *vcpu, struct dune_regs *r)
{
	struct dune_fork_frame frame;
	u64 sp, addr;

	if (!creates_task(r->rax))
		return 0;
	vmx_get_regs(&vcpu->vmx, r);
	frame = (struct dune_fork_frame){
		.rbx = r->rbx, .rbp = r->rbp, .r12 = r->r12, .r13 = r->r13,
		.r14 = r->r14, .r15 = r->r15, .rcx = r->rcx, .r11 = r->r11,
		.rip = r->rip,
	};
	sp = new_task_sp(r);
	addr = sp - RED_ZONE - sizeof(frame);
	if (!sp || copy_to_user((void __user *)addr, &frame, sizeof(frame)))
		return 0;
	return addr;
}

/* The guest's registers at its call, once: user space can write the page. */
static void snapshot_regs(struct dune_vcpu *vcpu, struct dune_regs *r)
{
	*r = vcpu->page->regs;
	barrier();
}

static void set_user_regs(const struct dune_regs *r, u32 nr)
{
	struct pt_regs *user = current_pt_regs();

	user->bx = nr;
	user->di = r->rdi;
	user->si = r->rsi;
	user->dx = r->rdx;
	user->r10 = r->r10;
	user->r8 = r->r8;
	user->r9 = r->r9;
	user->bp = r->rbp;
}

void vcpu_user_regs_of_call(struct dune_vcpu *vcpu, u32 nr)
{
	struct dune_regs r;

	snapshot_regs(vcpu, &r);
	set_user_regs(&r, nr);
}

/* Calls by which a thread may turn on LBR or BTS for itself. */
static bool may_set_debugctl(u32 nr)
{
	return nr == __NR_perf_event_open || nr == __NR_ioctl || nr == __NR_prctl;
}

static int reissue(struct dune_vcpu *vcpu)
{
	static const struct vmx_exit no_exit;
	struct dune_regs r;

	vcpu_count(vcpu, DUNE_VCPU_syscalls);
	vcpu_record(vcpu, DUNE_EXIT_SYSCALL, &no_exit);
	if (READ_ONCE(vcpu->page->run_flags) & DUNE_RUN_RECORD)
		return DUNE_EXIT_SYSCALL;

	snapshot_regs(vcpu, &r);
	if (may_set_debugctl(r.rax))
		vmx_host_debugctl_changed(&vcpu->vmx);
	set_user_regs(&r, r.rax);
	current_pt_regs()->r13 = put_fork_frame(vcpu, &r);
	vcpu->phase = VCPU_SYSCALL;
	return DUNE_EXIT_SYSCALL;
}

bool vcpu_reissue_here(struct dune_vcpu *vcpu)
{
	struct dune_regs r;

	if (!vcpu_at_cpl0(vcpu))
		return false;
	snapshot_regs(vcpu, &r);
	/* The caller's code has more to do for a task that comes or goes. */
	if (dune_hc_is_own(r.rax) || creates_task(r.rax) ||
	    (u32)r.rax == __NR_exit || fastcall_is_possible(vcpu, r.rax))
		return false;
	vcpu_count(vcpu, DUNE_VCPU_syscalls);
	dune_call_end(vcpu, r.rax);
	if (dune_call_is_packed(r.rax))
		vcpu_regs_out(vcpu, r.rcx, r.r11, r.rax >> 32);
	else
		vcpu_sync_regs_out(vcpu);
	if (may_set_debugctl(r.rax))
		vmx_host_debugctl_changed(&vcpu->vmx);
	set_user_regs(&r, r.rax);
	return true;
}

/* Continue in plain Linux mode with these registers. */
static int leave(struct dune_vcpu *vcpu, const struct dune_regs *r)
{
	struct pt_regs *user = current_pt_regs();

	user->ax = r->rax;
	user->bx = r->rbx;
	user->cx = r->rcx;
	user->dx = r->rdx;
	user->si = r->rsi;
	user->di = r->rdi;
	user->bp = r->rbp;
	user->sp = r->rsp;
	user->r8 = r->r8;
	user->r9 = r->r9;
	user->r10 = r->r10;
	user->r11 = r->r11;
	user->r12 = r->r12;
	user->r13 = r->r13;
	user->r14 = r->r14;
	user->r15 = r->r15;
	user->ip = r->rip;
	user->flags = (user->flags & ~USER_FLAGS) | (r->rflags & USER_FLAGS);
	/* No longer inside a system call that a signal could restart. */
	user->orig_ax = -1;
	/* A thread that stays outside has no use for them: 12 KiB of an idle vCPU. */
	pt_cache_drain(&vcpu->tables);
	return VCPU_LEFT;
}

static int hc_leave(struct dune_vcpu *vcpu)
{
	struct dune_regs *regs = &vcpu->page->regs;
	u64 from = READ_ONCE(regs->rdi);
	struct dune_regs r;

	if (from) {
		if (copy_from_user(&r, (void __user *)from, sizeof(r))) {
			regs->rax = -EFAULT;
			return VCPU_CONTINUE;
		}
	} else {
		regs->rax = 0;
		vmx_get_regs(&vcpu->vmx, regs);
		r = *regs;
	}
	return leave(vcpu, &r);
}

static int hc_slot(struct dune_vcpu *vcpu)
{
	struct dune_regs *regs = &vcpu->page->regs;
	u64 hva = READ_ONCE(regs->rdi), gpa;
	int err;

	hva &= ~((1ull << DUNE_SLOT_SHIFT) - 1);
	err = slots_get(&vcpu->vm->slots, hva, &gpa);
	regs->rax = err ? err : gpa;
	return VCPU_CONTINUE;
}

static int hc_exit(struct dune_vcpu *vcpu)
{
	static const struct vmx_exit no_exit;

	return vcpu_record(vcpu, DUNE_EXIT_HYPERCALL, &no_exit);
}

int vcpu_hypercall(struct dune_vcpu *vcpu)
{
	struct dune_regs *regs = &vcpu->page->regs;
	u64 nr = READ_ONCE(regs->rax);
	int ret;

	dune_call_end(vcpu, nr);
	if (!dune_hc_is_own(nr)) {
		regs->rax = (u32)nr;
		ret = vcpu_fastcall(vcpu, nr);
		return ret == FASTCALL_NO ? reissue(vcpu) : ret;
	}

	vcpu_count(vcpu, DUNE_VCPU_hypercalls);
	switch (nr) {
	case DUNE_HC_LEAVE:
		return hc_leave(vcpu);
	case DUNE_HC_SLOT:
		return hc_slot(vcpu);
	case DUNE_HC_EXIT:
		return hc_exit(vcpu);
	case DUNE_HC_KICK:
		regs->rax = vcpu_kick(vcpu, READ_ONCE(regs->rdi));
		return VCPU_CONTINUE;
	default:
		regs->rax = -ENOSYS;
		return VCPU_CONTINUE;
	}
}
