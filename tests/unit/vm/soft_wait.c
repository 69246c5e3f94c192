// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Soft vCPUs that wait: in Linux, outside of the guest meanwhile. */
#include "soft.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hw.h"

static void yield(void *unused)
{
	(void)unused;
	sched_yield();
}

void hw_yield(void)
{
	hw_call(yield, NULL);
}

struct wait {
	uint32_t *word, value;
};

static void futex_wait(void *wait)
{
	const struct wait *w = wait;

	syscall(SYS_futex, w->word, FUTEX_WAIT_PRIVATE, w->value, NULL, NULL, 0);
}

void hw_wait(uint32_t *word, uint32_t value)
{
	struct wait w = { word, value };

	hw_call(futex_wait, &w);
}

static void futex_wake(void *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void hw_wake(uint32_t *word)
{
	hw_call(futex_wake, word);
}
