/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The only place that knows of differences between kernels. HAVE_* come from
 * probes of the target's headers in Kbuild, never from version numbers.
 */
#ifndef KMOD_COMPAT_H
#define KMOD_COMPAT_H

#include <linux/context_tracking.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/vtime.h>

#ifndef HAVE_VM_FLAGS_SET
static inline void vm_flags_set(struct vm_area_struct *vma, unsigned long flags)
{
	vma->vm_flags |= flags;
}

static inline void vm_flags_clear(struct vm_area_struct *vma,
				  unsigned long flags)
{
	vma->vm_flags &= ~flags;
}
#endif

/*
 * Time in the guest counts as the thread's user time, and RCU may take it as
 * a quiescent state. irqs off; as KVM does around its guests.
 */
static __always_inline void guest_time_begin(void)
{
	vtime_account_guest_enter();
}

static __always_inline void guest_time_end(void)
{
	vtime_account_guest_exit();
}

static __always_inline void guest_context_begin(void)
{
	if (!context_tracking_guest_enter())
		rcu_note_context_switch(false);
}

static __always_inline void guest_context_end(void)
{
	context_tracking_guest_exit();
}

#endif /* KMOD_COMPAT_H */
