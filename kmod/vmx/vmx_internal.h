/* SPDX-License-Identifier: GPL-2.0-only */
/* Between the files of kmod/vmx/ only. */
#ifndef KMOD_VMX_INTERNAL_H
#define KMOD_VMX_INTERNAL_H

#include <linux/linkage.h>
#include "vmx.h"

/* entry.S */
asmlinkage unsigned int vmx_enter(struct dune_regs *gprs, struct vmx_vcpu *v,
				  unsigned long launched);
extern const char vmx_exit_entry[];

#endif /* KMOD_VMX_INTERNAL_H */
