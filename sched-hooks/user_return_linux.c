// SPDX-License-Identifier: GPL-2.0-only
/* See user_return.h. */
#include <linux/irqflags.h>
#include <linux/percpu.h>
#include <linux/user-return-notifier.h>

#include "power.h"
#include "reenter.h"
#include "user_return.h"

/* Of its CPU; irqs off. */
struct user_return {
	struct user_return_notifier notifier;
	bool armed;
};
static DEFINE_PER_CPU(struct user_return, user_return);

void user_return_disarm_here(void)
{
	struct user_return *u = this_cpu_ptr(&user_return);

	if (!u->armed)
		return;
	u->armed = false;
	user_return_notifier_unregister(&u->notifier);
}

/*
 * Which vCPU: the one whose VMCS is current. It cannot go away meanwhile: who
 * frees it waits for this CPU to clear it, by an interrupt, and they are off.
 */
static void on_user_return(struct user_return_notifier *notifier)
{
	struct vmx_vcpu *v = this_cpu_read(vmx_cpu.current_vmcs);

	if (!v || vcpu_reenter(container_of(v, struct dune_vcpu, vmx)) ==
		  VCPU_REENTRY_OVER)
		user_return_disarm_here();
}

void user_return_arm(void)
{
	struct user_return *u;
	unsigned long flags;

	if (this_cpu_read(user_return.armed))
		return;
	local_irq_save(flags);
	u = this_cpu_ptr(&user_return);
	/* Not armed after VMX went off: nobody would disarm. */
	if (!u->armed && power_on_here()) {
		u->notifier.on_user_return = on_user_return;
		u->armed = true;
		user_return_notifier_register(&u->notifier);
	}
	local_irq_restore(flags);
}
