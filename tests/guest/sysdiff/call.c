// SPDX-License-Identifier: GPL-2.0 OR MIT
/* One SYSCALL with every register known before and looked at after it. */
#include "sysdiff.h"

#include <string.h>
#include <sys/mman.h>

const char *const sd_mode_name[] = { "native", "re-issued", "fast" };

/* General registers in hardware encoding order. */
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

struct regs {
	uint64_t in[16];	/* 0 */
	uint64_t out[16];	/* 128 */
	uint64_t flags_in;	/* 256 */
	uint64_t flags_out;	/* 264 */
	uint64_t next;		/* 272: the instruction behind SYSCALL */
	uint64_t sp;		/* 280 */
	uint64_t red_in[16];	/* 288 */
	uint64_t red_out[16];	/* 416 */
	uint64_t pad[4];
	uint64_t xmm_in[32];	/* 576 */
	uint64_t xmm_out[32];	/* 832 */
} __attribute__((aligned(64)));

_Static_assert(offsetof(struct regs, out) == 128, "call_with_regs");
_Static_assert(offsetof(struct regs, flags_in) == 256, "call_with_regs");
_Static_assert(offsetof(struct regs, red_in) == 288, "call_with_regs");
_Static_assert(offsetof(struct regs, red_out) == 416, "call_with_regs");
_Static_assert(offsetof(struct regs, xmm_in) == 576, "call_with_regs");
_Static_assert(offsetof(struct regs, xmm_out) == 832, "call_with_regs");

void call_with_regs(struct regs *r);

/* The struct's address is at the top of the stack during the call. */
asm(".text\n"
    ".type call_with_regs, @function\n"
    "call_with_regs:\n"
    "	push %rbp\n	push %rbx\n	push %r12\n	push %r13\n"
    "	push %r14\n	push %r15\n	pushfq\n	push %rdi\n"
    ".irp x, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
    "	movaps 576 + 16 * \\x(%rdi), %xmm\\x\n"
    ".endr\n"
    "	mov %rsp, 280(%rdi)\n"
    "	lea 1f(%rip), %rax\n"
    "	mov %rax, 272(%rdi)\n"
    "	pushq 256(%rdi)\n"
    "	popfq\n"
    ".irp x, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
    "	mov 288 + 8 * \\x(%rdi), %rax\n"
    "	mov %rax, -128 + 8 * \\x(%rsp)\n"
    ".endr\n"
    "	mov 0(%rdi), %rax\n	mov 8(%rdi), %rcx\n	mov 16(%rdi), %rdx\n"
    "	mov 24(%rdi), %rbx\n	mov 40(%rdi), %rbp\n	mov 48(%rdi), %rsi\n"
    "	mov 64(%rdi), %r8\n	mov 72(%rdi), %r9\n	mov 80(%rdi), %r10\n"
    "	mov 88(%rdi), %r11\n	mov 96(%rdi), %r12\n	mov 104(%rdi), %r13\n"
    "	mov 112(%rdi), %r14\n	mov 120(%rdi), %r15\n	mov 56(%rdi), %rdi\n"
    "	syscall\n"
    "1:\n"
    "	xchg %rax, (%rsp)\n"
    "	mov %rcx, 136(%rax)\n	mov %rdx, 144(%rax)\n	mov %rbx, 152(%rax)\n"
    "	mov %rsp, 160(%rax)\n	mov %rbp, 168(%rax)\n	mov %rsi, 176(%rax)\n"
    "	mov %rdi, 184(%rax)\n	mov %r8, 192(%rax)\n	mov %r9, 200(%rax)\n"
    "	mov %r10, 208(%rax)\n	mov %r11, 216(%rax)\n	mov %r12, 224(%rax)\n"
    "	mov %r13, 232(%rax)\n	mov %r14, 240(%rax)\n	mov %r15, 248(%rax)\n"
    ".irp x, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
    "	mov -128 + 8 * \\x(%rsp), %rcx\n"
    "	mov %rcx, 416 + 8 * \\x(%rax)\n"
    "	movaps %xmm\\x, 832 + 16 * \\x(%rax)\n"
    ".endr\n"
    "	pop %rcx\n"
    "	mov %rcx, 128(%rax)\n"
    "	pushfq\n"
    "	pop 264(%rax)\n"
    "	popfq\n"
    "	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n"
    "	pop %rbx\n	pop %rbp\n"
    "	ret\n"
    ".size call_with_regs, . - call_with_regs\n");

/* CF, all of the arithmetic ones, DF, AC, ID, NT: what SYSRET gives back. */
static const uint64_t some_flags[] = {
	0x202, 0x203, 0xad7, 0x602, 0x40202, 0x200202, 0x4202,
};

static volatile struct dune_vcpu_page *page;

void sd_setup_modes(void)
{
	if (opt.native)
		return;
	mode_enter();
	mode_exit();
	page = mmap(NULL, DUNE_VCPU_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		    dune_vcpu_fd(), 0);
	REQUIRE(page != MAP_FAILED);
}

void sd_begin(enum sd_mode mode)
{
	if (opt.native || mode == SD_NATIVE)
		return;
	mode_enter();
	/* After it: libdune sets the flags anew when a thread enters. */
	if (mode == SD_REISSUE)
		page->run_flags |= DUNE_RUN_REISSUE;
	else
		page->run_flags &= ~DUNE_RUN_REISSUE;
}

void sd_end(enum sd_mode mode)
{
	if (!opt.native && mode != SD_NATIVE)
		mode_exit();
}

static uint64_t counter(enum dune_vcpu_counter i)
{
	return opt.native ? 0 : page->counters[i];
}

/*
 * CF, PF, AF, ZF, SF, OF: no compiler expects them to live over a call, and
 * libdune's way back does without them. r11 has them.
 */
#define ARITHMETIC	0x8d5ul

static void check_kept(const struct regs *r)
{
	uint64_t ignored = dune_inside() ? ARITHMETIC : 0;
	static const char *const names[] = {
		"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8",
		"r9", "r10", "r11", "r12", "r13", "r14", "r15",
	};

	for (int i = 0; i < 16; i++) {
		uint64_t want = i == RCX ? r->next : i == R11 ? r->flags_in :
				i == RSP ? r->sp : r->in[i];

		if (i != RAX && r->out[i] != want)
			FAIL("call %#lx: %s is %#lx, not %#lx", r->in[RAX],
			     names[i], r->out[i], want);
	}
	if ((r->flags_out ^ r->flags_in) & ~ignored)
		FAIL("call %#lx: flags are %#lx, not %#lx", r->in[RAX],
		     r->flags_out, r->flags_in);
	if (memcmp(r->red_in, r->red_out, sizeof(r->red_in)))
		FAIL("call %#lx: the red zone has changed", r->in[RAX]);
	if (memcmp(r->xmm_in, r->xmm_out, sizeof(r->xmm_in)))
		FAIL("call %#lx: vector registers have changed", r->in[RAX]);
	check_count++;
}

struct sd_made sd_call(uint64_t rax, const uint64_t args[6])
{
	static unsigned int turn;
	uint64_t seed = opt.seed + turn;
	uint64_t fast, calls;
	struct regs r;

	for (int i = 0; i < 16; i++) {
		r.in[i] = rnd(&seed);
		r.red_in[i] = rnd(&seed);
		r.xmm_in[2 * i] = rnd(&seed);
		r.xmm_in[2 * i + 1] = rnd(&seed);
	}
	r.in[RAX] = rax;
	r.in[RDI] = args[0];
	r.in[RSI] = args[1];
	r.in[RDX] = args[2];
	r.in[R10] = args[3];
	r.in[R8] = args[4];
	r.in[R9] = args[5];
	r.flags_in = some_flags[turn++ % ARRAY_SIZE(some_flags)];
	fast = counter(DUNE_VCPU_fast_syscalls);
	calls = counter(DUNE_VCPU_syscalls);
	call_with_regs(&r);
	fast = counter(DUNE_VCPU_fast_syscalls) - fast;
	calls = counter(DUNE_VCPU_syscalls) - calls;
	check_kept(&r);
	return (struct sd_made){ r.out[RAX], fast, calls };
}
