// SPDX-License-Identifier: GPL-2.0 OR MIT
/* State of the guest backend. */
#include "plat.h"

const struct plat_guest_ops *plat_guest_ops;
const u64 *plat_guest_slot_hva;

void plat_guest_init(const struct plat_guest_ops *ops)
{
	plat_guest_ops = ops;
	plat_guest_slot_hva = ops->slot_hva;
}

plat_cpumask_t *plat_kick_mask(void)
{
	static _Thread_local plat_cpumask_t mask;

	return &mask;
}
