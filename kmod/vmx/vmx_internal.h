/* SPDX-License-Identifier: GPL-2.0-only */
/* Between the files of kmod/vmx/ only, and what they show as inlines. */
#ifndef KMOD_VMX_INTERNAL_H
#define KMOD_VMX_INTERNAL_H

#include <linux/linkage.h>
#include "vmx.h"

/* entry.S */
asmlinkage unsigned int vmx_enter(struct vmx_vcpu *v);
extern const char vmx_exit_entry[];
/* The same with the mitigations of mitigate.h. */
asmlinkage unsigned int vmx_enter_mitigated(struct vmx_vcpu *v);
extern const char vmx_exit_mitigated[];

/* run.c, for enter.h: the rare and the long. Fill *exit, return its kind. */
enum vmx_exit_kind vmx_insn_failed(struct vmx_exit *exit);
enum vmx_exit_kind vmx_decode(struct vmx_vcpu *v, struct vmx_exit *exit,
			      u32 reason);

#endif /* KMOD_VMX_INTERNAL_H */
