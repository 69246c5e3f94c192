// SPDX-License-Identifier: GPL-2.0-only
/* See reenter.h. */
#include <linux/ptrace.h>
#include <linux/sched/task_stack.h>
#include <asm/processor.h>

#include "reenter.h"
#include "run_guest.h"
#include "user_return.h"

#define SYSCALL_LEN	2	/* bytes */
#define CALLS_THAT_PAY	3

static bool is_wanted(u32 run_flags)
{
	return (run_flags & (DUNE_RUN_REENTER | DUNE_RUN_RECORD)) ==
	       DUNE_RUN_REENTER;
}

static bool pays(const struct dune_vcpu *vcpu)
{
	return vcpu->calls_in_a_row >= CALLS_THAT_PAY;
}

void vcpu_arm_reentry(struct dune_vcpu *vcpu)
{
	if (pays(vcpu) && is_wanted(READ_ONCE(vcpu->page->run_flags)))
		user_return_arm();
}

/* Is the call over, and is there nothing for DUNE_RUN to take over first? */
static bool may_run(struct dune_vcpu *vcpu, const struct pt_regs *user)
{
	struct dune_vcpu_page *page = vcpu->page;
	u32 run_flags = READ_ONCE(page->run_flags);

	return user->ip == READ_ONCE(page->syscall_ip) &&
	       user->cs == __USER_CS &&
	       pays(vcpu) &&
	       !user->r13 &&	/* a fork frame: its code has more to do */
	       is_wanted(run_flags) && !(run_flags & ~DUNE_RUN_FLAGS) &&
	       !READ_ONCE(page->sync) &&
	       READ_ONCE(page->quantum_us) == vcpu->quantum_us &&
	       current->mm == vcpu->vm->mm &&
	       vmx_vmcs_is_ready(&vcpu->vmx) &&
	       !READ_ONCE(vmx_shut_down) &&
	       !vcpu_work_pending(VCPU_RUN_WORK) &&
	       !vcpu_foreign_segments();
}

/* The thread's registers are those of the call already. */
static void return_to_call(struct dune_vcpu *vcpu, struct pt_regs *user)
{
	user->ax = user->bx;
	user->ip -= SYSCALL_LEN;
	user->cx = user->ip;	/* Linux may use SYSRET then */
	vcpu->phase = VCPU_SYSCALL;
}

static void run(struct dune_vcpu *vcpu, struct pt_regs *user)
{
	struct vmx_exit exit;

	vcpu_count(vcpu, DUNE_VCPU_reentries);
	vcpu->page->regs.rax = user->ax;
	vcpu->phase = VCPU_READY;
	vmx_host_switched(&vcpu->vmx);
	vcpu_sync_fs_base_in(vcpu);
	vcpu_run_guest(vcpu, &exit);
	guest_time_end();
	if (exit.kind == VMX_EXIT_HYPERCALL && vcpu_reissue_here(vcpu)) {
		return_to_call(vcpu, user);
	} else {
		vcpu->deferred_exit = exit;
		vcpu->deferred = true;
		if (exit.kind != VMX_EXIT_INTERRUPT)
			vcpu->calls_in_a_row = 0;
		vcpu_sync_regs_out(vcpu);
	}
	vcpu_sync_fs_base_out(vcpu);
	vcpu_restore_host(vcpu);
}

enum vcpu_reentry vcpu_reenter(struct dune_vcpu *vcpu)
{
	struct pt_regs *user = current_pt_regs();

	if (task_pid(current) != vcpu->owner || vcpu->phase != VCPU_SYSCALL)
		return VCPU_REENTRY_OVER;
	if (!may_run(vcpu, user))
		return VCPU_REENTRY_WAITS;
	run(vcpu, user);
	return vcpu->phase == VCPU_SYSCALL ? VCPU_REENTRY_WAITS :
					     VCPU_REENTRY_OVER;
}
