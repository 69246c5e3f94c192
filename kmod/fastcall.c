// SPDX-License-Identifier: GPL-2.0-only
/* See fastcall.h. */
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/ptrace.h>
#include <linux/sched/task_stack.h>
#include <linux/static_call.h>
#include <uapi/asm/unistd_64.h>

#include "fastcall.h"
#include "trace.h"

static bool fast_syscalls = true;
module_param(fast_syscalls, bool, 0644);
MODULE_PARM_DESC(fast_syscalls,
		 "make some system calls of guests inside the kernel (default: Y)");

enum call_class {
	CALL_REISSUE,	/* 0: what the list does not name */
	CALL_PURE,	/* neither sleeps nor touches user memory */
	CALL_FAST,
	CALL_FAST_SP,	/* looks at the caller's stack pointer */
	CALL_FAST_ZAP,	/* removes pages, and ride.c knows when Linux flushes for that */
};

static const u8 call_class[] = {
#define F_PURE(name)	[__NR_##name] = CALL_PURE,
#define F(name)		[__NR_##name] = CALL_FAST,
#define F_SP(name)	[__NR_##name] = CALL_FAST_SP,
#define F_ZAP(name)	[__NR_##name] = CALL_FAST_ZAP,
#include "fastcall_list.h"
#undef F_PURE
#undef F
#undef F_SP
#undef F_ZAP
};

static long no_dispatcher(const struct pt_regs *regs, unsigned int nr)
{
	return -ENOSYS;
}

/* Called directly: no function pointer, so no retpoline and no ENDBR. */
DEFINE_STATIC_CALL(dispatch, no_dispatcher);
static bool have_dispatcher __ro_after_init;

int __init fastcall_setup(void)
{
	/* Never armed: only its address is wanted, which is not exported. */
	struct kprobe probe = {
		.symbol_name = "x64_sys_call",
		.flags = KPROBE_FLAG_DISABLED,
	};

	if (register_kprobe(&probe) < 0) {
		pr_info("dune: no x64_sys_call in this kernel: every system call is re-issued\n");
		return 0;
	}
	static_call_update(dispatch, (typeof(&no_dispatcher))probe.addr);
	unregister_kprobe(&probe);
	have_dispatcher = true;
	return 0;
}

static enum call_class class_of(u32 nr)
{
	if (nr >= ARRAY_SIZE(call_class))
		return CALL_REISSUE;
	return call_class[array_index_nospec(nr, ARRAY_SIZE(call_class))];
}

/* Would anybody notice that the call was not made from user mode? */
static bool may_be_made_here(const struct dune_vcpu *vcpu)
{
	return READ_ONCE(fast_syscalls) && have_dispatcher &&
	       !(READ_ONCE(vcpu->page->run_flags) &
		 (DUNE_RUN_RECORD | DUNE_RUN_REISSUE)) &&
	       !READ_ONCE(current_thread_info()->syscall_work);
}

/*
 * Calls find their arguments in a pt_regs and look at nothing else of it. Read
 * once: the guest's other threads can change the page.
 */
static __always_inline void fill_regs(const struct dune_vcpu *vcpu, u32 nr,
				      struct pt_regs *regs)
{
	const struct dune_regs *r = &vcpu->page->regs;

	regs->orig_ax = nr;
	regs->di = READ_ONCE(r->rdi);
	regs->si = READ_ONCE(r->rsi);
	regs->dx = READ_ONCE(r->rdx);
	regs->r10 = READ_ONCE(r->r10);
	regs->r8 = READ_ONCE(r->r8);
	regs->r9 = READ_ONCE(r->r9);
}

static __always_inline long make(struct dune_vcpu *vcpu, u32 nr,
				 const struct pt_regs *regs)
{
	long result;

	vcpu_count(vcpu, DUNE_VCPU_syscalls);
	vcpu_count(vcpu, DUNE_VCPU_fast_syscalls);
	result = static_call(dispatch)(regs, nr);
	trace_dune_syscall_fast(nr, result);
	return result;
}

long fastcall_make(struct dune_vcpu *vcpu, u32 nr)
{
	struct pt_regs regs;

	fill_regs(vcpu, nr, &regs);
	return make(vcpu, nr, &regs);
}

/* Apart: what the others need not be slower for. */
static noinline long make_zap(struct dune_vcpu *vcpu, u32 nr)
{
	struct pt_regs regs;
	long result;

	fill_regs(vcpu, nr, &regs);
	vcpu->zapping = &regs;
	result = make(vcpu, nr, &regs);
	vcpu->zapping = NULL;
	return result;
}

static long make_of_class(struct dune_vcpu *vcpu, u32 nr)
{
	switch (class_of(nr)) {
	case CALL_FAST_ZAP:
		return make_zap(vcpu, nr);
	case CALL_FAST_SP:
		current_pt_regs()->sp = vmx_guest_sp(&vcpu->vmx);
		fallthrough;
	default:
		return fastcall_make(vcpu, nr);
	}
}

bool fastcall_is_pure(const struct dune_vcpu *vcpu, u32 nr)
{
	return class_of(nr) == CALL_PURE && may_be_made_here(vcpu);
}

static bool wants_restart(long result)
{
	return result == -ERESTARTSYS || result == -ERESTARTNOINTR ||
	       result == -ERESTARTNOHAND || result == -ERESTART_RESTARTBLOCK;
}

/*
 * epoll_pwait() and others end with EINTR and leave their signal mask for the
 * handler: that, too, is between the call and the signal.
 */
static bool is_for_signal(long result)
{
	return wants_restart(result) ||
	       (result == -EINTR && test_restore_sigmask());
}

/*
 * A signal interrupted the call. Linux' own way back to user mode restarts it
 * or makes it EINTR, as the handler's SA_RESTART says: for that the thread has
 * to look as if it had made the call itself, at syscall_ip. A restart is made
 * from there, natively.
 */
static int finish_by_signal(struct dune_vcpu *vcpu, u32 nr, long result)
{
	struct pt_regs *user = current_pt_regs();

	vcpu_user_regs_of_call(vcpu, nr);
	user->r13 = 0;		/* no fork frame */
	user->orig_ax = nr;
	user->ip = READ_ONCE(vcpu->page->syscall_ip);
	vcpu->phase = VCPU_SYSCALL;
	return result;
}

bool fastcall_is_possible(const struct dune_vcpu *vcpu, u32 nr)
{
	return class_of(nr) != CALL_REISSUE && may_be_made_here(vcpu) &&
	       READ_ONCE(vcpu->page->syscall_ip);
}

int vcpu_fastcall(struct dune_vcpu *vcpu, u32 nr)
{
	long result;

	if (!fastcall_is_possible(vcpu, nr) || vcpu_work_pending(VCPU_HOST_WORK))
		return FASTCALL_NO;
	result = make_of_class(vcpu, nr);
	if (unlikely(is_for_signal(result)))
		return finish_by_signal(vcpu, nr, result);
	vcpu->page->regs.rax = result;
	return VCPU_CONTINUE;
}
