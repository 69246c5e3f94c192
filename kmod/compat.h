/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The only place that knows of differences between kernels. HAVE_* come from
 * probes of the target's headers in Kbuild, never from version numbers.
 */
#ifndef KMOD_COMPAT_H
#define KMOD_COMPAT_H

#include <linux/context_tracking.h>
#include <linux/kconfig.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/shrinker.h>
#include <linux/syscore_ops.h>
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
 * The mmu notifier's callback after Linux' own TLB flush: in a subscription
 * together with start and end, or, where that is refused, in one of its own.
 */
#ifdef HAVE_SECONDARY_TLBS
#define NOTIFIER_ALSO(fn)
#define NOTIFIER_APART(fn)	.arch_invalidate_secondary_tlbs = (fn)
#define NOTIFIER_IS_APART	1
#else
#define NOTIFIER_ALSO(fn)	.invalidate_range = (fn),
#define NOTIFIER_APART(fn)
#define NOTIFIER_IS_APART	0
#endif

/* Callbacks of the last CPU before a suspend and the first after it. */
#ifdef HAVE_REGISTER_SYSCORE
#define SYSCORE_PARAM void *unused
#define DEFINE_SYSCORE(name, suspend_fn, resume_fn)			\
	static const struct syscore_ops name##_ops = {			\
		.suspend = suspend_fn,					\
		.resume = resume_fn,					\
	};								\
	static struct syscore name = { .ops = &name##_ops }
#define syscore_add register_syscore
#define syscore_remove unregister_syscore
#else
#define SYSCORE_PARAM void
#define DEFINE_SYSCORE(name, suspend_fn, resume_fn)			\
	static struct syscore_ops name = {				\
		.suspend = suspend_fn,					\
		.resume = resume_fn,					\
	}
#define syscore_add register_syscore_ops
#define syscore_remove unregister_syscore_ops
#endif

/* A shrinker, allocated or static; ADD: 0 or -ENOMEM. */
#ifdef HAVE_SHRINKER_ALLOC
#define SHRINKER_DEFINE(name, count_fn, scan_fn)			\
	static struct shrinker *name;					\
	static int name##_add(const char *text)				\
	{								\
		name = shrinker_alloc(0, "%s", text);			\
		if (!name)						\
			return -ENOMEM;					\
		name->count_objects = count_fn;				\
		name->scan_objects = scan_fn;				\
		shrinker_register(name);				\
		return 0;						\
	}
#define SHRINKER_ADD(name, text)	name##_add(text)
#define SHRINKER_REMOVE(name)		shrinker_free(name)
#else
#define SHRINKER_DEFINE(name, count_fn, scan_fn)			\
	static struct shrinker name = {					\
		.count_objects = count_fn,				\
		.scan_objects = scan_fn,				\
		.seeks = DEFAULT_SEEKS,					\
	};
#define SHRINKER_ADD(name, text)	register_shrinker(&(name), text)
#define SHRINKER_REMOVE(name)		unregister_shrinker(&(name))
#endif

/* Builds that check what would cost too much otherwise. */
#define DUNE_CHECKED	IS_ENABLED(CONFIG_PROVE_LOCKING)

/* Any context; another thread may be giving the mm its first LDT. */
static inline bool mm_has_ldt(const struct mm_struct *mm)
{
#ifdef CONFIG_MODIFY_LDT_SYSCALL
	return READ_ONCE(mm->context.ldt);
#else
	return false;
#endif
}

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

/*
 * For RCU a guest run is a quiescent state. *noted: RCU knows of one since the
 * last exit for an interrupt. That is often enough: the tick is such an exit,
 * and ends each long run.
 */
static __always_inline void guest_context_note(bool *noted)
{
	if (context_tracking_enabled_this_cpu() || *noted)
		return;
	rcu_note_context_switch(false);
	*noted = true;
}

/* At every entry and exit; nothing unless this CPU has its context tracked. */
static __always_inline void guest_context_begin(void)
{
	context_tracking_guest_enter();
}

static __always_inline void guest_context_end(void)
{
	context_tracking_guest_exit();
}

#endif /* KMOD_COMPAT_H */
