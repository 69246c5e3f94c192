/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* From ring 0 to ring 3, and back to where that was called. */
#include <asm/errno.h>

#include "asm.h"

	.text

/*
 * void dune_user_enter(struct dune_thread *t)
 *
 * Returns when ring 3 was left by dune_user_leave(), or at once in plain mode. A
 * Linux signal in between has this stack, below THREAD_STAY_SP. What runs when
 * the thread is half ring 3's has a stack that cannot fault.
 */
	.globl	dune_user_enter
	.hidden	dune_user_enter
	.type	dune_user_enter, @function
	.balign	16
dune_user_enter:
	.cfi_startproc
	push	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbp, 0
	push	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	push	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r12, 0
	push	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r13, 0
	push	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r14, 0
	push	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r15, 0
	pushfq
	.cfi_adjust_cfa_offset 8
	stmxcsr	THREAD_STAY_MXCSR(%rdi)
	fnstcw	THREAD_STAY_FCW(%rdi)
	mov	%rdi, %rbx
	call	dune_user_load
	mov	%rsp, THREAD_STAY_SP(%rbx)
	/* Never Linux' own user mode: what may fault has been touched. */
	mov	%cs, %eax
	test	$3, %al
	jnz	.Lplain
	/* No interrupts; no NT, with which IRET faults. */
	push	$FLAGS_FIXED
	popfq
	.cfi_undefined rip
	mov	THREAD_HOST_SP(%rbx), %rsp
	sub	$USER_STACK_OFFSET, %rsp
	mov	%rbx, %rdi
	call	dune_user_start
	lea	THREAD_STAY_IRET(%rbx), %rsp
	mov	THREAD_STAY+REGS_RAX(%rbx), %rax
	mov	THREAD_STAY+REGS_RCX(%rbx), %rcx
	mov	THREAD_STAY+REGS_RDX(%rbx), %rdx
	mov	THREAD_STAY+REGS_RBP(%rbx), %rbp
	mov	THREAD_STAY+REGS_RSI(%rbx), %rsi
	mov	THREAD_STAY+REGS_RDI(%rbx), %rdi
	mov	THREAD_STAY+REGS_R8(%rbx), %r8
	mov	THREAD_STAY+REGS_R9(%rbx), %r9
	mov	THREAD_STAY+REGS_R10(%rbx), %r10
	mov	THREAD_STAY+REGS_R11(%rbx), %r11
	mov	THREAD_STAY+REGS_R12(%rbx), %r12
	mov	THREAD_STAY+REGS_R13(%rbx), %r13
	mov	THREAD_STAY+REGS_R14(%rbx), %r14
	mov	THREAD_STAY+REGS_R15(%rbx), %r15
	mov	THREAD_STAY+REGS_RBX(%rbx), %rbx
	iretq
.Lplain:
	movl	$-ECANCELED, THREAD_STAY_REASON(%rbx)
	mov	%rbx, %rdi
	jmp	dune_user_leave
	.cfi_endproc
	.size	dune_user_enter, . - dune_user_enter

/*
 * void dune_user_leave(struct dune_thread *t)
 *
 * dune_user_enter() returns. From an IST stack, with interrupts off, when all but
 * the registers is ring 0's again; in plain mode as well.
 */
	.globl	dune_user_leave
	.hidden	dune_user_leave
	.type	dune_user_leave, @function
	.balign	16
dune_user_leave:
	.cfi_startproc
	.cfi_undefined rip
	mov	THREAD_STAY_SP(%rdi), %rsp
	mov	%rdi, %rbx
	/* The IST stack is free for the next trap, and this may be one. */
	call	dune_user_save
	/* FNINIT first: exceptions that ring 3 left pending are not ours. */
	fninit
	fldcw	THREAD_STAY_FCW(%rbx)
	ldmxcsr	THREAD_STAY_MXCSR(%rbx)
	popfq
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	ret
	.cfi_endproc
	.size	dune_user_leave, . - dune_user_leave

	.section .note.GNU-stack, "", @progbits
