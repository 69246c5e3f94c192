/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The run stub: the plain Linux side of a thread in Dune mode.
 *
 * While a thread is in Dune mode its Linux context stands at one of the
 * SYSCALL instructions of dune_stub. rsp is then the guest's own rsp: Linux
 * delivers signals below the guest's red zone, and the fast path has no stack
 * to use and needs none.
 *
 *	r12	struct dune_thread
 *	r14	result of the last system call, DUNE_RUN's argument
 *	r15	the guest's rsp while C runs on the host stack
 *	r13	on return of DUNE_RUN: fork frame, or 0
 */
#include <asm/unistd.h>

#include "asm.h"

	.text

/*
 * int dune_enter_asm(struct dune_thread *t)
 *
 * Returns 0 in Dune mode, or a negative errno in plain mode when the vCPU did
 * not start. The guest begins at dune_entered, on this very stack.
 */
	.globl	dune_enter_asm
	.hidden	dune_enter_asm
	.type	dune_enter_asm, @function
	.balign	16
dune_enter_asm:
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

	mov	THREAD_PAGE(%rdi), %rax
	lea	dune_entered(%rip), %rcx
	mov	%rcx, REGS_RIP(%rax)
	mov	%rsp, REGS_RSP(%rax)
	movq	$0x202, REGS_RFLAGS(%rax)
	orl	$ASM_SYNC_REGS, PAGE_SYNC(%rax)
	mov	%rdi, %r12
	xor	%r14d, %r14d
	jmp	dune_stub

	.globl	dune_entered
	.hidden	dune_entered
dune_entered:
	xor	%eax, %eax
dune_enter_return:
	pop	%r15
	.cfi_adjust_cfa_offset -8
	.cfi_restore r15
	pop	%r14
	.cfi_adjust_cfa_offset -8
	.cfi_restore r14
	pop	%r13
	.cfi_adjust_cfa_offset -8
	.cfi_restore r13
	pop	%r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore r12
	pop	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbx
	pop	%rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbp
	ret
	.cfi_endproc
	.size	dune_enter_asm, . - dune_enter_asm

	.globl	dune_stub
	.hidden	dune_stub
	.type	dune_stub, @function
	.balign	16
dune_stub:
	/*
	 * The caller of this code is the guest, with the registers in the
	 * vCPU's page: so a debugger, a profiler and thread cancellation see
	 * through the stub. CFA = guest rsp.
	 */
	.cfi_startproc
	.cfi_signal_frame
	guest_frame
	mov	THREAD_FD(%r12), %edi
	mov	$ASM_DUNE_RUN, %esi
	mov	%r14, %rdx
	mov	$__NR_ioctl, %eax
	syscall
	test	%rax, %rax
	jnz	.Lnot_syscall

	/* DUNE_EXIT_SYSCALL: arguments are live, rbx is the number. */
	cmp	$__NR_exit, %rbx
	je	.Lthread_exit
	mov	%rbx, %rax
	syscall
	.globl	dune_stub_syscall_end
	.hidden	dune_stub_syscall_end
dune_stub_syscall_end:
	mov	%rax, %r14
	test	%r13, %r13
	jz	dune_stub
	test	%rax, %rax
	jnz	dune_stub

	/*
	 * A new task. It is a plain Linux task and owns nothing of this vCPU.
	 * Go on where the guest called, rax = 0: struct dune_fork_frame.
	 */
	.cfi_remember_state
	.cfi_undefined rip
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
	.cfi_restore_state

.Lnot_syscall:
	cmp	$ASM_EXIT_RETRY, %rax
	je	dune_stub
	mov	%rsp, %r15
	mov	THREAD_HOST_SP(%r12), %rsp
	mov	%r12, %rdi
	mov	%rax, %rsi
	call	dune_host_exit
	cmp	$HOST_ENTER_FAILED, %eax
	je	.Lenter_failed
	mov	%r15, %rsp
	cmp	$HOST_RUN_MOVED, %eax
	je	.Lmoved
	cmp	$HOST_TOUCH_READ, %eax
	je	.Ltouch_read
	cmp	$HOST_TOUCH_WRITE, %eax
	jne	dune_stub

	/*
	 * Raise the program's signal, on the guest's stack and with the right
	 * address: do natively what the mm refused the guest.
	 */
	mov	THREAD_PAGE(%r12), %rdx
	mov	PAGE_EXIT_ADDR(%rdx), %rdx
	lock orb $0, (%rdx)
	jmp	dune_stub
.Ltouch_read:
	mov	THREAD_PAGE(%r12), %rdx
	mov	PAGE_EXIT_ADDR(%rdx), %rdx
	movb	(%rdx), %dl
	jmp	dune_stub

	/* Signals go to the stack that the guest will have. */
.Lmoved:
	mov	THREAD_PAGE(%r12), %rdx
	mov	REGS_RSP(%rdx), %rsp
	jmp	dune_stub

.Lenter_failed:
	mov	THREAD_PAGE(%r12), %rcx
	mov	REGS_RSP(%rcx), %rsp
	mov	THREAD_ENTER_ERROR(%r12), %rax
	jmp	dune_enter_return

	/*
	 * The thread ends: free its vCPU first. On the thread's own stack,
	 * because another thread may have the area, with the host stack in
	 * it, as soon as it is free.
	 */
.Lthread_exit:
	mov	%rdi, %r15
	mov	%r12, %rdi
	sub	$REDZONE, %rsp
	and	$-16, %rsp
	call	dune_thread_exit
	mov	%r15, %rdi
	mov	$__NR_exit, %eax
	syscall
	ud2
	.cfi_endproc
	.size	dune_stub, . - dune_stub

/*
 * A guest that trapped leaves Dune mode to here, in plain mode, on its host
 * stack, rdi = struct dune_thread. Its registers are in thread->crash.
 */
	.globl	dune_trap_landing
	.hidden	dune_trap_landing
	.type	dune_trap_landing, @function
	.balign	16
dune_trap_landing:
	.cfi_startproc
	.cfi_undefined rip
	call	dune_host_trap
	ud2
	.cfi_endproc
	.size	dune_trap_landing, . - dune_trap_landing

/* void dune_call_on_stack(void (*fn)(void *), void *arg, uint64_t sp) */
	.globl	dune_call_on_stack
	.hidden	dune_call_on_stack
	.type	dune_call_on_stack, @function
	.balign	16
dune_call_on_stack:
	.cfi_startproc
	push	%rbp
	.cfi_def_cfa_offset 16
	.cfi_offset rbp, -16
	mov	%rsp, %rbp
	.cfi_def_cfa_register rbp
	mov	%rdi, %rax
	mov	%rsi, %rdi
	mov	%rdx, %rsp
	and	$-16, %rsp
	call	*%rax
	mov	%rbp, %rsp
	pop	%rbp
	.cfi_def_cfa rsp, 8
	ret
	.cfi_endproc
	.size	dune_call_on_stack, . - dune_call_on_stack

/*
 * _Noreturn void dune_replay(struct dune_thread *t, const struct dune_regs *regs)
 *
 * Go on in plain mode with exactly these registers. IRETQ loads rip, flags
 * and rsp at once and leaves the guest's stack and red zone alone; its frame
 * is on the host stack.
 */
	.globl	dune_replay
	.hidden	dune_replay
	.type	dune_replay, @function
	.balign	16
dune_replay:
	.cfi_startproc
	.cfi_undefined rip
	mov	%ss, %eax
	push	%rax
	pushq	REGS_RSP(%rsi)
	pushq	REGS_RFLAGS(%rsi)
	mov	%cs, %eax
	push	%rax
	pushq	REGS_RIP(%rsi)
	mov	REGS_RAX(%rsi), %rax
	mov	REGS_RCX(%rsi), %rcx
	mov	REGS_RDX(%rsi), %rdx
	mov	REGS_RBX(%rsi), %rbx
	mov	REGS_RBP(%rsi), %rbp
	mov	REGS_R8(%rsi), %r8
	mov	REGS_R9(%rsi), %r9
	mov	REGS_R10(%rsi), %r10
	mov	REGS_R11(%rsi), %r11
	mov	REGS_R12(%rsi), %r12
	mov	REGS_R13(%rsi), %r13
	mov	REGS_R14(%rsi), %r14
	mov	REGS_R15(%rsi), %r15
	pushq	REGS_RSI(%rsi)
	pushq	REGS_RDI(%rsi)
	/* Last: from here a signal handler may enter Dune mode again. */
	movl	$0, THREAD_ENTERED(%rdi)
	pop	%rdi
	pop	%rsi
	iretq
	.cfi_endproc
	.size	dune_replay, . - dune_replay

	.section .note.GNU-stack, "", @progbits
