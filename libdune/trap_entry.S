/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The 256 vectors of the guest's IDT, and the way to the program's handler and
 * back. What is rare is in trap.c.
 *
 * This is code of the guest at CPL 0, on the IST stack of the vector, below
 * which the area of the thread is found: no other register is to be trusted. The
 * red zone below the interrupted rsp holds live data: nothing here writes there.
 * The gates turn interrupts off, and nothing here can fault before the IST is
 * moved: until then a trap of the same IST would overwrite this one's frame.
 */
#include "asm.h"

	.text

/*
 * One stub per vector, TRAP_STUB_SIZE bytes each: complete the frame with an
 * error code where the CPU gives none, then the vector. #PF has its gate lead to
 * dune_trap_pf.
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
	.if	vector == VECTOR_DB
	jmp	trap_db
	.elseif	vector == VECTOR_TOLD
	jmp	trap_told
	.else
	jmp	trap_any
	.endif
	vector = vector + 1
	.endr
	.cfi_endproc
	.balign	TRAP_STUB_SIZE, 0xcc
	.size	dune_trap_vectors, . - dune_trap_vectors

/*
 * The interrupted code's registers, in the order of struct dune_trap. The top of
 * an IST stack is 16-byte aligned: 7 words of the CPU and the stub, 15 registers
 * and 2 words more leave rsp aligned for a call. To: rdi = the frame, rbx = the
 * thread.
 */
	.macro	save_frame
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
	mov	%cr2, %rax
	push	$0		/* xsave */
	push	%rax
	/* The interrupted code is the caller; CFA = its rsp. */
	.cfi_escape 0x0f, 4, 0x77, (TRAP_RSP & 0x7f) | 0x80, TRAP_RSP >> 7, 0x06
	frame_reg 15, TRAP_R15
	frame_reg 14, TRAP_R15 + 8
	frame_reg 13, TRAP_R15 + 16
	frame_reg 12, TRAP_R15 + 24
	frame_reg 11, TRAP_R15 + 32
	frame_reg 10, TRAP_R15 + 40
	frame_reg 9, TRAP_R15 + 48
	frame_reg 8, TRAP_R15 + 56
	frame_reg 5, TRAP_R15 + 64
	frame_reg 4, TRAP_R15 + 72
	frame_reg 6, TRAP_R15 + 80
	frame_reg 3, TRAP_R15 + 88
	frame_reg 1, TRAP_R15 + 96
	frame_reg 2, TRAP_R15 + 104
	frame_reg 0, TRAP_RAX
	frame_reg 16, TRAP_RIP
	cld
	mov	%rsp, %rdi
	mov	%rsp, %rbx
	shr	$THREAD_SHIFT, %rbx
	and	$THREAD_MASK, %ebx
	add	dune_heads(%rip), %rbx
	/*
	 * INT n of a vector that has an error code does not push one. Then this looks
	 * at RFLAGS, of which bit 1 is always set.
	 */
	testb	$3, TRAP_CS(%rsp)
	jnz	.Lring3
	.endm

/*
 * The handler of the entry at r12, if there is one, with interrupts on if the
 * flags of the interrupted code have a bit of keep_if. ist: where the CPU looks
 * for the top of the IST stack; rbp: that of the next trap.
 */
	.macro	run_handler who, ist, keep_if
	/* [TRAP-1], see trap_grace_begin(). */
	lock incl THREAD_TRAP_DEPTH(%rbx)
.Lread\@:
	mov	ENTRY_VERSION(%r12), %rax
	movzbl	%al, %ecx
	mov	ENTRY_FN(%r12,%rcx,8), %rdx
	mov	ENTRY_ARG(%r12,%rcx,8), %rsi
	cmp	ENTRY_VERSION(%r12), %rax
	jne	.Lread\@
	test	$VERSION_FAST, %eax
	jz	.Lnot_fast_\who
.Lcall_\who:
	mov	%rsp, %rbp
	and	$-TRAP_LEVEL_SIZE, %rbp
	test	$THREAD_STACK_SIZE - 1, %ebp
	jz	.Ltoo_deep
	mov	%rbp, \ist
	testl	\keep_if, TRAP_RFLAGS(%rsp)
	jz	.Lirqs\@
	sti
.Lirqs\@:
	call	*%rdx
	.endm

	.macro	not_fast who
.Lnot_fast_\who:
	mov	%rdx, %rcx
	lea	trap_full(%rip), %rdx
	test	%rcx, %rcx
	jnz	.Lcall_\who
	jmp	.Lno_handler
	.endm

	/*
	 * After the handler, to go on with interrupts off; with DUNE_TRAP_RESUME, and
	 * in plain mode, at resume. That is a child of fork() in the handler, or Dune
	 * could not map something: the fault itself, done again, brings the signal.
	 * Never a fault at the IRET: its frame is where the next trap may begin.
	 */
	.macro	finish	verdict, resume
	mov	%cs, TRAP_CS(%rsp)
	mov	%ss, TRAP_SS(%rsp)
	testb	$3, TRAP_CS(%rsp)
	jnz	\resume
	cli
	test	%eax, %eax
	jnz	\verdict
	.endm

	/* trap_grace_end() is the second half. */
	.macro	end_handler ist
	add	$TRAP_LEVEL_SIZE, %rbp
	mov	%rbp, \ist
	decl	THREAD_TRAP_DEPTH(%rbx)
	jnz	.Lnested\@
	mov	dune_trap_epoch(%rip), %ecx
	mov	%ecx, THREAD_TRAP_EPOCH(%rbx)
.Lnested\@:
	.endm

	.macro	return
	.cfi_remember_state
	.cfi_undefined rip
	add	$TRAP_R15, %rsp
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
	.cfi_restore_state
	.endm

	.macro	resume ist
	end_handler \ist
	andq	$~FLAGS_OURS, TRAP_RFLAGS(%rsp)
	mov	TRAP_RIP(%rsp), %rcx
	shr	$USER_BITS, %rcx
	jnz	.Lhigh_rip
	.endm

	.type	trap_any, @function
	.balign	16
trap_any:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_undefined rip
	save_frame
.Lany:
	mov	TRAP_VECTOR(%rsp), %eax
	shl	$ENTRY_SHIFT, %eax
	lea	dune_traps(%rip), %r12
	add	%rax, %r12
	movzwl	ENTRY_IST(%r12), %r13d
	add	%rbx, %r13
	movzwl	ENTRY_IF(%r12), %r14d
	run_handler any, (%r13), %r14d
	finish	.Lverdict, .Lresume
.Lresume:
	resume	(%r13)
.Lreturn:
	return

	/* It is not DUNE_TRAP_RESUME, and means DUNE_TRAP_DELIVER. */
.Lverdict:
	end_handler (%r13)
	jmp	.Lunhandled
	/* Canonical all the same? */
.Lhigh_rip:
	mov	TRAP_RIP(%rsp), %rcx
	sar	$USER_BITS, %rcx
	inc	%rcx
	jz	.Lreturn
	mov	%rsp, %rdi
	call	dune_trap_bad_rip
	ud2
	not_fast any
.Lno_handler:
	decl	THREAD_TRAP_DEPTH(%rbx)
	/* It never ran: nothing to tell who waits. */
.Lunhandled:
	mov	%rsp, %rdi
	call	dune_trap_unhandled
	jmp	.Lreturn
.Lring3:
	test	$8, %spl
	jnz	.Lint_n
	call	dune_trap_ring3
	jmp	.Lreturn
	/* What was pushed, up to the vector, leaves room for an error code. */
.Lint_n:
	lea	-8(%rsp), %rdi
	mov	%rsp, %rsi
	mov	%rdi, %rsp
	mov	$TRAP_ERROR / 8, %ecx
	rep movsq
	movl	$TRAP_INT_N, (%rdi)
	movl	$0, 4(%rdi)
	mov	%rsp, %rdi
	jmp	.Lany
.Ltoo_deep:
	call	dune_trap_too_deep
	ud2
	.cfi_endproc
	.size	trap_any, . - trap_any

/* A full handler, at rcx. */
	.type	trap_full, @function
trap_full:
	.cfi_startproc
	mov	%rcx, %rdx
	jmp	dune_trap_call_full
	.cfi_endproc
	.size	trap_full, . - trap_full

/* #PF: the same, and short. */
	.globl	dune_trap_pf
	.hidden	dune_trap_pf
	.type	dune_trap_pf, @function
	.balign	16
dune_trap_pf:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_undefined rip
	push	$VECTOR_PF
	save_frame
	testl	$PF_NO_FILL, TRAP_ERROR(%rsp)
	jnz	.Lno_fill
	shr	$USER_BITS, %rax
	jz	.Lfill
.Lno_fill:
	cmpl	$0, dune_vm_cow_used(%rip)
	jne	.Lcow
.Lnot_cow:
	lea	dune_traps + (VECTOR_PF << ENTRY_SHIFT)(%rip), %r12
	run_handler pf, THREAD_IST_PF(%rbx), $FLAG_IF
.Lhandled_pf:
	finish	.Lverdict_pf, .Lresume_pf
.Lresume_pf:
	resume	THREAD_IST_PF(%rbx)
	return

.Lverdict_pf:
	lea	-TRAP_ALLOW(%rax), %edx
	cmp	$TRAP_ALLOW, %edx
	jae	.Ldeliver_pf
	mov	TRAP_FAULT_ADDR(%rsp), %rsi
	mov	%rbx, %rdi
	call	dune_vm_allow
	test	%eax, %eax
	jz	.Lresume_pf
	/* It may have faulted and left Dune mode, as the handler may. */
	dec	%eax
	jmp	.Lhandled_pf
.Ldeliver_pf:
	end_handler THREAD_IST_PF(%rbx)
	jmp	.Lunhandled
	not_fast pf
.Lfill:
	call	dune_trap_fill
	mov	%rsp, %rdi
	test	%al, %al
	jz	.Lno_fill
	jmp	.Lreturn
.Lcow:
	call	dune_trap_cow
	mov	%rsp, %rdi
	test	%al, %al
	jz	.Lnot_cow
	jmp	.Lreturn
	.cfi_endproc
	.size	dune_trap_pf, . - dune_trap_pf

/*
 * A CPU may take a single step's #DB behind the SYSCALL that ring 3 made with TF
 * set: before dune_syscall_entry(), with ring 3's stack and bases. That is nobody's.
 */
	.type	trap_db, @function
	.balign	16
trap_db:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_undefined rip
	save_frame
	cmpl	$0, THREAD_IN_RING3(%rbx)
	je	.Lany
	andq	$~FLAG_TF, TRAP_RFLAGS(%rsp)
	jmp	.Lreturn
	.cfi_endproc
	.size	trap_db, . - trap_db

/* INT of dune_syscall_entry(). */
	.type	trap_told, @function
	.balign	16
trap_told:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_undefined rip
	save_frame
	call	dune_user_syscall
	jmp	.Lreturn
	.cfi_endproc
	.size	trap_told, . - trap_told

	.section .note.GNU-stack, "", @progbits
