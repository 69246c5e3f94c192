/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Registers with known values around a piece of code, and the pieces: what faults,
 * what spins while signals come. See abi.h.
 */
	.macro	symbol name
	.globl	\name
\name:
	.endm

	.bss
	.balign	16
symbol regs_in
	.skip	17 * 8
symbol regs_out
	.skip	17 * 8
symbol regs_code
	.skip	8
own_rsp:
	.skip	8

	/* For pushfq that is not on the stack under test; a signal may come there. */
	.skip	65536
flags_stack:
	.skip	64

	.text
	.globl	regs_run
	.type	regs_run, @function
regs_run:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, own_rsp(%rip)
	cmpq	$0, regs_in + 4 * 8(%rip)
	jne	1f
	mov	%rsp, regs_in + 4 * 8(%rip)
1:	pushq	regs_in + 16 * 8(%rip)
	popfq
	mov	regs_in + 0 * 8(%rip), %rax
	mov	regs_in + 1 * 8(%rip), %rcx
	mov	regs_in + 2 * 8(%rip), %rdx
	mov	regs_in + 3 * 8(%rip), %rbx
	mov	regs_in + 5 * 8(%rip), %rbp
	mov	regs_in + 6 * 8(%rip), %rsi
	mov	regs_in + 7 * 8(%rip), %rdi
	mov	regs_in + 8 * 8(%rip), %r8
	mov	regs_in + 9 * 8(%rip), %r9
	mov	regs_in + 10 * 8(%rip), %r10
	mov	regs_in + 11 * 8(%rip), %r11
	mov	regs_in + 12 * 8(%rip), %r12
	mov	regs_in + 13 * 8(%rip), %r13
	mov	regs_in + 14 * 8(%rip), %r14
	mov	regs_in + 15 * 8(%rip), %r15
	mov	regs_in + 4 * 8(%rip), %rsp
	jmp	*regs_code(%rip)

symbol regs_done
	mov	%rsp, regs_out + 4 * 8(%rip)
	lea	flags_stack(%rip), %rsp
	pushfq
	popq	regs_out + 16 * 8(%rip)
	mov	%rax, regs_out + 0 * 8(%rip)
	mov	%rcx, regs_out + 1 * 8(%rip)
	mov	%rdx, regs_out + 2 * 8(%rip)
	mov	%rbx, regs_out + 3 * 8(%rip)
	mov	%rbp, regs_out + 5 * 8(%rip)
	mov	%rsi, regs_out + 6 * 8(%rip)
	mov	%rdi, regs_out + 7 * 8(%rip)
	mov	%r8, regs_out + 8 * 8(%rip)
	mov	%r9, regs_out + 9 * 8(%rip)
	mov	%r10, regs_out + 10 * 8(%rip)
	mov	%r11, regs_out + 11 * 8(%rip)
	mov	%r12, regs_out + 12 * 8(%rip)
	mov	%r13, regs_out + 13 * 8(%rip)
	mov	%r14, regs_out + 14 * 8(%rip)
	mov	%r15, regs_out + 15 * 8(%rip)
	mov	own_rsp(%rip), %rsp
	pushq	$0x202
	popfq
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret
	.size	regs_run, . - regs_run

/* --- what faults: NAME is where rip is, NAME_next the instruction behind --- */

	.macro	fault name, insn:vararg
symbol \name
	\insn
symbol \name\()_next
	jmp	regs_done
	.endm

fault fault_read, mov (%rbx), %rax
fault fault_write, mov %rax, (%rbx)
fault fault_atomic, lock incl (%rbx)
fault fault_string, rep movsb
fault fault_jump, jmp *%rbx
fault fault_ud2, ud2
fault fault_int3, int3
fault fault_divide, div %rbx
fault fault_hlt, hlt
fault fault_cli, cli
fault fault_rdmsr, rdmsr
fault fault_int81, int $0x81
fault fault_sse, divps %xmm1, %xmm0
fault fault_x87, fwait
fault fault_movaps, movaps 1(%rbx), %xmm0
fault fault_push, push %rax
fault fault_aligned, mov 1(%rbx), %eax

	/* Sets TF for the one instruction behind POPF. */
symbol fault_step
	pushq	$0x302
	popfq
	nop
symbol fault_step_next
	nop
	jmp	regs_done

/* --- what spins --- */

	/* Straight on: every register and flag has a value that stays. */
symbol spin_straight
	.fill	32768, 1, 0x90
	jmp	regs_done

	/* rcx counts; no flag changes. */
symbol spin_loop
	nop
	loop	spin_loop
	jmp	regs_done

	/* Up to when a handler has made r15 what r14 is. */
symbol spin_until
	nop
	cmp	%r14, %r15
	jne	spin_until
	jmp	regs_done

	/* getppid() for ever so often: rbx counts. r12 collects the results' differences. */
symbol spin_calls
	mov	$110, %eax
	syscall
	xor	%r13, %rax
	or	%rax, %r12
	dec	%rbx
	jnz	spin_calls
	jmp	regs_done

	/* Vector registers from vectors_in, to vectors_out. */
symbol spin_ymm
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	vmovdqu	vectors_in + \n * 64(%rip), %ymm\n
	.endr
1:	nop
	loop	1b
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	vmovdqu	%ymm\n, vectors_out + \n * 64(%rip)
	.endr
	vzeroupper
	jmp	regs_done

symbol spin_zmm
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	vmovdqu64 vectors_in + \n * 64(%rip), %zmm\n
	.endr
	.irp	n, 0,1,2,3,4,5,6,7
	kmovw	vectors_in + 32 * 64 + \n * 2(%rip), %k\n
	.endr
1:	nop
	loop	1b
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	vmovdqu64 %zmm\n, vectors_out + \n * 64(%rip)
	.endr
	.irp	n, 0,1,2,3,4,5,6,7
	kmovw	%k\n, vectors_out + 32 * 64 + \n * 2(%rip)
	.endr
	vzeroupper
	jmp	regs_done

	.bss
	.balign	64
symbol vectors_in
	.skip	33 * 64
symbol vectors_out
	.skip	33 * 64

	.section .note.GNU-stack, "", @progbits
