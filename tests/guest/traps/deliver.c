// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Handlers that want the signal, and traps of handlers that nobody handles. */
#include "traps.h"

#include <setjmp.h>
#include <ucontext.h>

static struct {
	int sig, code;
	void *addr;
	struct dune_regs regs;
	uint64_t xmm5;
} got;
static sigjmp_buf jump;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;
	const greg_t *g = uc->uc_mcontext.gregs;

	got.sig = sig;
	got.code = info->si_code;
	got.addr = info->si_addr;
	got.regs = (struct dune_regs){
		.rax = g[REG_RAX], .rcx = g[REG_RCX], .rdx = g[REG_RDX],
		.rbx = g[REG_RBX], .rsp = g[REG_RSP], .rbp = g[REG_RBP],
		.rsi = g[REG_RSI], .rdi = g[REG_RDI], .r8 = g[REG_R8],
		.r9 = g[REG_R9], .r10 = g[REG_R10], .r11 = g[REG_R11],
		.r12 = g[REG_R12], .r13 = g[REG_R13], .r14 = g[REG_R14],
		.r15 = g[REG_R15], .rip = g[REG_RIP], .rflags = g[REG_EFL],
	};
	memcpy(&got.xmm5, uc->uc_mcontext.fpregs->_xmm[5].element, 8);
	mode_abandon();
	siglongjmp(jump, 1);
}

static enum dune_trap_action deliver(struct dune_trap *trap, void *arg)
{
	uint64_t *rbx = arg;

	asm volatile("movq %0, %%xmm5" : : "r"(1ul) : "xmm5");
	if (rbx)
		trap->rbx = *rbx;
	return DUNE_TRAP_DELIVER;
}

static void delivered(const char *name, int sig, int code, unsigned int flags)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
	const struct site *site = site_named(name);
	uint64_t seed = opt.seed, rbx = 0x5123456789;
	static struct dune_regs in, out;

	memset(&got, 0, sizeof(got));
	regs_fill(&in, &seed);
	in.rflags &= ~0x400ul;
	REQUIRE(sigaction(sig, &sa, NULL) == 0);
	CHECK_EQ(dune_trap_register(site->vector, deliver, &rbx, flags), 0);
	if (!sigsetjmp(jump, 1)) {
		mode_enter();
		asm volatile("movq %0, %%xmm5" : : "r"(0x5555aaaa77ul) : "xmm5");
		site->fn(&in, &out);
		FAIL("%s: nothing happened", name);
	}
	CHECK(!dune_inside());
	CHECK_EQ(got.sig, sig);
	CHECK_EQ(got.code, code);
	CHECK_EQ(got.regs.rip, (uintptr_t)site->insn);
	in.rbx = rbx;
	got.regs.rflags &= ~0x10000ul;
	regs_check(name, &got.regs, &in);
	/* A full handler's own vector registers are gone. */
	CHECK_EQ(got.xmm5, flags & DUNE_TRAP_FAST ? 1 : 0x5555aaaa77);
	dune_trap_unregister(site->vector);
	signal(sig, SIG_DFL);
}

void part_deliver(void)
{
	delivered("undefined", SIGILL, ILL_ILLOPN, 0);
	delivered("divide", SIGFPE, FPE_INTDIV, 0);
	delivered("protection", SIGSEGV, SI_KERNEL, 0);
	delivered("stack", SIGBUS, SI_KERNEL, 0);
	delivered("read", SIGSEGV, SEGV_MAPERR, 0);
	delivered("write", SIGSEGV, SEGV_MAPERR, 0);
	delivered("undefined", SIGILL, ILL_ILLOPN, DUNE_TRAP_FAST);
}

static int fixed;

static void on_fpe(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	CHECK(!dune_inside());
	uc->uc_mcontext.gregs[REG_RCX] = 5;
	fixed++;
}

static enum dune_trap_action divides(struct dune_trap *trap, void *arg)
{
	unsigned int quotient = 100, rest = 0;

	CHECK(dune_inside());
	asm volatile("divl %%ecx" : "+a"(quotient), "+d"(rest) : "c"(0) : "cc");
	CHECK_EQ(quotient, 20);
	/* The signal's handler repaired it: on in plain mode. */
	CHECK(!dune_inside());
	CHECK_EQ(dune_enter(), -EBUSY);
	trap->rip += 2;
	trap->rbx = 99;
	return DUNE_TRAP_RESUME;
}

/* A handler's own exception becomes a signal; it returns in plain mode then. */
void part_crash_inside(void)
{
	struct sigaction sa = { .sa_sigaction = on_fpe, .sa_flags = SA_SIGINFO };
	uint64_t rbx = 0;

	REQUIRE(sigaction(SIGFPE, &sa, NULL) == 0);
	CHECK_EQ(dune_trap_register(DUNE_VECTOR_UD, divides, NULL, 0), 0);
	for (int i = 0; i < 2 * DUNE_TRAP_NESTING; i++) {
		fixed = 0;
		rbx = 0;
		mode_enter();
		asm volatile("ud2" : "+b"(rbx) : : "memory");
		CHECK_EQ(rbx, 99);
		CHECK_EQ(fixed, 1);
		CHECK(!dune_inside());
	}
	dune_trap_unregister(DUNE_VECTOR_UD);
	signal(SIGFPE, SIG_DFL);
}
