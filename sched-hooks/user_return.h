/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Linux' hook for a CPU's returns to user mode (user-return-notifier.h, which
 * KVM has brought). Armed only between a re-issued call and the thread's
 * return, or until another thread returns on that CPU: nobody else pays.
 */
#ifndef SCHED_HOOKS_USER_RETURN_H
#define SCHED_HOOKS_USER_RETURN_H

#include <linux/kconfig.h>
#include <linux/types.h>

#if IS_ENABLED(CONFIG_USER_RETURN_NOTIFIER)

/* vcpu_reenter() at returns on this CPU, until it says that it is over. */
void user_return_arm(void);

/* This CPU's VMX goes off. irqs off. */
void user_return_disarm_here(void);

static inline bool user_return_is_there(void)
{
	return true;
}

#else

static inline void user_return_arm(void)
{
}

static inline void user_return_disarm_here(void)
{
}

static inline bool user_return_is_there(void)
{
	return false;
}

#endif

#endif /* SCHED_HOOKS_USER_RETURN_H */
