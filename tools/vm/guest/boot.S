/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What the project's emulator build boots instead of a boot loader.
 *
 * Section .boot (sector 0 of the disk, at 0x7c00): asks the emulator to copy
 * the kernel's parts into RAM (hostcall.h), then enters the kernel's real-mode
 * setup code by the Linux 16-bit boot protocol.
 * Section .hook (at 0x80000): the setup code jumps here (code32_start) instead
 * of into the decompressor, because the kernel lies uncompressed at its link
 * address already. Goes to 64-bit mode on an identity map and enters startup_64.
 */
#include "hostcall.h"

#define SETUP_SEG	0x9000
#define STACK_TOP	0xdff0
#define HOOK		0x80000
#define TABLES		(HOOK + 0x1000)		/* PML4, PDPT, 4 PDs */

	.section .boot, "awx"
	.code16
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	movl	$(HOSTCALL | HOSTCALL_LOAD), %ecx
	rdpmc
	movw	$SETUP_SEG, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %fs
	movw	%ax, %gs
	movw	%ax, %ss
	movw	$STACK_TOP, %sp
	ljmp	$(SETUP_SEG + 0x20), $0
	.org	510
	.byte	0x55, 0xaa

	.section .hook, "awx"
	.code32
hook:
	movl	%cr4, %eax
	orl	$0x20, %eax			/* PAE */
	movl	%eax, %cr4
	movl	$TABLES, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx		/* EFER.LME */
	rdmsr
	orl	$0x100, %eax
	wrmsr
	lgdt	HOOK + (gdt_ptr - hook)
	movl	%cr0, %eax
	orl	$0x80000001, %eax		/* PG, PE */
	movl	%eax, %cr0
	ljmp	$0x10, $(HOOK + (long_mode - hook))
	.code64
long_mode:
	movl	$0x18, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	movl	%esi, %esi			/* boot_params */
	movq	entry(%rip), %rax
	jmp	*%rax
	.org	0x100
gdt:
	.quad	0, 0
	.quad	0x00af9a000000ffff		/* 0x10: 64-bit code */
	.quad	0x00cf92000000ffff		/* 0x18: data */
gdt_ptr:
	.word	gdt_ptr - gdt - 1
	.long	HOOK + (gdt - hook)
	.org	0x200
entry:
	.quad	0				/* filled in by the runner: startup_64 */
	.org	0x1000
	.quad	TABLES + 0x1000 + 3
	.org	0x2000
	.quad	TABLES + 0x2000 + 3, TABLES + 0x3000 + 3, TABLES + 0x4000 + 3, TABLES + 0x5000 + 3
	.org	0x3000
	.set	addr, 0
	.rept	2048
	.quad	addr + 0x83
	.set	addr, addr + 0x200000
	.endr
