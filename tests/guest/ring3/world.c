// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "ring3.h"

void world_init(struct world *w, const void *rip, uint64_t seed)
{
	uint64_t *word = (uint64_t *)&w->u.regs;

	memset(&w->u, 0, sizeof(w->u));
	seed |= 1;
	for (int i = 0; i < 16; i++)
		word[i] = rnd(&seed);
	for (int i = 0; i < STACK_WORDS; i++)
		w->stack[i] = rnd(&seed);
	w->u.regs.rip = (uintptr_t)rip;
	w->u.regs.rsp = (uintptr_t)&w->stack[STACK_WORDS - 64];
	w->u.regs.rflags = 2;
	w->u.fs_base = 0x123456789000;
	w->u.gs_base = 0xffff987654321000;
	w->u.pkru = 0x55555554;
}

void expect(struct world *w, int reason, const char *what)
{
	int got = dune_user_run(&w->u);

	if (got != reason)
		FAIL("%s: dune_user_run() is %d, want %d (vector %u, error code %#llx, rip %#llx)",
		     what, got, reason, w->u.vector, (unsigned long long)w->u.error_code,
		     (unsigned long long)w->u.regs.rip);
	CHECK(got < 0 || got == (int)w->u.reason);
	CHECK(dune_inside());
}

void expect_trap(struct world *w, unsigned int vector, uint64_t error_code,
		 const void *rip, const char *what)
{
	expect(w, DUNE_USER_TRAP, what);
	if (w->u.vector != vector || w->u.error_code != error_code ||
	    w->u.regs.rip != (uintptr_t)rip)
		FAIL("%s: vector %u error code %#llx at %#llx, want %u, %#llx, %#lx",
		     what, w->u.vector, (unsigned long long)w->u.error_code,
		     (unsigned long long)w->u.regs.rip, vector,
		     (unsigned long long)error_code, (uintptr_t)rip);
	check_count++;
}

void regs_equal(const struct dune_regs *got, const struct dune_regs *want,
		const char *what)
{
	static const char *const names[] = {
		"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8",
		"r9", "r10", "r11", "r12", "r13", "r14", "r15",
	};
	const uint64_t *g = (const uint64_t *)got, *w = (const uint64_t *)want;

	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		if (i == 1 || i == 4 || i == 11)
			continue;
		if (g[i] != w[i])
			FAIL("%s: %s is %#llx, want %#llx", what, names[i],
			     (unsigned long long)g[i], (unsigned long long)w[i]);
		check_count++;
	}
}

static __thread uint64_t own_tls;
static __thread uint64_t own_fs, own_gs;

static uint64_t fs_base(void)
{
	uint64_t base;

	asm volatile("rdfsbase %0" : "=r"(base));
	return base;
}

static uint64_t gs_base(void)
{
	uint64_t base;

	asm volatile("rdgsbase %0" : "=r"(base));
	return base;
}

void own_set(void)
{
	asm volatile("wrgsbase %0" : : "r"(0x77770000ul));
	own_tls = 0x600d600d;
	own_fs = fs_base();
	own_gs = gs_base();
}

void own_check(const char *what)
{
	uint64_t flags = __builtin_ia32_readeflags_u64();
	uint32_t mxcsr;
	uint16_t fcw, cs, ss;

	asm volatile("stmxcsr %0; fnstcw %1; mov %%cs, %2; mov %%ss, %3"
		     : "=m"(mxcsr), "=m"(fcw), "=m"(cs), "=m"(ss));
	if (fs_base() != own_fs || own_tls != 0x600d600d || gs_base() != own_gs ||
	    mxcsr >> 7 != 0x1f80 >> 7 || fcw != 0x37f || cs != 0x10 || ss & 3 ||
	    (flags & 0x3600) != 0x200)
		FAIL("%s: ring 0 has fs %#llx gs %#llx mxcsr %#x fcw %#x cs %#x ss %#x flags %#llx",
		     what, (unsigned long long)fs_base(), (unsigned long long)gs_base(),
		     mxcsr, fcw, cs, ss, (unsigned long long)flags);
	check_count++;
}
