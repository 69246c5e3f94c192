/* SPDX-License-Identifier: GPL-2.0-only */
/* What this CPU's VMX can do and the control words made of it. */
#ifndef KMOD_VMX_CAPS_H
#define KMOD_VMX_CAPS_H

#include <linux/types.h>

struct vmx_caps {
	u32 revision;
	u32 pin, proc, proc2, exit, entry;	/* control words to use */
	u64 cr0_fixed0, cr0_fixed1;
	u64 cr4_fixed0, cr4_fixed1;
	u8 timer_shift;				/* TSC cycles a tick, log 2 */
	bool timer;				/* preemption timer, saved */
	bool ept_ad, ept_2m, ept_1g, vpid;
};

/* Constant after a successful vmx_caps_probe(). */
extern struct vmx_caps vmx_caps;

/* 0 or -ENODEV, having said in one line of the kernel log why. */
int vmx_caps_probe(void);

/* timer.c: from the controls that may be on. */
void vmx_timer_probe(u32 pin_may, u32 exit_may);

#endif /* KMOD_VMX_CAPS_H */
