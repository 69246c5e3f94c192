/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The plain Linux side of a thread of a program that dune-run runs: DUNE_RUN,
 * native system calls, and where Linux delivers the program's signals.
 *
 * As libdune's dune_stub, with two differences: some calls are dune-run's
 * (run_filter), and at each of its instructions a signal finds the registers of the
 * guest (signal.c says how). Only from run_busy to run_checked it does not, and
 * waits.
 *
 *	r12	struct dune_thread
 *	r13	0: the next run gives r14 to the guest as the result of its call
 *	r14	the guest's rax, DUNE_RUN's argument
 *
 * A signal finds the thread by r12, in C by its id.
 */
#include <asm/unistd.h>

#include "asm.h"

	.text

/*
 * long run_thread(struct dune_thread *t, const void *xsave, uint64_t fs_base)
 *
 * The guest runs with the registers in the vCPU's page, these vector registers
 * (XSAVE area) and this FS base, up to its thread's end: RUN_END. Returns rax of
 * the page then. Signals are blocked, and set by the thread's pending mask.
 */
	.globl	run_thread
	.hidden	run_thread
	.type	run_thread, @function
	.balign	16
run_thread:
	.cfi_startproc
	.cfi_undefined rip
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	THREAD_HOST_SP(%rdi), %rcx
	mov	%rsp, RUN_RETURN_SP(%rcx)
	mov	%rdi, %r12
	mov	%rsi, %rdi
	mov	%rdx, %rbx
	call	run_vectors
	wrfsbase %rbx
	xor	%eax, %eax
	jmp	run_back
	.cfi_endproc
	.size	run_thread, . - run_thread

	.globl	run_stub
	.hidden	run_stub
	.type	run_stub, @function
	.balign	16
run_stub:
	.cfi_startproc
	.cfi_signal_frame
	guest_frame
	mov	THREAD_FD(%r12), %edi
	mov	$ASM_DUNE_RUN, %esi
	mov	%r14, %rdx
	mov	$__NR_ioctl, %eax
	syscall
	label	run_ioctl_end
	test	%rax, %rax
	jnz	.Lnot_call

	/* DUNE_EXIT_SYSCALL: arguments are live, rbx is the number. */
	cmp	$RUN_CALLS, %rbx
	jae	1f
	bt	%rbx, run_filter(%rip)
	jc	run_enter_c
1:	mov	%rbx, %rax
	label	run_call
	syscall
	label	run_called
	mov	%rax, %r14
	test	%r13, %r13
	jz	run_stub
	test	%rax, %rax
	jz	.Lchild
	xor	%r13d, %r13d
	jmp	run_stub

	label	run_not_call
.Lnot_call:
	cmp	$ASM_EXIT_RETRY, %rax
	jne	run_enter_c
	label	run_reload
	mov	THREAD_PAGE(%r12), %r14
	mov	REGS_RAX(%r14), %r14
.Lagain:
	mov	$1, %r13d
	jmp	run_stub

	label	run_busy
	/*
	 * Linux puts a frame at the top of the alternate stack unless rsp is in it: so no
	 * signal may come while rsp is the host stack's.
	 */
.Lon_alt:
	mov	%rax, %r14
	xor	%edi, %edi		/* SIG_BLOCK */
	lea	run_most(%rip), %rsi
	lea	RUN_OLD_MASK(%rcx), %rdx
	mov	$8, %r10d
	mov	$__NR_rt_sigprocmask, %eax
	syscall
	mov	THREAD_HOST_SP(%r12), %rcx
	cmpq	$0, RUN_PENDING(%rcx)
	jne	3f
	mov	RUN_OLD_MASK(%rcx), %rdx
	mov	%rdx, RUN_MASK(%rcx)
	movq	$1, RUN_PENDING(%rcx)
3:	mov	%r14, %rax
	jmp	.Lon_host_stack

run_enter_c:
	mov	THREAD_HOST_SP(%r12), %rcx
	cmp	RUN_ALT_LOW(%rcx), %rsp
	jb	.Lon_host_stack
	cmp	RUN_ALT_HIGH(%rcx), %rsp
	jbe	.Lon_alt
.Lon_host_stack:
	mov	THREAD_HOST_SP(%r12), %rsp
	mov	%r12, %rdi
	mov	%rax, %rsi
	call	run_host
run_back:
	mov	THREAD_PAGE(%r12), %rdx
	mov	REGS_RSP(%rdx), %rsp
	mov	REGS_RAX(%rdx), %r14
	mov	THREAD_HOST_SP(%r12), %rcx
	cmpq	$0, RUN_PENDING(%rcx)
	label	run_checked
	jne	.Lmask
.Laction:
	test	%eax, %eax
	jz	.Lagain
	cmp	$RUN_SIGRETURN, %eax
	je	.Lsigreturn
	cmp	$RUN_NATIVE, %eax
	je	.Lnative
	cmp	$RUN_TOUCH_READ, %eax
	je	.Ltouch_read
	cmp	$RUN_END, %eax
	je	.Lend

	/*
	 * Raise the program's signal, on its stack and with the right address: do
	 * natively what the mm refused the guest.
	 */
	mov	PAGE_EXIT_ADDR(%rdx), %rdx
	lock orb $0, (%rdx)
	jmp	.Lagain
.Ltouch_read:
	mov	PAGE_EXIT_ADDR(%rdx), %rdx
	movb	(%rdx), %dl
	jmp	.Lagain

	/* Signals had to wait: now. One that comes takes the place of the action. */
.Lmask:
	mov	%eax, %ebx
	movq	$0, RUN_PENDING(%rcx)
	mov	$2, %edi		/* SIG_SETMASK */
	lea	RUN_MASK(%rcx), %rsi
	xor	%edx, %edx
	mov	$8, %r10d
	mov	$__NR_rt_sigprocmask, %eax
	syscall
	mov	%ebx, %eax
	mov	THREAD_PAGE(%r12), %rdx
	jmp	.Laction

	/* All signals are blocked. */
.Lsigreturn:
	mov	THREAD_HOST_SP(%r12), %rcx
	mov	RUN_SP(%rcx), %rsp
	mov	$__NR_rt_sigreturn, %eax
	syscall
	ud2

	/* The page has the registers before the call; the vCPU those behind it. */
.Lnative:
	andl	$~ASM_SYNC_REGS, PAGE_SYNC(%rdx)
	mov	REGS_RDI(%rdx), %rdi
	mov	REGS_RSI(%rdx), %rsi
	mov	REGS_R10(%rdx), %r10
	mov	REGS_R8(%rdx), %r8
	mov	REGS_R9(%rdx), %r9
	mov	REGS_RDX(%rdx), %rdx
	mov	%r14d, %eax
	jmp	run_call
	label	run_stub_end

.Lend:
	.cfi_undefined rip
	mov	THREAD_HOST_SP(%r12), %rcx
	mov	RUN_RETURN_SP(%rcx), %rsp
	mov	%r14, %rax
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

	/* A new task goes on in plain mode: struct dune_fork_frame. */
.Lchild:
	mov	%r13, %rsp
	pop	%rbx
	pop	%rbp
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rcx
	pop	%r11
	ret	$REDZONE
	.cfi_endproc
	.size	run_stub, . - run_stub

/*
 * The handler of every signal that the program handles, with all signals blocked:
 * rdi = number, rsi = siginfo, rdx = ucontext, rsp = Linux' frame.
 */
	.globl	run_signal
	.hidden	run_signal
	.type	run_signal, @function
	.balign	16
run_signal:
	.cfi_startproc
	.cfi_undefined rip
	mov	%rsp, %rbx
	mov	%edi, %r13d
	mov	%rsi, %r14
	mov	%rdx, %r15
	mov	UC_RIP(%rdx), %rax
	lea	__ehdr_start(%rip), %rcx
	cmp	%rcx, %rax
	jb	.Lprogram
	lea	_end(%rip), %rcx
	cmp	%rcx, %rax
	jae	.Lprogram
	lea	run_stub(%rip), %rcx
	cmp	%rcx, %rax
	jb	.Lin_c
	lea	run_stub_end(%rip), %rcx
	cmp	%rcx, %rax
	jae	.Lin_c
	mov	UC_R12(%rdx), %r12
	lea	run_busy(%rip), %rcx
	cmp	%rcx, %rax
	jb	.Ldeliver
	lea	run_checked(%rip), %rcx
	cmp	%rcx, %rax
	jb	.Ldefer

.Ldeliver:
	mov	THREAD_HOST_SP(%r12), %rsp
	mov	%r12, %rdi
	mov	%r13d, %esi
	mov	%r14, %rdx
	mov	%r15, %rcx
	mov	%rbx, %r8
	call	run_deliver
	test	%eax, %eax
	jz	run_back
.Lreturn:
	lea	8(%rbx), %rsp
	label	run_restorer
	mov	$__NR_rt_sigreturn, %eax
	syscall
	ud2

	/* C, on the host stack or before the thread has one. */
.Lin_c:
	and	$-16, %rsp
	call	run_find
	mov	%rax, %r12
.Ldefer:
	mov	%r12, %rdi
	mov	%r13d, %esi
	mov	%r14, %rdx
	mov	%r15, %rcx
	and	$-16, %rsp
	call	run_defer
	jmp	.Lreturn

	/* It went on natively, for one instruction or for good. */
.Lprogram:
	and	$-16, %rsp
	call	run_find
	mov	%rax, %r12
	test	%rax, %rax
	jnz	.Ldeliver
	mov	%r13d, %edi
	mov	%r14, %rsi
	mov	%r15, %rdx
	call	run_native_handler
	test	%rax, %rax
	jz	.Lreturn
	mov	%rax, %rcx
	mov	%r13d, %edi
	mov	%r14, %rsi
	mov	%r15, %rdx
	mov	%rbx, %rsp
	xor	%eax, %eax
	jmp	*%rcx
	.cfi_endproc
	.size	run_signal, . - run_signal

/*
 * long run_copy(void *to, const void *from, size_t size)
 *
 * 0, or -EFAULT with some of it copied.
 */
	.globl	run_copy
	.hidden	run_copy
	.type	run_copy, @function
	.balign	16
run_copy:
	.cfi_startproc
	mov	%rdx, %rcx
	xor	%eax, %eax
	label	run_copy_insn
	rep movsb
	ret
	label	run_copy_fault
	mov	$-14, %rax
	ret
	.cfi_endproc
	.size	run_copy, . - run_copy

	.section .note.GNU-stack, "", @progbits
