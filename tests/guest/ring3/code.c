// SPDX-License-Identifier: GPL-2.0 OR MIT
/* What ring 3 executes: see ring3.h. */
#include "ring3.h"

asm(".text\n"
    ".macro code name:req\n"
    "	.globl	\\name, \\name\\()_end\n"
    "\\name:\n"
    ".endm\n"
    ".macro code_end name:req\n"
    "\\name\\()_end:\n"
    "	hlt\n"			/* privileged: never past it */
    ".endm\n"

    "code code_syscall\n"
    "1:	syscall\n"
    "	jmp	1b\n"
    "code_end code_syscall\n"

    "code code_ud2\n"
    "	ud2\n"
    "code_end code_ud2\n"

    "code code_spin\n"
    "1:	cmpl	$0, (%rdi)\n"
    "	je	1b\n"
    "	syscall\n"
    "code_end code_spin\n"

    /* All others hold values derived from rdx; x is checked as well. */
    "code code_registers\n"
    "	movq	%rdx, %xmm4\n"
    "	mov	%rdx, -8(%rsp)\n"
    "	.irp	r, rbx, rcx, rsi, rbp, r8, r9, r10, r11, r12, r13, r14, r15\n"
    "	lea	5(%rdx), %\\r\n"
    "	.endr\n"
    "	xor	%eax, %eax\n"
    "	push	%rax\n"
    "	lea	5(%rdx), %rax\n"
    "1:	.irp	r, rbx, rcx, rsi, rbp, r8, r9, r10, r11, r12, r13, r14, r15\n"
    "	cmp	%rax, %\\r\n"
    "	je	2f\n"
    "	incq	(%rsp)\n"
    "2:\n"
    "	.endr\n"
    "	movq	%xmm4, %rax\n"
    "	cmp	%rdx, %rax\n"
    "	je	3f\n"
    "	incq	(%rsp)\n"
    "3:	lea	5(%rdx), %rax\n"
    "	dec	%rdi\n"
    "	jnz	1b\n"
    "	pop	%rax\n"
    "	syscall\n"
    "code_end code_registers\n"

    "code code_fsgs\n"
    "	wrfsbase %rdi\n"
    "	wrgsbase %rsi\n"
    "	syscall\n"
    "code_end code_fsgs\n"

    "code code_iopl\n"
    "	pushfq\n"
    "	orl	$0x3000, (%rsp)\n"
    "	popfq\n"
    "	pushfq\n"
    "	andl	$~0x3000, (%rsp)\n"
    "	popfq\n"
    "	mov	%rsp, %rbx\n"
    "	push	$0x2b\n"
    "	push	%rbx\n"
    "	push	$0x002\n"		/* neither IOPL nor IF */
    "	push	$0x33\n"
    "	lea	1f(%rip), %rax\n"
    "	push	%rax\n"
    "	iretq\n"
    "1:	pushfq\n"
    "	pop	%rbx\n"
    "	syscall\n"
    "code_end code_iopl\n"

    "code code_vmcall\n"
    "	vmcall\n"
    "code_end code_vmcall\n"

    "code code_load\n"
    "	movb	(%rdi), %al\n"
    "code_end code_load\n"

    "code code_store\n"
    "	movb	%al, (%rdi)\n"
    "code_end code_store\n"

    "code code_jump\n"
    "	jmp	*%rdi\n"
    "code_end code_jump\n"

    "code code_segments\n"
    "	mov	$0x2b, %eax\n"
    "	mov	%eax, %ds\n"
    "	mov	%eax, %es\n"
    "	mov	%eax, %fs\n"
    "	mov	%eax, %gs\n"
    "	mov	%eax, %ss\n"
    "	nop\n"
    "	syscall\n"
    "code_end code_segments\n"

    "code code_compat\n"
    "	push	$0x23\n"
    "	push	%rdi\n"
    "	lretq\n"
    "code_end code_compat\n"

    "code code_step\n"
    "	nop\n"
    "	nop\n"
    "	nop\n"
    "code_end code_step\n"

    "code code_align\n"
    "	mov	-9(%rsp), %rax\n"
    "code_end code_align\n"

    "code code_x87\n"
    "	push	$0x37b\n"		/* ZE unmasked */
    "	fninit\n"
    "	fldcw	(%rsp)\n"
    "	fldz\n"
    "	fld1\n"
    "	fdivp\n"
    "	movl	$0, (%rsp)\n"
    "	ldmxcsr	(%rsp)\n"
    "	pop	%rax\n"
    "	syscall\n"
    "code_end code_x87\n"

    "code code_pkru\n"
    "	mov	%edi, %eax\n"
    "	xor	%ecx, %ecx\n"
    "	xor	%edx, %edx\n"
    "	wrpkru\n"
    "	syscall\n"
    "code_end code_pkru\n"

    "code code_storm\n"
    "	mov	%rdi, %rsp\n"
    "1:	wrfsbase %rsi\n"
    "	wrgsbase %rsi\n"
    "	syscall\n"
    "	jmp	1b\n"
    "code_end code_storm\n"

    "code code_storm_trap\n"
    "	mov	%rdi, %rsp\n"
    "1:	wrfsbase %rsi\n"
    "	wrgsbase %rsi\n"
    "	ud2\n"
    "	jmp	1b\n"
    "code_end code_storm_trap\n"

    ".macro hostile name:req, insn:vararg\n"
    "	.globl	hostile_\\name\n"
    "hostile_\\name:\n"
    "	\\insn\n"
    "	hlt\n"
    ".endm\n"
    "hostile hlt, hlt\n"
    "hostile cli, cli\n"
    "hostile sti, sti\n"
    "hostile in, in $0x60, %al\n"
    "hostile out, out %al, $0x80\n"
    "hostile cr0, mov %cr0, %rax\n"
    "hostile cr3, mov %rax, %cr3\n"
    "hostile cr8, mov %cr8, %rax\n"
    "hostile clts, clts\n"
    "hostile dr7, mov %dr7, %rax\n"
    "hostile lgdt, lgdt (%rsp)\n"
    "hostile lidt, lidt (%rsp)\n"
    "hostile ltr, ltr %ax\n"
    "hostile lldt, lldt %ax\n"
    "hostile invlpg, invlpg (%rsp)\n"
    "hostile rdmsr, rdmsr\n"
    "hostile wrmsr, wrmsr\n"
    "hostile swapgs, swapgs\n"
    "hostile sysretq, sysretq\n"
    "hostile xsetbv, xsetbv\n"
    "hostile invd, invd\n"
    "hostile wbinvd, wbinvd\n"
    "hostile int80, int $0x80\n"
    "hostile int31, int $31\n"
    "hostile int14, int $14\n"
    "hostile int2, int $2\n"
    "hostile int8, int $8\n"
    "hostile int255, int $255\n"
    "hostile sysenter, sysenter\n"
    /* iretq and lretq to ring 0: not from out here. */
    ".globl hostile_iret0, hostile_iret0_insn, hostile_lret0, hostile_lret0_insn\n"
    "hostile_iret0:\n"
    "	mov	%rsp, %rax\n"
    "	push	$0x18\n"
    "	push	%rax\n"
    "	push	$2\n"
    "	push	$0x10\n"
    "	lea	code_syscall(%rip), %rcx\n"
    "	push	%rcx\n"
    "hostile_iret0_insn:\n"
    "	iretq\n"
    "hostile_lret0:\n"
    "	push	$0x10\n"
    "	lea	code_syscall(%rip), %rcx\n"
    "	push	%rcx\n"
    "hostile_lret0_insn:\n"
    "	lretq\n"
    "hostile vmlaunch, vmlaunch\n"
    "hostile vmfunc, .byte 0x0f, 0x01, 0xd4\n"
    "hostile vmread, vmread %rax, %rax\n"
    "hostile int3, int3\n"
    "hostile int4, int $4\n"
    "hostile int1, .byte 0xf1\n"
    "hostile ud2, ud2\n");

#define H(name) extern const char hostile_##name[];
H(hlt) H(cli) H(sti) H(in) H(out) H(cr0) H(cr3) H(cr8) H(clts) H(dr7) H(lgdt)
H(lidt) H(ltr) H(lldt) H(invlpg) H(rdmsr) H(wrmsr) H(swapgs) H(sysretq) H(xsetbv)
H(invd) H(wbinvd) H(int80) H(int31) H(int14) H(int2) H(int8) H(int255) H(sysenter)
H(int3) H(int4) H(int1) H(iret0) H(lret0) H(vmlaunch) H(vmfunc) H(vmread) H(ud2)
#undef H

/* INT n of a gate that ring 3 may not use: its number, and "IDT". */
#define IDT(n) ((n) * 8 + 2)
#define GP(name, code) { #name, hostile_##name, DUNE_VECTOR_GP, code, 0 }

const struct hostile hostile[] = {
	GP(hlt, 0), GP(cli, 0), GP(sti, 0), GP(in, 0), GP(out, 0), GP(cr0, 0),
	GP(cr3, 0), GP(cr8, 0), GP(clts, 0), GP(dr7, 0), GP(lgdt, 0), GP(lidt, 0),
	GP(ltr, 0), GP(lldt, 0), GP(invlpg, 0), GP(rdmsr, 0), GP(wrmsr, 0),
	GP(swapgs, 0), GP(sysretq, 0), GP(xsetbv, 0), GP(invd, 0), GP(wbinvd, 0),
	GP(int80, IDT(0x80)), GP(int31, IDT(31)), GP(int14, IDT(14)),
	GP(int2, IDT(2)), GP(int8, IDT(8)), GP(int255, IDT(255)), GP(sysenter, 0),
	GP(iret0, 0x10), GP(lret0, 0x10),
	{ "vmlaunch", hostile_vmlaunch, DUNE_VECTOR_UD, 0, 0 },
	{ "vmfunc", hostile_vmfunc, DUNE_VECTOR_UD, 0, 0 },
	{ "vmread", hostile_vmread, DUNE_VECTOR_UD, 0, 0 },
	/* These are ring 3's. */
	{ "int3", hostile_int3, DUNE_VECTOR_BP, 0, 1 },
	{ "int4", hostile_int4, DUNE_VECTOR_OF, 0, 2 },
	{ "int1", hostile_int1, DUNE_VECTOR_DB, 0, 1 },
	{ "ud2", hostile_ud2, DUNE_VECTOR_UD, 0, 0 },
};
const unsigned int nr_hostile = ARRAY_SIZE(hostile);
