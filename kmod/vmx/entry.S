/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VM entry and exit, nothing else. Offsets are generated (offsets.c).
 *
 * unsigned int vmx_enter(struct dune_regs *gprs, struct vmx_vcpu *v);
 *
 * irqs off. Returns 0 after a VM exit, 1 when VMLAUNCH/VMRESUME itself failed.
 * gprs is memory the guest's owner can write at any time: values only ever
 * become guest registers, nothing here computes with them.
 */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/nospec-branch.h>
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

	.section .noinstr.text, "ax"

SYM_FUNC_START(vmx_enter)
	push %rbp
	push %r15
	push %r14
	push %r13
	push %r12
	push %rbx
	push %rdi			/* the exit path finds gprs here */

	/*
	 * The stack depth rarely changes between entries. VMCLEAR zeroes what
	 * is compared here, so a VMCS that needs VMLAUNCH comes the long way.
	 */
	cmp %rsp, VMX_host_rsp(%rsi)
	jne .Lhost_rsp
.Lresume:
	LOAD_GPRS
	/* For the unwinder the frame at the exit is the frame here. */
	UNWIND_HINT_SAVE
3:	vmresume
	jmp .Lfailed

.Lhost_rsp:
	mov %rsp, VMX_host_rsp(%rsi)
	mov $FIELD_HOST_RSP, %eax
5:	vmwrite %rsp, %rax
	jna .Lfailed
	cmpl $0, VMX_launched(%rsi)
	jne .Lresume
	/* Taken back where the exit says that the guest was not entered. */
	movl $1, VMX_launched(%rsi)
	LOAD_GPRS
4:	vmlaunch
.Lfailed:
	/* The registers may hold guest values; the stack is where it was. */
	mov $1, %eax
	jmp .Lrestore

SYM_INNER_LABEL(vmx_exit_entry, SYM_L_GLOBAL)
	UNWIND_HINT_RESTORE
	ENDBR
	/* RSP is HOST_RSP: gprs is on top. */
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
	xor %eax, %eax

.Lrestore:
	/* No guest value survives in a register, not even for speculation. */
	xor %ecx, %ecx
	xor %edx, %edx
	xor %esi, %esi
	xor %r8d, %r8d
	xor %r9d, %r9d
	xor %r10d, %r10d
	xor %r11d, %r11d
	pop %rdi
	pop %rbx
	pop %r12
	pop %r13
	pop %r14
	pop %r15
	pop %rbp
	RET
SYM_FUNC_END(vmx_enter)

	/* VMX turned off by a reboot: a failed entry, see insn.h. */
	_ASM_EXTABLE(3b, .Lfailed)
	_ASM_EXTABLE(4b, .Lfailed)
	_ASM_EXTABLE(5b, .Lfailed)
