// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Handlers that want the signal, and traps of handlers that nobody handles. */
#include "gib.h"
#include "traps.h"

#include <setjmp.h>
#include <sys/mman.h>
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

static enum dune_trap_action takes_away(struct dune_trap *trap, void *arg)
{
	*(uint8_t *)arg = 0xb8;
	dune_trap_unregister(DUNE_VECTOR_BP);
	return DUNE_TRAP_DELIVER;
}

/*
 * A debugger's INT3 that is gone when the trap becomes a signal: the instruction
 * that it stood on is executed, from its beginning.
 */
void part_breakpoint_gone(void)
{
	static const uint8_t code[] = { 0xcc, 0x90, 0x90, 0x90, 0x90, 0xc3 };
	uint8_t *before = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *at = before + 4096;
	uint32_t (*mov)(void) = (uint32_t (*)(void))at;

	REQUIRE(before != MAP_FAILED);
	/* Nobody has to look there. */
	REQUIRE(!munmap(before, 4096));
	memcpy(at, code, sizeof(code));
	CHECK_EQ(dune_trap_register(DUNE_VECTOR_BP, takes_away, at, 0), 0);
	mode_enter();
	CHECK_EQ(mov(), 0x90909090);
	CHECK(!dune_inside());
	munmap(at, 4096);
}

/* Memory that the guest page table alone forbids to write. */
static struct {
	char *memory;
	int calls, code;
	void *addr;
	bool inside;
	uint64_t xmm5;
	greg_t gregs[23];
	sigset_t mask;
} own;

static void on_guests_own(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	own.calls++;
	own.code = info->si_code;
	own.addr = info->si_addr;
	own.inside = dune_inside();
	memcpy(own.gregs, uc->uc_mcontext.gregs, sizeof(own.gregs));
	memcpy(&own.xmm5, uc->uc_mcontext.fpregs->_xmm[5].element, 8);
	own.mask = uc->uc_sigmask;
	uc->uc_mcontext.gregs[REG_RAX] = 3;
}

extern const char guests_own_insn[];

/* In Dune mode the write is a fault, in plain mode, done again, it is none. */
__attribute__((noipa)) static uint64_t write_own(uint64_t rax)
{
	asm volatile("movq %2, %%xmm5\n"
		     "guests_own_insn: movb %%al, (%1)\n"
		     : "+a"(rax) : "r"(own.memory + 8), "r"(0x77665544332211ul)
		     : "memory", "xmm5");
	return rax;
}

static void guests_own(bool registered)
{
	struct sigaction sa = { .sa_sigaction = on_guests_own, .sa_flags = SA_SIGINFO };
	sigset_t usr2;

	own.calls = 0;
	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	REQUIRE(sigprocmask(SIG_SETMASK, &usr2, NULL) == 0);
	REQUIRE(sigaction(SIGSEGV, &sa, NULL) == 0);
	if (registered)
		CHECK_EQ(dune_trap_register(DUNE_VECTOR_PF, deliver, NULL, 0), 0);
	mode_enter();
	own.memory[8] = 1;
	gib_protect(own.memory, DUNE_R | DUNE_X | DUNE_U);
	CHECK_EQ(write_own(2), 3);
	CHECK(!dune_inside());
	CHECK_EQ(own.memory[8], 3);
	CHECK_EQ(own.calls, 1);
	CHECK_EQ(own.code, SEGV_ACCERR);
	CHECK(own.addr == own.memory + 8);
	CHECK(!own.inside);
	CHECK_EQ(own.gregs[REG_RIP], (uintptr_t)guests_own_insn);
	CHECK_EQ(own.gregs[REG_RAX], 2);
	CHECK_EQ(own.xmm5, 0x77665544332211);
	CHECK(sigismember(&own.mask, SIGUSR2) == 1);
	CHECK(sigismember(&own.mask, SIGSEGV) == 0);
	/* And in Dune mode again. */
	mode_enter();
	gib_protect(own.memory, DUNE_R | DUNE_W | DUNE_X | DUNE_U);
	own.memory[8] = 4;
	mode_exit();
	dune_trap_unregister(DUNE_VECTOR_PF);
	signal(SIGSEGV, SIG_DFL);
	sigemptyset(&usr2);
	sigprocmask(SIG_SETMASK, &usr2, NULL);
}

static void do_deadly(void *how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	if (how == (void *)1)
		sigprocmask(SIG_BLOCK, &set, NULL);
	if (how == (void *)2)
		signal(SIGSEGV, SIG_IGN);
	mode_enter();
	own.memory[8] = 1;
	gib_protect(own.memory, DUNE_R | DUNE_X | DUNE_U);
	write_own(2);
	_exit(9);
}

/* SIGSEGV though the program's own memory map would allow the access. */
void part_guests_own(void)
{
	own.memory = gib_map(1);
	guests_own(false);
	guests_own(true);
	for (uintptr_t how = 0; how < 3; how++) {
		int status = run_child(60, do_deadly, (void *)how);

		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	}
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
