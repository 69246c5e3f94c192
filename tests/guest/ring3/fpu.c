// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Vector registers, control words and protection keys on both sides. */
#include "ring3.h"

#include <cpuid.h>
#include <stdlib.h>

static struct world w;

/* Ring 3's: from xmm0 to rax and back, so that its registers can be watched. */
CODE(code_xmm_in)
CODE(code_xmm_out)
asm(".text\n"
    ".globl code_xmm_in, code_xmm_out, code_xmm_in_end, code_xmm_out_end\n"
    "code_xmm_in:\n"
    "	movq	%rdi, %xmm0\n"
    "	movq	%rsi, %xmm15\n"
    "	pcmpeqd	%xmm7, %xmm7\n"
    "	push	$0x7f80\n"
    "	ldmxcsr	(%rsp)\n"
    "	pop	%rax\n"
    "	syscall\n"
    "code_xmm_in_end: hlt\n"
    "code_xmm_out:\n"
    "	movq	%xmm0, %rdi\n"
    "	movq	%xmm15, %rsi\n"
    "	push	%rax\n"
    "	stmxcsr	(%rsp)\n"
    "	mov	(%rsp), %eax\n"
    "	pop	%rdx\n"
    "	syscall\n"
    "code_xmm_out_end: hlt\n");

static void ruin(void)
{
	asm volatile(".irp r, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
		     "movq %0, %%xmm\\r\n"
		     ".endr\n" : : "r"(0xbadbadbadbadul)
		     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
		       "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

/* An area keeps what ring 3 had, and gives nothing of ring 0's away. */
void part_vectors(void)
{
	size_t size = (dune_user_xsave_size() + 63) & ~63ul;
	void *area[2];

	for (int i = 0; i < 2; i++) {
		area[i] = aligned_alloc(64, size);
		REQUIRE(area[i]);
		dune_user_xsave_init(area[i]);
	}
	mode_enter();
	own_set();
	/* Two programs take turns. */
	for (int round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < 2; i++) {
			ruin();
			world_init(&w, code_xmm_out, opt.seed);
			w.u.xsave = area[i];
			expect(&w, DUNE_USER_SYSCALL, "xmm out");
			CHECK_EQ(w.u.regs.rdi, round ? 0x1110 + i : 0);
			CHECK_EQ(w.u.regs.rsi, round ? 0x2220 + i : 0);
			CHECK_EQ(w.u.regs.rax, round ? 0x7f80 : 0x1f80);
			own_check("xmm out");
			ruin();
			world_init(&w, code_xmm_in, opt.seed);
			w.u.xsave = area[i];
			w.u.regs.rdi = 0x1110 + i;
			w.u.regs.rsi = 0x2220 + i;
			expect(&w, DUNE_USER_SYSCALL, "xmm in");
			own_check("xmm in");
		}
	}
	/* Without one they pass through. */
	asm volatile("movq %0, %%xmm0; movq %0, %%xmm15" : : "r"(0x4711ul) : "xmm0", "xmm15");
	world_init(&w, code_xmm_out, opt.seed);
	asm volatile("movq %0, %%xmm0; movq %0, %%xmm15" : : "r"(0x4711ul) : "xmm0", "xmm15");
	expect(&w, DUNE_USER_SYSCALL, "shared");
	CHECK_EQ(w.u.regs.rax & ~0x3ful, 0x1f80);	/* flags may be there */
	own_check("shared");
	mode_exit();
	free(area[0]);
	free(area[1]);
}

/* What ring 3 leaves pending or unmasked is not ring 0's. */
void part_x87(void)
{
	volatile double x = 1, zero = 0;

	mode_enter();
	own_set();
	for (int i = 0; i < 3; i++) {
		world_init(&w, code_x87, opt.seed);
		expect(&w, DUNE_USER_SYSCALL, "x87");
		own_check("x87");
		/* Would trap if MXCSR or the status word were ring 3's. */
		x = 1 / zero;
		asm volatile("fldz; fstp %%st; fwait" : : : "st");
		CHECK(x > 1e300);
	}
	mode_exit();
}

void part_pkru(void)
{
	unsigned int a, b, c, d, own, pkru;

	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(c & bit_OSPKE)) {
		printf("    no protection keys here\n");
		return;
	}
	mode_enter();
	own_set();
	asm volatile("rdpkru" : "=a"(own), "=d"(d) : "c"(0));
	for (unsigned int i = 0; i < 3; i++) {
		world_init(&w, code_pkru, opt.seed);
		w.u.regs.rdi = 0x55555550 - 16 * i;
		expect(&w, DUNE_USER_SYSCALL, "pkru");
		CHECK_EQ(w.u.pkru, 0x55555550 - 16 * i);
		asm volatile("rdpkru" : "=a"(pkru), "=d"(d) : "c"(0));
		CHECK_EQ(pkru, own);
		own_check("pkru");
	}
	mode_exit();
}
