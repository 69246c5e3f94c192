/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * System calls made inside the kernel, without going back to user mode first.
 *
 * Only for calls that do the same from here (fastcall_list.h says which and
 * why), and only while nothing wants to see the thread's calls: seccomp,
 * ptrace, audit, tracepoints and user dispatch all set a bit of syscall_work,
 * which is looked at before each call. Everything else is re-issued.
 */
#ifndef KMOD_FASTCALL_H
#define KMOD_FASTCALL_H

#include "vcpu.h"
#include "vmx/enter.h"

/*
 * Look for the kernel's dispatcher. Without it, or without kprobes to find it
 * with, all calls are re-issued: not an error. Process context.
 */
int fastcall_setup(void);

/*
 * The call nr of the guest, whose registers are in vcpu->page. Its result goes
 * there too. irqs and preemption on; may sleep, for ever.
 * FASTCALL_NO: nothing was done. Else what the exit handler is to return.
 */
#define FASTCALL_NO	(-3)
int vcpu_fastcall(struct dune_vcpu *vcpu, u32 nr);

/* Would vcpu_fastcall() make it, if no work were pending? */
bool fastcall_is_possible(const struct dune_vcpu *vcpu, u32 nr);

/* For run_inner.c: is this call allowed there, and make it. */
bool fastcall_is_pure(const struct dune_vcpu *vcpu, u32 nr);
long fastcall_make(struct dune_vcpu *vcpu, u32 nr);

/* rax of a hypercall of our own, not of a Linux system call? */
static inline bool dune_hc_is_own(u64 rax)
{
	return rax >> 32 == DUNE_HC(0) >> 32;
}

/* Flags in the upper half, of which bit 1 is always set: see uapi/dune.h. */
static inline bool dune_call_is_packed(u64 rax)
{
	return rax & (u64)X86_EFLAGS_FIXED << 32;
}

/*
 * The guest goes on behind its hypercall, rax as it was there. A packed one
 * says where that is, and the CPU need not be asked.
 */
static __always_inline void dune_call_end(struct dune_vcpu *vcpu, u64 rax)
{
	struct dune_regs *regs = &vcpu->page->regs;

	if (likely(dune_call_is_packed(rax))) {
		regs->r11 = rax >> 32;
		vmx_set_rip(&vcpu->vmx, READ_ONCE(regs->rcx));
	} else {
		vmx_skip_hypercall(&vcpu->vmx);
	}
}

/* hypercall.c: the thread's own registers become those of the guest's call. */
void vcpu_user_regs_of_call(struct dune_vcpu *vcpu, u32 nr);

#endif /* KMOD_FASTCALL_H */
