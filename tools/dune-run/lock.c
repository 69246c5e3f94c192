// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See lock.h. Not libc's: a forked child has it free again by a store. */
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lock.h"
#include "run.h"

static uint32_t word;		/* 0 free, 1 held, 2 held and waited for */

void run_lock(void)
{
	uint32_t free = 0;

	if (__atomic_compare_exchange_n(&word, &free, 1, false, __ATOMIC_ACQUIRE,
					__ATOMIC_RELAXED))
		return;
	while (__atomic_exchange_n(&word, 2, __ATOMIC_ACQUIRE))
		raw_syscall4(SYS_futex, (long)&word, FUTEX_WAIT_PRIVATE, 2, 0);
}

void run_unlock(void)
{
	if (__atomic_exchange_n(&word, 0, __ATOMIC_RELEASE) == 2)
		raw_syscall3(SYS_futex, (long)&word, FUTEX_WAKE_PRIVATE, 1);
}

void run_lock_forget(void)
{
	word = 0;
}
