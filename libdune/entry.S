/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Where SYSCALL lands in the guest. Its vectors are in trap_entry.S.
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
	label	dune_syscall_shifted
	or	%r11, %rax
	label	dune_syscall_packed
	mov	%rsp, %r11
	INSN_VMCALL
	label	dune_syscall_unpacked

	/*
	 * A child of clone or fork goes on behind the VMCALL in plain Linux
	 * mode, so no privileged instruction may follow it.
	 */
1:	testl	$FLAG_IOPL, %r11d
	jnz	.Ltell
.Lring0:
	/* Off stays off: dune_ipi_disable(). */
	testl	$FLAG_IF, %r11d
	jz	2f
	sti
2:	mov	%eax, %eax
	INSN_VMCALL
	label	dune_syscall_made
	/* As SYSRET would: give back all flags. Below the red zone. */
	lea	-REDZONE(%rsp), %rsp
	.cfi_def_cfa_offset REDZONE
	label	dune_syscall_lowered
	push	%r11
	.cfi_def_cfa_offset REDZONE + 8
	label	dune_syscall_pushed
	popfq
	.cfi_def_cfa_offset REDZONE
	label	dune_syscall_popped
	lea	REDZONE(%rsp), %rsp
	.cfi_def_cfa_offset 0
	label	dune_syscall_raised
	jmp	*%rcx
	/*
	 * IOPL: ring 3's, so far as one can tell. Then the stack and every base
	 * are, too: let the CPU take this thread's own stack. It returns here if
	 * the caller is in ring 0.
	 */
.Ltell:
	int	$VECTOR_TOLD
	.globl	dune_syscall_told
	.hidden	dune_syscall_told
dune_syscall_told:
	jmp	.Lring0
	.cfi_endproc
	.size	dune_syscall_entry, . - dune_syscall_entry

	.section .note.GNU-stack, "", @progbits
