/* SPDX-License-Identifier: GPL-2.0-only */
/* Which invalidations can be left to Linux' own TLB flush. */
#ifndef KMOD_RIDE_H
#define KMOD_RIDE_H

#include <linux/mmu_notifier.h>

/*
 * True when it is certain that Linux, after this start callback and before it
 * frees any page of the range or returns to its caller, interrupts every CPU
 * that runs a thread of the mm. In the start callback only. Any context.
 */
bool ride_is_sure(const struct mmu_notifier_range *range);

#endif /* KMOD_RIDE_H */
