// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Exceptions become signals, with the registers that the program had. */
#include "fault.h"

#include <sys/mman.h>

const int greg_of[NR_REGS] = {
	REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

void regs_fill(uint64_t seed)
{
	uint64_t state = seed * 2 + 1;

	for (int i = 0; i < NR_REGS; i++)
		regs_in.r[i] = rnd(&state);
	regs_in.r[RSP] = 0;
	regs_in.flags = FLAGS_USUAL;
	memset(&regs_out, 0, sizeof(regs_out));
}

void regs_same(const char *where, unsigned int but)
{
	for (int i = 0; i < NR_REGS; i++) {
		if (!(but & 1u << i) && !CHECK_EQ(regs_out.r[i], regs_in.r[i]))
			FAIL("%s: register %d", where, i);
	}
	if (!CHECK_EQ(regs_out.flags, regs_in.flags))
		FAIL("%s: flags", where);
}

enum place { NOWHERE, UNMAPPED, READ_ONLY, NO_ACCESS, NOT_CODE, BEYOND_FILE, ODD, NON_CANONICAL,
	     KERNEL };
enum address { ADDR_RBX, ADDR_RIP, ADDR_NONE, ADDR_NEXT };

struct fault {
	const char *name, *code, *at;	/* at: rip in the signal; NULL: code */
	int sig, si_code, trap;
	long err;			/* REG_ERR */
	enum place place;
	enum address addr;
	uint64_t rbx;			/* where there is no place */
};

/* Trap numbers of the CPU. */
enum { DE = 0, DB = 1, BP = 3, UD = 6, GP = 13, PF = 14, MF = 16, AC = 17, XM = 19 };
/* Error code of a page fault: present, write, user, fetch. */
enum { P = 1, W = 2, U = 4, I = 16 };

static const struct fault faults[] = {
	{ "read", fault_read, NULL, SIGSEGV, SEGV_MAPERR, PF, U, UNMAPPED, ADDR_RBX, 0 },
	{ "write", fault_write, NULL, SIGSEGV, SEGV_MAPERR, PF, U | W, UNMAPPED, ADDR_RBX, 0 },
	{ "write, read-only", fault_write, NULL, SIGSEGV, SEGV_ACCERR, PF, U | W, READ_ONLY, ADDR_RBX, 0 },
	{ "atomic", fault_atomic, NULL, SIGSEGV, SEGV_ACCERR, PF, U | W, READ_ONLY, ADDR_RBX, 0 },
	{ "no access", fault_read, NULL, SIGSEGV, SEGV_ACCERR, PF, U, NO_ACCESS, ADDR_RBX, 0 },
	{ "kernel's", fault_read, NULL, SIGSEGV, SEGV_MAPERR, PF, U | P, KERNEL, ADDR_RBX, 0 },
	{ "jump", fault_jump, NULL, SIGSEGV, SEGV_ACCERR, PF, U | I, NOT_CODE, ADDR_RBX, 0 },
	{ "jump nowhere", fault_jump, NULL, SIGSEGV, SEGV_MAPERR, PF, U | I, UNMAPPED, ADDR_RBX, 0 },
	{ "beyond file", fault_read, NULL, SIGBUS, BUS_ADRERR, PF, U, BEYOND_FILE, ADDR_RBX, 0 },
	{ "non-canonical", fault_read, NULL, SIGSEGV, SI_KERNEL, GP, 0, NON_CANONICAL, ADDR_NONE, 0 },
	{ "movaps", fault_movaps, NULL, SIGSEGV, SI_KERNEL, GP, 0, ODD, ADDR_NONE, 0 },
	{ "ud2", fault_ud2, NULL, SIGILL, ILL_ILLOPN, UD, 0, NOWHERE, ADDR_RIP, 7 },
	{ "int3", fault_int3, fault_int3_next, SIGTRAP, SI_KERNEL, BP, 0, NOWHERE, ADDR_NONE, 7 },
	{ "divide", fault_divide, NULL, SIGFPE, FPE_INTDIV, DE, 0, NOWHERE, ADDR_RIP, 0 },
	{ "rdmsr", fault_rdmsr, NULL, SIGSEGV, SI_KERNEL, GP, 0, NOWHERE, ADDR_NONE, 7 },
	{ "int 0x81", fault_int81, NULL, SIGSEGV, SI_KERNEL, GP, 0x81 * 8 + 2, NOWHERE, ADDR_NONE, 7 },
};
#define NR_FAULTS	(sizeof(faults) / sizeof(*faults))

static const struct fault *now;
static struct {
	int count, sig, si_code;
	uint64_t address;
	greg_t gregs[NGREG];
	uint64_t new_values;	/* seed of what the handler puts there; 0: nothing */
} seen;


static void on_fault(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	uint64_t state = seen.new_values;

	if (seen.count++) {
		static const char text[] = "a fault again in or behind the handler\n";

		if (write(2, text, sizeof(text) - 1) < 0)
			_exit(4);
		_exit(3);
	}
	seen.sig = sig;
	seen.si_code = info->si_code;
	seen.address = (uint64_t)info->si_addr;
	memcpy(seen.gregs, uc->uc_mcontext.gregs, sizeof(seen.gregs));
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)regs_done;
	uc->uc_mcontext.gregs[REG_EFL] &= ~0x40100ll;
	if (!state)
		return;
	for (int i = 0; i < NR_REGS; i++) {
		uint64_t value = rnd(&state);

		if (i != RSP)
			uc->uc_mcontext.gregs[greg_of[i]] = value;
	}
	uc->uc_mcontext.gregs[REG_EFL] = (greg_t)(FLAGS_ALL & ~0x400);
}

static char *place_of(enum place place)
{
	static char *page, *file;

	if (!page) {
		FILE *f = tmpfile();

		page = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		REQUIRE(f && page != MAP_FAILED);
		mprotect(page + 4096, 4096, PROT_READ);
		mprotect(page + 8192, 4096, PROT_NONE);
		file = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fileno(f), 0);
		REQUIRE(file != MAP_FAILED);
		/* Last: nothing is to take its place. */
		munmap(page, 4096);
	}
	switch (place) {
	case UNMAPPED:
		return page + 0x123;
	case READ_ONLY:
		return page + 4096 + 0x230;
	case NO_ACCESS:
		return page + 8192 + 0x345;
	case NOT_CODE:
	case ODD:
		return page + 3 * 4096 + 0x400;
	case BEYOND_FILE:
		return file + 0x777;
	case NON_CANONICAL:
		return (char *)0x1234567890abcdef;
	case KERNEL:
		return (char *)0xffffffff81000000;
	default:
		return NULL;
	}
}

/* The page's presence is the kernel's affair; of kernel addresses it says that it is there. */
#define ERR_MASK	(~(long)P)

static void judge(const struct fault *f)
{
	uint64_t rip = (uint64_t)(f->at ? f->at : f->code);
	uint64_t addr = f->addr == ADDR_RBX ? regs_in.r[RBX] : f->addr == ADDR_RIP ? rip : 0;

	/* A jump has been made when its target faults. */
	if (f->code == fault_jump)
		rip = regs_in.r[RBX];
	CHECK_EQ(seen.count, 1);
	CHECK_EQ(seen.sig, f->sig);
	CHECK_EQ(seen.si_code, f->si_code);
	CHECK_EQ(seen.address, addr);
	CHECK_EQ(seen.gregs[REG_RIP], rip);
	CHECK_EQ(seen.gregs[REG_TRAPNO], f->trap);
	if (f->trap == PF)
		CHECK_EQ(seen.gregs[REG_ERR] & ERR_MASK, f->err & ERR_MASK);
	else
		CHECK_EQ(seen.gregs[REG_ERR], f->err);
	if (f->trap == PF)
		CHECK_EQ(seen.gregs[REG_CR2], addr);
	for (int i = 0; i < NR_REGS; i++)
		if (!CHECK_EQ(seen.gregs[greg_of[i]], regs_in.r[i]))
			FAIL("register %d", i);
	/* RF is the CPU's, it comes with faults. */
	CHECK_EQ(seen.gregs[REG_EFL] & ~0x10000, regs_in.flags);
}

static void one(const struct fault *f, uint64_t seed, uint64_t new_values)
{
	int before = check_failures;

	now = f;
	memset(&seen, 0, sizeof(seen));
	seen.new_values = new_values;
	regs_fill(seed);
	regs_in.r[RBX] = f->place == NOWHERE ? f->rbx : (uint64_t)place_of(f->place);
	/* Half of the time with all flags; DF would only matter to string code. */
	regs_in.flags = seed & 1 ? FLAGS_ALL : FLAGS_USUAL;
	regs_code = f->code;
	regs_run();
	judge(f);
	if (new_values) {
		uint64_t state = new_values;

		for (int i = 0; i < NR_REGS; i++) {
			uint64_t value = rnd(&state);

			regs_in.r[i] = i == RSP ? regs_in.r[i] : value;
		}
		regs_in.flags = FLAGS_ALL & ~0x400ul;
	}
	regs_same(f->name, 0);
	if (check_failures != before)
		FAIL("that was: %s", f->name);
}

static void faults_start(void)
{
	static const int sigs[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };

	for (unsigned int i = 0; i < sizeof(sigs) / sizeof(*sigs); i++)
		handle(sigs[i], on_fault, 0);
}

static void faults_seen(void)
{
	unsigned long n = rounds(4);

	faults_start();
	for (unsigned long round = 0; round < n; round++)
		for (unsigned int i = 0; i < NR_FAULTS; i++)
			one(&faults[i], round * NR_FAULTS + i + 1, 0);
}

static void faults_changed(void)
{
	unsigned long n = rounds(4);

	faults_start();
	for (unsigned long round = 0; round < n; round++)
		for (unsigned int i = 0; i < NR_FAULTS; i++)
			one(&faults[i], round * NR_FAULTS + i + 1, round * 1000 + i + 77);
}

/* --- those that need more than registers --- */

static void privileged(const char *name, const char *code)
{
	const struct fault f = { name, code, NULL, SIGSEGV, SI_KERNEL, GP, 0, NOWHERE, ADDR_NONE, 7 };

	faults_start();
	one(&f, 3, 0);
}

static void cli(void)
{
	privileged("cli", fault_cli);
}

static void hlt(void)
{
	privileged("hlt", fault_hlt);
}

static void step(void)
{
	static const struct fault trace = {
		"single step", fault_step, fault_step_next, SIGTRAP, TRAP_TRACE, DB, 0, NOWHERE,
		ADDR_NEXT, 0,
	};

	faults_start();
	memset(&seen, 0, sizeof(seen));
	regs_fill(5);
	regs_code = trace.code;
	regs_run();
	CHECK_EQ(seen.count, 1);
	CHECK_EQ(seen.sig, SIGTRAP);
	CHECK_EQ(seen.si_code, TRAP_TRACE);
	CHECK_EQ(seen.address, (uint64_t)fault_step_next);
	CHECK_EQ(seen.gregs[REG_RIP], (uint64_t)fault_step_next);
	CHECK_EQ(seen.gregs[REG_TRAPNO], DB);
	CHECK_EQ(seen.gregs[REG_EFL] & 0x100, 0x100);
	regs_same("single step", 0);
}

static void sse_handler(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	seen.count++;
	seen.sig = sig;
	seen.si_code = info->si_code;
	seen.address = (uint64_t)info->si_addr;
	memcpy(seen.gregs, uc->uc_mcontext.gregs, sizeof(seen.gregs));
	/* Mask all, and drop what is pending. */
	uc->uc_mcontext.fpregs->mxcsr = 0x1f80;
	uc->uc_mcontext.fpregs->cwd = 0x37f;
	uc->uc_mcontext.fpregs->swd = 0;
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)regs_done;
}

static void floating(void)
{
	static const float one_[4] = { 1, 1, 1, 1 };
	unsigned int mxcsr = 0x1f80 & ~0x200, mxcsr_after = 0;
	unsigned short cw = 0x37f & ~4, cw_after = 0;

	handle(SIGFPE, sse_handler, 0);
	memset(&seen, 0, sizeof(seen));
	regs_fill(6);
	regs_code = fault_sse;
	asm volatile("ldmxcsr %0\n\tmovups %1, %%xmm0\n\txorps %%xmm1, %%xmm1"
		     : : "m" (mxcsr), "m" (one_) : "xmm0", "xmm1");
	regs_run();
	asm volatile("stmxcsr %0" : "=m" (mxcsr_after));
	CHECK_EQ(seen.count, 1);
	CHECK_EQ(seen.si_code, FPE_FLTDIV);
	CHECK_EQ(seen.address, (uint64_t)fault_sse);
	CHECK_EQ(seen.gregs[REG_TRAPNO], XM);
	CHECK_EQ(mxcsr_after, 0x1f80);
	regs_same("divps", 0);

	memset(&seen, 0, sizeof(seen));
	regs_fill(7);
	regs_code = fault_x87;
	asm volatile("fldcw %0\n\tfldz\n\tfld1\n\tfdiv %%st(1), %%st" : : "m" (cw));
	regs_run();
	asm volatile("fnstcw %0\n\tfninit" : "=m" (cw_after));
	CHECK_EQ(seen.count, 1);
	CHECK_EQ(seen.si_code, FPE_FLTDIV);
	CHECK_EQ(seen.gregs[REG_TRAPNO], MF);
	CHECK_EQ(cw_after, 0x37f);
	regs_same("x87", 0);
}

/* The handler mends what was wrong; the instruction is executed once more. */
static char *mended;
static int mends;

static void mend(int sig, siginfo_t *info, void *context)
{
	mends++;
	if ((char *)info->si_addr >= mended && (char *)info->si_addr < mended + (1 << 20))
		mprotect((void *)((uint64_t)info->si_addr & -4096ul), 4096, PROT_READ | PROT_WRITE);
	else
		_exit(5);
}

static void mending(void)
{
	mended = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(mended != MAP_FAILED);
	handle(SIGSEGV, mend, 0);
	for (int i = 0; i < 256; i++)
		__atomic_add_fetch((int *)(mended + i * 4096 + 16), i + 1, __ATOMIC_RELAXED);
	CHECK_EQ(mends, 256);
	for (int i = 0; i < 256; i++)
		CHECK_EQ(*(int *)(mended + i * 4096 + 16), i + 1);
}

const struct part fault_parts[] = {
	{ "faults", "exceptions become the right signal, with the registers of the program", faults_seen },
	{ "faults_changed", "a handler changes all registers", faults_changed },
	{ "cli", "CLI is not for programs", cli },
	{ "hlt", "HLT is not for programs", hlt },
	{ "step", "a single step by TF", step },
	{ "floating", "exceptions of SSE and x87; the handler changes their control", floating },
	{ "mending", "a handler maps what was missing, and the access is made", mending },
	{ NULL, NULL, NULL },
};
