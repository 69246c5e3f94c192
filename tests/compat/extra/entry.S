/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* A program without libc that writes the registers with which it begins. */
	.bss
	.balign	16
regs:
	.skip	168

	.text
	.globl	_start
_start:
	mov	%rax, regs + 0 * 8(%rip)
	mov	%rcx, regs + 1 * 8(%rip)
	mov	%rdx, regs + 2 * 8(%rip)
	mov	%rbx, regs + 3 * 8(%rip)
	mov	%rsp, regs + 4 * 8(%rip)
	mov	%rbp, regs + 5 * 8(%rip)
	mov	%rsi, regs + 6 * 8(%rip)
	mov	%rdi, regs + 7 * 8(%rip)
	mov	%r8, regs + 8 * 8(%rip)
	mov	%r9, regs + 9 * 8(%rip)
	mov	%r10, regs + 10 * 8(%rip)
	mov	%r11, regs + 11 * 8(%rip)
	mov	%r12, regs + 12 * 8(%rip)
	mov	%r13, regs + 13 * 8(%rip)
	mov	%r14, regs + 14 * 8(%rip)
	mov	%r15, regs + 15 * 8(%rip)
	mov	(%rsp), %rbx
	mov	%rbx, regs + 160(%rip)
	pushfq
	popq	regs + 16 * 8(%rip)
	/* arch_prctl(ARCH_GET_FS), arch_prctl(ARCH_GET_GS) */
	mov	$158, %eax
	mov	$0x1003, %edi
	lea	regs + 136(%rip), %rsi
	syscall
	mov	$158, %eax
	mov	$0x1004, %edi
	lea	regs + 144(%rip), %rsi
	syscall
	stmxcsr	regs + 152(%rip)
	fnstcw	regs + 156(%rip)
	fnstsw	regs + 158(%rip)
	mov	$1, %eax
	mov	$1, %edi
	lea	regs(%rip), %rsi
	mov	$168, %edx
	syscall
	sub	$168, %rax
	mov	%eax, %edi
	mov	$60, %eax
	syscall
	hlt

	.section .note.GNU-stack, "", @progbits
