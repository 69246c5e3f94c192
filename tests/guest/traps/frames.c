// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Each vector reaches its handler with the true state, and goes on with any. */
#include "traps.h"

#define FLAG_RF 0x10000
#define FLAG_DF 0x400
#define FLAG_IF 0x200
#define FLAG_TF 0x100

static struct {
	int calls;
	struct dune_trap trap;
	uint64_t flags_inside;
	void *arg;
	uint64_t skip_to;	/* if not 0: go on there */
	const struct dune_regs *new;	/* if not NULL: with these */
} seen;

static void note(struct dune_trap *trap, void *arg)
{
	seen.calls++;
	seen.flags_inside = __builtin_ia32_readeflags_u64();
	seen.trap = *trap;
	seen.arg = arg;
}

static enum dune_trap_action take(struct dune_trap *trap, void *arg)
{
	const struct dune_regs *n = seen.new;

	note(trap, arg);
	if (seen.skip_to)
		trap->rip = seen.skip_to;
	if (!n)
		return DUNE_TRAP_RESUME;
	trap->rax = n->rax;
	trap->rcx = n->rcx;
	trap->rdx = n->rdx;
	trap->rbx = n->rbx;
	trap->rbp = n->rbp;
	trap->rsi = n->rsi;
	trap->rdi = n->rdi;
	trap->r8 = n->r8;
	trap->r9 = n->r9;
	trap->r10 = n->r10;
	trap->r11 = n->r11;
	trap->r12 = n->r12;
	trap->r13 = n->r13;
	trap->r14 = n->r14;
	trap->r15 = n->r15;
	trap->rflags = n->rflags;
	return DUNE_TRAP_RESUME;
}

/* The vectors whose cause is a state, which the handler ends. */
DUNE_TRAP_FAST_FN static enum dune_trap_action take_device(struct dune_trap *trap, void *arg)
{
	asm volatile("clts");
	note(trap, arg);
	return DUNE_TRAP_RESUME;
}

static enum dune_trap_action take_x87(struct dune_trap *trap, void *arg)
{
	uint8_t *legacy = trap->xsave;

	note(trap, arg);
	legacy[2] &= 0x7f;	/* FSW: no exception pending */
	legacy[2] &= ~4;
	return DUNE_TRAP_RESUME;
}

static enum dune_trap_action take_simd(struct dune_trap *trap, void *arg)
{
	uint32_t *mxcsr = (uint32_t *)((char *)trap->xsave + 24);

	note(trap, arg);
	*mxcsr |= 0x1f80;
	return DUNE_TRAP_RESUME;
}

static void cause(const struct site *site)
{
	static const float one = 1, zero;
	uint32_t csr = 0x1f80 & ~0x200;
	uint16_t cw = 0x37f & ~4;

	switch (site->vector) {
	case DUNE_VECTOR_NM:
		asm volatile("mov %%cr0, %%rax; or $8, %%rax; mov %%rax, %%cr0"
			     : : : "rax");
		break;
	case DUNE_VECTOR_MF:
		asm volatile("fninit; fldcw %0; fldz; fld1; fdivp" : : "m"(cw));
		break;
	case DUNE_VECTOR_XM:
		asm volatile("movss %1, %%xmm0; movss %2, %%xmm1; ldmxcsr %0"
			     : : "m"(csr), "m"(one), "m"(zero) : "xmm0", "xmm1");
		break;
	}
}

static void no_cause(void)
{
	uint32_t csr = 0x1f80;

	asm volatile("fninit; ldmxcsr %0" : : "m"(csr));
}

static dune_trap_fn handler_of(const struct site *site)
{
	switch (site->vector) {
	case DUNE_VECTOR_NM:
		return take_device;
	case DUNE_VECTOR_MF:
		return take_x87;
	case DUNE_VECTOR_XM:
		return take_simd;
	default:
		return take;
	}
}

static void check_trap(const struct site *site, const struct dune_regs *in)
{
	uint64_t rip = (uintptr_t)(site->trap ? site->end : site->insn);
	struct dune_regs regs;

	CHECK_EQ(seen.calls, 1);
	CHECK(seen.arg == site);
	CHECK_EQ(seen.trap.vector, site->vector);
	CHECK_EQ(seen.trap.error_code, site->error_code);
	if (site->vector == DUNE_VECTOR_PF)
		CHECK_EQ(seen.trap.fault_addr, NOWHERE);
	CHECK_EQ(seen.trap.cs, 0x10);
	CHECK_EQ(seen.trap.ss, 0x18);
	CHECK_EQ(seen.trap.rip, rip);
	trap_regs(&regs, &seen.trap);
	regs.rflags &= ~FLAG_RF;
	regs_check(site->name, &regs, in);
	CHECK_EQ(seen.flags_inside & FLAG_DF, 0);
	/* Interrupts: as before in exceptions, off in what is none. */
	CHECK_EQ(seen.flags_inside & FLAG_IF,
		 site->vector < DUNE_VECTOR_USER ? FLAG_IF : 0);
	CHECK_EQ(seen.trap.xsave != NULL, site->vector != DUNE_VECTOR_NM);
}

static void one_vector(const struct site *site, uint64_t *seed)
{
	bool fast = site->vector == DUNE_VECTOR_NM;
	struct dune_regs in, out;
	int bad;

	regs_fill(&in, seed);
	memset(&seen, 0, sizeof(seen));
	/* These three find what they need the second time. */
	if (site->vector != DUNE_VECTOR_NM && site->vector != DUNE_VECTOR_MF &&
	    site->vector != DUNE_VECTOR_XM)
		seen.skip_to = (uintptr_t)site->end;
	CHECK_EQ(dune_trap_register(site->vector, handler_of(site), (void *)site,
				    fast ? DUNE_TRAP_FAST : 0), 0);
	mode_enter();
	cause(site);
	bad = site->fn(&in, &out);
	no_cause();
	CHECK(dune_inside());
	mode_exit();
	CHECK_EQ(bad, 0);
	check_trap(site, &in);
	regs_check(site->name, &out, &in);
	/* It was pushed by the site: rsp is the same before and after. */
	CHECK_EQ(out.rsp, seen.trap.rsp);
	CHECK_EQ(dune_trap_unregister(site->vector), 0);
}

void part_vectors(void)
{
	uint64_t seed = opt.seed;

	for (unsigned int i = 0; i < nr_sites; i++)
		if (sites[i].vector < DUNE_NR_VECTORS)
			one_vector(&sites[i], &seed);
}

static bool has_error_code(unsigned int v)
{
	return v == 8 || (v >= 10 && v <= 14) || v == 17 || v == 21 || v == 29 || v == 30;
}

/* Every vector by INT n, those with an error code as well. */
void part_int_n(void)
{
	for (unsigned int v = 0; v < DUNE_NR_VECTORS; v++) {
		if (v == 31 || v == DUNE_VECTOR_IPI)
			continue;
		memset(&seen, 0, sizeof(seen));
		CHECK_EQ(dune_trap_register(v, take, &seen, 0), 0);
		mode_enter();
		int_n(v);
		mode_exit();
		CHECK_EQ(seen.calls, 1);
		CHECK_EQ(seen.trap.vector, v);
		CHECK_EQ(seen.trap.error_code, has_error_code(v) ? DUNE_TRAP_INT_N : 0);
		CHECK_EQ(seen.trap.rip, (uintptr_t)int_stubs + 4 * v + 2);
		CHECK_EQ(seen.flags_inside & FLAG_IF, v < 32 ? FLAG_IF : 0);
		CHECK_EQ(dune_trap_unregister(v), 0);
	}
}

static void write_registers(const struct site *site, unsigned int flags, uint64_t *seed)
{
	struct dune_regs in, out, new;

	regs_fill(&in, seed);
	regs_fill(&new, seed);
	memset(&seen, 0, sizeof(seen));
	seen.new = &new;
	seen.skip_to = (uintptr_t)site->end;
	CHECK_EQ(dune_trap_register(site->vector, take, NULL, flags), 0);
	mode_enter();
	CHECK_EQ(site->fn(&in, &out), 0);
	mode_exit();
	CHECK_EQ(seen.calls, 1);
	regs_check("written", &out, &new);
	CHECK_EQ(dune_trap_unregister(site->vector), 0);
}

void part_write_registers(void)
{
	uint64_t seed = opt.seed;

	for (int i = 0; i < 20; i++) {
		write_registers(site_named("undefined"), 0, &seed);
		write_registers(site_named("read"), 0, &seed);
		write_registers(site_named("user"), 0, &seed);
	}
}

/* rip and rsp: the code goes on elsewhere, on another stack. */
extern const char elsewhere_landing[];
uint64_t elsewhere_rsp, elsewhere_back;
void elsewhere_trap(void);
asm(".text\n"
    "elsewhere_trap:\n"
    "	mov	%rsp, elsewhere_back(%rip)\n"
    "	ud2\n"
    "elsewhere_landing:\n"
    "	mov	%rsp, elsewhere_rsp(%rip)\n"
    "	push	%rax\n"
    "	mov	elsewhere_back(%rip), %rsp\n"
    "	ret\n");

static enum dune_trap_action go_elsewhere(struct dune_trap *trap, void *stack)
{
	trap->rip = (uintptr_t)elsewhere_landing;
	trap->rsp = (uintptr_t)stack;
	trap->rax = 0x1234567;
	/* Not a handler's to give: the code stays at CPL 0. */
	trap->cs = 0x33;
	trap->ss = 0x2b;
	trap->rflags |= 0x3000;
	return DUNE_TRAP_RESUME;
}

void part_elsewhere(void)
{
	static uint64_t stack[64];
	uint64_t flags;

	CHECK_EQ(dune_trap_register(DUNE_VECTOR_UD, go_elsewhere, stack + 32, 0), 0);
	mode_enter();
	asm volatile("sub $128, %%rsp; call elsewhere_trap; pushfq; popq %0; add $128, %%rsp"
		     : "=r"(flags) : : "memory", "cc");
	CHECK(dune_inside());
	mode_exit();
	CHECK_EQ(elsewhere_rsp, (uintptr_t)(stack + 32));
	CHECK_EQ(stack[31], 0x1234567);
	CHECK_EQ(flags & 0x3000, 0);
	dune_trap_unregister(DUNE_VECTOR_UD);
}

static int steps;
static uint64_t step_rip[16];

static enum dune_trap_action step(struct dune_trap *trap, void *arg)
{
	CHECK(trap->rflags & FLAG_TF);
	CHECK_EQ(__builtin_ia32_readeflags_u64() & FLAG_TF, 0);
	if (steps < 16)
		step_rip[steps] = trap->rip;
	if (++steps == 3)
		trap->rflags &= ~FLAG_TF;
	return DUNE_TRAP_RESUME;
}

/* TF by POPF: a #DB after each instruction, until the handler takes it away. */
void part_single_step(void)
{
	extern const char stepped[];

	steps = 0;
	CHECK_EQ(dune_trap_register(DUNE_VECTOR_DB, step, NULL, 0), 0);
	mode_enter();
	asm volatile("sub $128, %%rsp\n"
		     "pushfq\n"
		     "orl $0x100, (%%rsp)\n"
		     "popfq\n"
		     "stepped: nop\n"
		     "nop\n"
		     "nop\n"
		     "nop\n"
		     "add $128, %%rsp" : : : "cc", "memory");
	mode_exit();
	CHECK_EQ(steps, 3);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(step_rip[i], (uintptr_t)stepped + i + 1);
	dune_trap_unregister(DUNE_VECTOR_DB);
}

static struct {
	int calls;
	uint64_t addr, error, rip;
} faulted;

static enum dune_trap_action fault(struct dune_trap *trap, void *arg)
{
	faulted.calls++;
	faulted.addr = trap->fault_addr;
	faulted.error = trap->error_code;
	faulted.rip = trap->rip;
	if (trap->error_code & DUNE_PF_FETCH) {
		/* Back to the caller. */
		trap->rip = *(uint64_t *)trap->rsp;
		trap->rsp += 8;
	} else {
		/* The access is done again, elsewhere. */
		trap->rdx = (uintptr_t)arg;
	}
	return DUNE_TRAP_RESUME;
}

static void check_fault(uint64_t error)
{
	CHECK_EQ(faulted.calls, 1);
	CHECK_EQ(faulted.addr, NOWHERE);
	CHECK_EQ(faulted.error, error);
	faulted.calls = 0;
}

void part_page_faults(void)
{
	uint64_t here = 77, got = 0;

	faulted.calls = 0;
	CHECK_EQ(dune_trap_register(DUNE_VECTOR_PF, fault, &here, 0), 0);
	mode_enter();
	asm volatile("mov (%1), %0" : "=r"(got) : "d"(NOWHERE) : "memory");
	CHECK_EQ(got, 77);
	check_fault(0);
	asm volatile("movq $78, (%0)" : : "d"(NOWHERE) : "memory");
	CHECK_EQ(here, 78);
	check_fault(DUNE_PF_WRITE);
	asm volatile("sub $128, %%rsp; call *%0; add $128, %%rsp"
		     : : "r"(NOWHERE) : "memory", "cc");
	check_fault(DUNE_PF_FETCH);
	mode_exit();
	dune_trap_unregister(DUNE_VECTOR_PF);
}

static enum dune_trap_action bad_rip(struct dune_trap *trap, void *arg)
{
	trap->rip = 0x8000000000000000;
	return DUNE_TRAP_RESUME;
}

static void do_bad_rip(void *vector)
{
	unsigned int v = (uintptr_t)vector;

	CHECK_EQ(dune_trap_register(v, bad_rip, NULL, 0), 0);
	mode_enter();
	int_n(v);
	_exit(9);
}

/* A handler that goes on at no address: SIGSEGV, as for such a jump. */
void part_bad_rip(void)
{
	static const unsigned int vectors[] = {
		DUNE_VECTOR_UD, DUNE_VECTOR_GP, DUNE_VECTOR_PF, 0x80,
	};

	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		int status = run_child(60, do_bad_rip, (void *)(uintptr_t)vectors[i]);

		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	}
}
