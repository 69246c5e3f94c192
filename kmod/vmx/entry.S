/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VM entry and exit, nothing else. Offsets are generated (offsets.c).
 *
 * unsigned int vmx_enter(struct vmx_vcpu *v);
 * unsigned int vmx_enter_mitigated(struct vmx_vcpu *v);
 *
 * The second does against speculative execution what mitigate.c switched on, in
 * KVM's order; the first nothing, and costs nothing for it.
 *
 * irqs off. Returns 0 after a VM exit, 1 when VMLAUNCH/VMRESUME itself failed.
 * v->gprs is memory the guest's owner can write at any time: values only ever
 * become guest registers, nothing here computes with them.
 *
 * HOST_RSP is constant, &v->gprs: the kernel's stack differs in depth from one
 * system call to the next (randomize_kstack_offset), and its place is kept in
 * memory, where a store is cheaper than a VMWRITE. Until the exit path has it
 * back nothing may use the stack; irqs are off, and NMI, #MC and #DB bring
 * stacks of their own.
 */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/percpu.h>
#include <asm/unwind_hints.h>
#include "vmx-offsets.h"

/* rdi: gprs, last. */
.macro LOAD_GPRS
	mov REGS_rax(%rdi), %rax
	mov REGS_rcx(%rdi), %rcx
	mov REGS_rdx(%rdi), %rdx
	mov REGS_rbx(%rdi), %rbx
	mov REGS_rbp(%rdi), %rbp
	mov REGS_rsi(%rdi), %rsi
	mov REGS_r8(%rdi), %r8
	mov REGS_r9(%rdi), %r9
	mov REGS_r10(%rdi), %r10
	mov REGS_r11(%rdi), %r11
	mov REGS_r12(%rdi), %r12
	mov REGS_r13(%rdi), %r13
	mov REGS_r14(%rdi), %r14
	mov REGS_r15(%rdi), %r15
	mov REGS_rdi(%rdi), %rdi
.endm

.macro SAVE_GPRS
	/* RSP is &v->gprs. */
	push %rdi
	mov 8(%rsp), %rdi
	mov %rax, REGS_rax(%rdi)
	mov %rcx, REGS_rcx(%rdi)
	mov %rdx, REGS_rdx(%rdi)
	mov %rbx, REGS_rbx(%rdi)
	mov %rbp, REGS_rbp(%rdi)
	mov %rsi, REGS_rsi(%rdi)
	mov %r8, REGS_r8(%rdi)
	mov %r9, REGS_r9(%rdi)
	mov %r10, REGS_r10(%rdi)
	mov %r11, REGS_r11(%rdi)
	mov %r12, REGS_r12(%rdi)
	mov %r13, REGS_r13(%rdi)
	mov %r14, REGS_r14(%rdi)
	mov %r15, REGS_r15(%rdi)
	popq REGS_rdi(%rdi)
	mov 8(%rsp), %rsp
.endm

/*
 * A static branch: falls through while the key is enabled. As <asm/jump_label.h>
 * does it for C: no condition that could be mispredicted.
 */
.macro SKIP_UNLESS key:req label:req
.Lkey\@:
	jmp \label
	.pushsection __jump_table, "aw"
	.balign 8
	.long .Lkey\@ - .
	.long \label - .
	.quad \key + 1 - .
	.popsection
.endm

/* eax, ecx, edx are lost. */
.macro WRITE_SPEC_CTRL
	xor %edx, %edx
	mov $MSR_IA32_SPEC_CTRL, %ecx
	wrmsr
.endm

/*
 * Before the guest's registers are loaded. When the IBRS of the host is off no
 * RET and no indirect branch may follow until the entry.
 */
.macro BEFORE_ENTRY
	SKIP_UNLESS vmx_mitigate_l1d_key, .Ll1d_done\@
	push %rdi
	call vmx_mitigate_before_entry
	pop %rdi
.Ll1d_done\@:
	/* The guest gets what Linux gives the thread in user mode. */
	SKIP_UNLESS vmx_mitigate_ibrs_key, .Librs_off_done\@
	mov PER_CPU_VAR(x86_spec_ctrl_current), %eax
	and $(~SPEC_CTRL_IBRS), %eax
	WRITE_SPEC_CTRL
.Librs_off_done\@:
.endm

/* The last before the entry: no load may come between. */
.macro CLEAR_BUFFERS
	SKIP_UNLESS vmx_mitigate_verw_key, .Lverw_done\@
	verw x86_verw_sel(%rip)
.Lverw_done\@:
.endm

/* No RET that was not called for here before the end of it. eax, ecx, edx are lost. */
.macro AFTER_EXIT
	SKIP_UNLESS vmx_mitigate_rsb_key, .Lrsb_done\@
	__FILL_RETURN_BUFFER(%rcx, RSB_CLEAR_LOOPS)
.Lrsb_done\@:
	SKIP_UNLESS vmx_mitigate_rsb_lite_key, .Lrsb_lite_done\@
	__FILL_ONE_RETURN
.Lrsb_lite_done\@:
	/* Written though it may be what it was: that is what restricts. */
	SKIP_UNLESS vmx_mitigate_ibrs_key, .Librs_on_done\@
	mov PER_CPU_VAR(x86_spec_ctrl_current), %eax
	WRITE_SPEC_CTRL
	lfence
.Librs_on_done\@:
	SKIP_UNLESS vmx_mitigate_bhb_key, .Lbhb_done\@
	call clear_bhb_loop
.Lbhb_done\@:
.endm

/* All but rsp and ebx, which holds the result. */
.macro ZERO_GPRS
	xor %eax, %eax
	xor %ecx, %ecx
	xor %edx, %edx
	xor %ebp, %ebp
	xor %esi, %esi
	xor %edi, %edi
	xor %r8d, %r8d
	xor %r9d, %r9d
	xor %r10d, %r10d
	xor %r11d, %r11d
	xor %r12d, %r12d
	xor %r13d, %r13d
	xor %r14d, %r14d
	xor %r15d, %r15d
.endm

.macro VMX_ENTER name:req exit:req mitigated:req
SYM_FUNC_START(\name)
	push %rbp
	push %r15
	push %r14
	push %r13
	push %r12
	push %rbx
	mov %rsp, VMX_host_sp(%rdi)
	.if \mitigated
	BEFORE_ENTRY
	.endif

	cmpl $0, VMX_launched(%rdi)
	je .Llaunch\@
	mov VMX_gprs(%rdi), %rdi
	LOAD_GPRS
	.if \mitigated
	CLEAR_BUFFERS
	.endif
	/* For the unwinder the frame at the exit is the frame here. */
	UNWIND_HINT_SAVE
.Lvmresume\@:
	vmresume
	jmp .Lfailed\@

.Llaunch\@:
	/* Taken back where the exit says that the guest was not entered. */
	movl $1, VMX_launched(%rdi)
	mov VMX_gprs(%rdi), %rdi
	LOAD_GPRS
	.if \mitigated
	CLEAR_BUFFERS
	.endif
.Lvmlaunch\@:
	vmlaunch
.Lfailed\@:
	/* The registers may hold guest values; the stack is where it was. */
	.if \mitigated
	mov $1, %ebx
	.else
	mov $1, %eax
	xor %edi, %edi
	.endif
	jmp .Lrestore\@

SYM_INNER_LABEL(\exit, SYM_L_GLOBAL)
	UNWIND_HINT_RESTORE
	ENDBR
	SAVE_GPRS
	UNWIND_HINT_RESTORE
	.if \mitigated
	xor %ebx, %ebx
	.else
	xor %eax, %eax
	.endif

.Lrestore\@:
	/*
	 * No guest value survives in a register, not even for speculation; rdi
	 * has none any more. With mitigations also not in those that are loaded
	 * below: such a load may be late.
	 */
	.if \mitigated
	ZERO_GPRS
	AFTER_EXIT
	mov %ebx, %eax
	.else
	xor %ecx, %ecx
	xor %edx, %edx
	xor %esi, %esi
	xor %r8d, %r8d
	xor %r9d, %r9d
	xor %r10d, %r10d
	xor %r11d, %r11d
	.endif
	pop %rbx
	pop %r12
	pop %r13
	pop %r14
	pop %r15
	pop %rbp
	RET
SYM_FUNC_END(\name)

	/* VMX turned off by a reboot: a failed entry, see insn.h. */
	_ASM_EXTABLE(.Lvmresume\@, .Lfailed\@)
	_ASM_EXTABLE(.Lvmlaunch\@, .Lfailed\@)
.endm

	.section .noinstr.text, "ax"

VMX_ENTER vmx_enter, vmx_exit_entry, 0
VMX_ENTER vmx_enter_mitigated, vmx_exit_mitigated, 1
