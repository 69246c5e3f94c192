// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "guest.h"

uint64_t guest_flags;
asm(".text\n"
    ".globl	guest_syscall\n"
    "guest_syscall:\n"
    "	mov	%rdi, %rax\n"
    "	mov	%rsi, %rdi\n"
    "	mov	%rdx, %rsi\n"
    "	mov	%rcx, %r11\n"
    "	mov	$0x5a5a5a5a5a5a5a5a, %r9\n"
    ".irp	off, 8,16,24,32,40,48,56,64,72,80,88,96,104,112,120,128\n"
    "	mov	%r9, -\\off(%rsp)\n"
    ".endr\n"
    "	lea	1f(%rip), %rcx\n"
    "	jmp	dune_syscall_entry\n"
    "1:	mov	$0x5a5a5a5a5a5a5a5a, %r9\n"
    ".irp	off, 8,16,24,32,40,48,56,64,72,80,88,96,104,112,120,128\n"
    "	cmp	%r9, -\\off(%rsp)\n"
    "	jne	2f\n"
    ".endr\n"
    "	pushfq\n"
    "	popq	guest_flags(%rip)\n"
    "	cld\n"
    "	ret\n"
    "2:	mov	$-99999, %rax\n"
    "	cld\n"
    "	ret\n");

void enter(void)
{
	CHECK_EQ(dune_init(), 0);
	CHECK_EQ(dune_enter(), 0);
	CHECK(dune_inside());
}

void leave(void)
{
	CHECK_EQ(dune_exit(), 0);
	CHECK(!dune_inside());
}
