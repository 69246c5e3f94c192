/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Where the guest lands: SYSCALL, and the 256 vectors of the IDT.
 *
 * This is code of the guest at CPL 0. The red zone below the interrupted rsp
 * holds live data: nothing here may write there.
 */
#include "asm.h"

	.text

/*
 * SYSCALL in the guest jumps to the host's LSTAR address, where a page of the
 * guest maps a jump to here. In: rax = number, arguments in rdi, rsi, rdx,
 * r10, r8, r9, rcx = return address, r11 = the caller's flags. The stack is
 * the caller's and stays untouched.
 *
 * The call is packed (uapi/dune.h), so that the guest goes on behind the
 * SYSCALL right away. Not when flags are to be given back that the module does
 * not set.
 */
	.globl	dune_syscall_entry
	.hidden	dune_syscall_entry
	.type	dune_syscall_entry, @function
	.balign	16
dune_syscall_entry:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_def_cfa rsp, 0
	.cfi_register rip, rcx
	testl	$FLAGS_UNUSUAL, %r11d
	jnz	1f
	testl	$FLAG_IF, %r11d
	jz	1f
	/* SFMASK cleared IF. The MOV ends the shadow of STI before the exit. */
	sti
	/* As Linux, look at the number's lower half only. */
	mov	%eax, %eax
	shl	$32, %r11
	or	%r11, %rax
	mov	%rsp, %r11
	INSN_VMCALL

	/*
	 * A child of clone or fork goes on behind the VMCALL in plain Linux
	 * mode, so no privileged instruction may follow it.
	 */
1:	sti
	mov	%eax, %eax
	INSN_VMCALL
	/* As SYSRET would: give back all flags. Below the red zone. */
	lea	-REDZONE(%rsp), %rsp
	.cfi_def_cfa_offset REDZONE
	push	%r11
	.cfi_def_cfa_offset REDZONE + 8
	popfq
	.cfi_def_cfa_offset REDZONE
	lea	REDZONE(%rsp), %rsp
	.cfi_def_cfa_offset 0
	jmp	*%rcx
	.cfi_endproc
	.size	dune_syscall_entry, . - dune_syscall_entry

/*
 * One stub per vector, TRAP_STUB_SIZE bytes each: complete the frame with an
 * error code where the CPU gives none, then the vector.
 */
	.globl	dune_trap_vectors
	.hidden	dune_trap_vectors
	.type	dune_trap_vectors, @function
	.balign	16
dune_trap_vectors:
	.cfi_startproc
	.cfi_undefined rip
	vector = 0
	.rept	256
	.balign	TRAP_STUB_SIZE, 0xcc
	.if	vector != 8 && (vector < 10 || vector > 14) && vector != 17 && vector != 21 && vector != 29 && vector != 30
	push	$0
	.endif
	push	$vector
	jmp	dune_trap_common
	vector = vector + 1
	.endr
	.cfi_endproc
	.balign	TRAP_STUB_SIZE, 0xcc
	.size	dune_trap_vectors, . - dune_trap_vectors

/*
 * On an IST stack, whose top is 16-byte aligned: 7 words of the CPU and the
 * stub and 15 registers leave rsp aligned for the call. The order is that of
 * struct trap_frame in trap.c.
 */
	.type	dune_trap_common, @function
dune_trap_common:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_undefined rip
	push	%rax
	push	%rcx
	push	%rdx
	push	%rbx
	push	%rbp
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	/* The interrupted code is the caller; CFA = its rsp. */
	.cfi_escape 0x0f, 4, 0x77, 0xa0, 0x01, 0x06	/* *(rsp + 160) */
	frame_reg 15, 0
	frame_reg 14, 8
	frame_reg 13, 16
	frame_reg 12, 24
	frame_reg 11, 32
	frame_reg 10, 40
	frame_reg 9, 48
	frame_reg 8, 56
	frame_reg 5, 64
	frame_reg 4, 72
	frame_reg 6, 80
	frame_reg 3, 88
	frame_reg 1, 96
	frame_reg 2, 104
	frame_reg 0, 112
	frame_reg 16, 136
	cld
	mov	%rsp, %rdi
	call	dune_trap
	.cfi_undefined rip
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rbp
	pop	%rbx
	pop	%rdx
	pop	%rcx
	pop	%rax
	add	$16, %rsp
	iretq
	.cfi_endproc
	.size	dune_trap_common, . - dune_trap_common

	.section .note.GNU-stack, "", @progbits
