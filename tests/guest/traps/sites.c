// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See traps.h. */
#include "traps.h"

/* For the assembly below. */
uint64_t site_rax, site_rflags;

/*
 * out is on top of the stack. Flags first: what follows changes them. They are
 * pushed below the red zone.
 */
asm(".macro site name:req, insn:vararg\n"
    "	.text\n"
    "	.globl	site_\\name, site_\\name\\()_insn, site_\\name\\()_end\n"
    "	.type	site_\\name, @function\n"
    "site_\\name:\n"
    "	push	%rbx\n"
    "	push	%rbp\n"
    "	push	%r12\n"
    "	push	%r13\n"
    "	push	%r14\n"
    "	push	%r15\n"
    "	push	%rsi\n"
    "	push	136(%rdi)\n"
    "	popfq\n"
    "	mov	$0x5eed0000, %eax\n"
    "	.irp	i, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16\n"
    "	lea	\\i(%rax), %rax\n"
    "	mov	%rax, -8*\\i(%rsp)\n"
    "	.endr\n"
    "	mov	0(%rdi), %rax\n"
    "	mov	8(%rdi), %rcx\n"
    "	mov	16(%rdi), %rdx\n"
    "	mov	24(%rdi), %rbx\n"
    "	mov	40(%rdi), %rbp\n"
    "	mov	48(%rdi), %rsi\n"
    "	mov	64(%rdi), %r8\n"
    "	mov	72(%rdi), %r9\n"
    "	mov	80(%rdi), %r10\n"
    "	mov	88(%rdi), %r11\n"
    "	mov	96(%rdi), %r12\n"
    "	mov	104(%rdi), %r13\n"
    "	mov	112(%rdi), %r14\n"
    "	mov	120(%rdi), %r15\n"
    "	mov	56(%rdi), %rdi\n"
    "site_\\name\\()_insn:\n"
    "	\\insn\n"
    "site_\\name\\()_end:\n"
    "	mov	%rax, site_rax(%rip)\n"
    "	lea	-136(%rsp), %rsp\n"
    "	pushfq\n"
    "	popq	site_rflags(%rip)\n"
    "	lea	136(%rsp), %rsp\n"
    "	mov	(%rsp), %rax\n"
    "	mov	%rcx, 8(%rax)\n"
    "	mov	%rdx, 16(%rax)\n"
    "	mov	%rbx, 24(%rax)\n"
    "	mov	%rsp, 32(%rax)\n"
    "	mov	%rbp, 40(%rax)\n"
    "	mov	%rsi, 48(%rax)\n"
    "	mov	%rdi, 56(%rax)\n"
    "	mov	%r8, 64(%rax)\n"
    "	mov	%r9, 72(%rax)\n"
    "	mov	%r10, 80(%rax)\n"
    "	mov	%r11, 88(%rax)\n"
    "	mov	%r12, 96(%rax)\n"
    "	mov	%r13, 104(%rax)\n"
    "	mov	%r14, 112(%rax)\n"
    "	mov	%r15, 120(%rax)\n"
    "	mov	site_rax(%rip), %rcx\n"
    "	mov	%rcx, 0(%rax)\n"
    "	mov	site_rflags(%rip), %rcx\n"
    "	mov	%rcx, 136(%rax)\n"
    "	cld\n"
    "	xor	%eax, %eax\n"
    "	xor	%edx, %edx\n"
    "	mov	$0x5eed0000, %ecx\n"
    "	.irp	i, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16\n"
    "	lea	\\i(%rcx), %rcx\n"
    "	cmp	%rcx, -8*\\i(%rsp)\n"
    "	setne	%dl\n"
    "	add	%edx, %eax\n"
    "	.endr\n"
    "	pop	%rsi\n"
    "	pop	%r15\n"
    "	pop	%r14\n"
    "	pop	%r13\n"
    "	pop	%r12\n"
    "	pop	%rbp\n"
    "	pop	%rbx\n"
    "	ret\n"
    "	.size	site_\\name, . - site_\\name\n"
    ".endm\n"
    ".macro	sites_all\n"
    "	site	divide, div %r15d\n"			/* rdx >= r15: overflow */
    "	site	int1, .byte 0xf1\n"
    "	site	int3, int3\n"
    "	site	overflow, int $4\n"
    "	site	bound, int $5\n"
    "	site	undefined, ud2\n"
    "	site	device, movaps %xmm0, %xmm0\n"
    "	site	double_fault, int $8\n"
    "	site	tss, int $10\n"
    "	site	not_present, int $11\n"
    "	site	stack, movb (%rbp), %al\n"
    "	site	protection, movb (%r8), %al\n"
    "	site	selector, mov %r9w, %ds\n"
    "	site	read, movb (%r10), %al\n"
    "	site	write, movb %al, (%r10)\n"
    "	site	x87, fwait\n"
    "	site	alignment, int $17\n"
    "	site	machine_check, int $18\n"
    "	site	simd, divss %xmm1, %xmm0\n"
    "	site	nmi, int $2\n"
    "	site	user, int $0x80\n"
    "	site	none, nop\n"
    ".endm\n"
    "sites_all\n");

#define DECLARE(name)								\
	int site_##name(const struct dune_regs *in, struct dune_regs *out);	\
	extern const char site_##name##_insn[], site_##name##_end[];
DECLARE(divide)
DECLARE(int1)
DECLARE(int3)
DECLARE(overflow)
DECLARE(bound)
DECLARE(undefined)
DECLARE(device)
DECLARE(double_fault)
DECLARE(tss)
DECLARE(not_present)
DECLARE(stack)
DECLARE(protection)
DECLARE(selector)
DECLARE(read)
DECLARE(write)
DECLARE(x87)
DECLARE(alignment)
DECLARE(machine_check)
DECLARE(simd)
DECLARE(nmi)
DECLARE(user)
DECLARE(none)

#define SITE(name, vector, trap, error) \
	{ #name, site_##name, site_##name##_insn, site_##name##_end, vector, trap, error }

const struct site sites[] = {
	SITE(divide, DUNE_VECTOR_DE, false, 0),
	SITE(int1, DUNE_VECTOR_DB, true, 0),
	SITE(nmi, DUNE_VECTOR_NMI, true, 0),
	SITE(int3, DUNE_VECTOR_BP, true, 0),
	SITE(overflow, DUNE_VECTOR_OF, true, 0),
	SITE(bound, DUNE_VECTOR_BR, true, 0),
	SITE(undefined, DUNE_VECTOR_UD, false, 0),
	SITE(device, DUNE_VECTOR_NM, false, 0),
	SITE(double_fault, DUNE_VECTOR_DF, true, DUNE_TRAP_INT_N),
	SITE(tss, DUNE_VECTOR_TS, true, DUNE_TRAP_INT_N),
	SITE(not_present, DUNE_VECTOR_NP, true, DUNE_TRAP_INT_N),
	SITE(stack, DUNE_VECTOR_SS, false, 0),
	SITE(protection, DUNE_VECTOR_GP, false, 0),
	SITE(selector, DUNE_VECTOR_GP, false, 0xfff8),
	SITE(read, DUNE_VECTOR_PF, false, 0),
	SITE(write, DUNE_VECTOR_PF, false, DUNE_PF_WRITE),
	SITE(x87, DUNE_VECTOR_MF, false, 0),
	SITE(alignment, DUNE_VECTOR_AC, true, DUNE_TRAP_INT_N),
	SITE(machine_check, DUNE_VECTOR_MC, true, 0),
	SITE(simd, DUNE_VECTOR_XM, false, 0),
	SITE(user, 0x80, true, 0),
	SITE(none, DUNE_NR_VECTORS, false, 0),
};
const unsigned int nr_sites = ARRAY_SIZE(sites);

const struct site *site_named(const char *name)
{
	for (unsigned int i = 0; i < nr_sites; i++)
		if (!strcmp(sites[i].name, name))
			return &sites[i];
	REQUIRE(!"no such site");
	return NULL;
}

asm(".text\n"
    ".globl int_stubs\n"
    ".balign 4\n"
    "int_stubs:\n"
    "n = 0\n"
    ".rept 256\n"
    "	.byte	0xcd, n, 0xc3, 0xcc\n"
    "	n = n + 1\n"
    ".endr\n");

void int_n(unsigned int vector)
{
	/* Below the red zone, which a called function's frame is not. */
	asm volatile("sub $128, %%rsp; call *%0; add $128, %%rsp"
		     : : "r"(int_stubs + 4 * vector) : "memory", "cc");
}

void regs_fill(struct dune_regs *r, uint64_t *seed)
{
	uint64_t *word = (uint64_t *)r;

	for (unsigned int i = 0; i < 16; i++)
		word[i] = rnd(seed) | 1;
	r->rdx = 0xfffffff0;			/* divide: by less */
	r->r15 = 7;
	r->rbp = 0x8000000000000000 | rnd(seed) >> 2;	/* not canonical */
	r->r8 = 0x7000000000000000;
	r->r9 = 0xfff8;
	r->r10 = NOWHERE;
	/* CF, PF, AF, ZF, SF, OF at random, DF; IF stays. */
	r->rflags = (rnd(seed) & 0x8d5) | 0x602;
}

void regs_check(const char *what, const struct dune_regs *got,
		const struct dune_regs *want)
{
	static const char *const names[] = {
		"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8",
		"r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip", "rflags",
	};
	const uint64_t *g = (const uint64_t *)got, *w = (const uint64_t *)want;

	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		if (i == 4 || i == 16)
			continue;
		if (g[i] != w[i])
			FAIL("%s: %s is %#llx, want %#llx", what, names[i],
			     (unsigned long long)g[i], (unsigned long long)w[i]);
		check_count++;
	}
}

void trap_regs(struct dune_regs *r, const struct dune_trap *trap)
{
	*r = (struct dune_regs){
		.rax = trap->rax, .rcx = trap->rcx, .rdx = trap->rdx,
		.rbx = trap->rbx, .rsp = trap->rsp, .rbp = trap->rbp,
		.rsi = trap->rsi, .rdi = trap->rdi, .r8 = trap->r8,
		.r9 = trap->r9, .r10 = trap->r10, .r11 = trap->r11,
		.r12 = trap->r12, .r13 = trap->r13, .r14 = trap->r14,
		.r15 = trap->r15, .rip = trap->rip, .rflags = trap->rflags,
	};
}
