// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Page faults of ring 3, the program's handlers for its traps, and nesting. */
#include "gib.h"
#include "ring3.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* By Linux, and by ring 3. */
#define REFUSED (DUNE_PF_USER | DUNE_PF_REFUSED)

static struct world w;
static volatile int segvs;

static void on_segv(int sig)
{
	segvs++;
}

static void check_fault(const void *code, const void *addr, uint64_t error, const char *what)
{
	world_init(&w, code, opt.seed);
	w.u.regs.rdi = (uintptr_t)addr;
	expect_trap(&w, DUNE_VECTOR_PF, error, code == code_jump ? addr : code, what);
	CHECK_EQ(w.u.fault_addr, (uintptr_t)addr);
	own_check(what);
}

/* Addresses that no table has: seen by the guest's page table alone. */
void part_faults(void)
{
	mode_enter();
	own_set();
	check_fault(code_load, (void *)NOWHERE, DUNE_PF_USER, "load");
	check_fault(code_store, (void *)NOWHERE, DUNE_PF_USER | DUNE_PF_WRITE, "store");
	check_fault(code_jump, (void *)NOWHERE, DUNE_PF_USER | DUNE_PF_FETCH, "jump");
	mode_exit();
}

static void fresh(char *page, const char *what)
{
	world_init(&w, code_store, opt.seed);
	w.u.regs.rdi = (uintptr_t)page;
	w.u.regs.rax = 0x5a;
	expect_trap(&w, DUNE_VECTOR_GP, 0, code_store_end, what);	/* its HLT */
	CHECK_EQ(page[0], 0x5a);
}

/*
 * Memory that Linux refuses is a page fault of ring 3, not a signal, whether the
 * program handles that signal or not. Memory that Linux gives is just there.
 */
static void refused(void)
{
	char *p = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	REQUIRE(mprotect(p + 4096, 4096, PROT_NONE) == 0);
	REQUIRE(mprotect(p + 2 * 4096, 4096, PROT_READ) == 0);
	REQUIRE(munmap(p + 3 * 4096, 4096) == 0);
	mode_enter();
	own_set();
	for (int i = 0; i < 3; i++) {
		fresh(p, "fresh page");
		check_fault(code_load, p + 4096, REFUSED, "PROT_NONE");
		check_fault(code_store, p + 4096, REFUSED | DUNE_PF_WRITE, "PROT_NONE");
		check_fault(code_store, p + 2 * 4096 + 5, REFUSED | DUNE_PF_WRITE,
			    "PROT_READ");
		check_fault(code_load, p + 3 * 4096, REFUSED, "unmapped");
		check_fault(code_jump, p, REFUSED | DUNE_PF_FETCH, "not executable");
		check_fault(code_load, (void *)8, REFUSED, "null");
	}
	/* Repaired, it goes on. */
	check_fault(code_store, p + 4096, REFUSED | DUNE_PF_WRITE, "to be repaired");
	CHECK_EQ(mprotect(p + 4096, 4096, PROT_READ | PROT_WRITE), 0);
	fresh(p + 4096, "repaired");
	mode_exit();
	munmap(p, 3 * 4096);
}

void part_refused(void)
{
	/* The thread's own memory does not come where something was unmapped. */
	mode_enter();
	mode_exit();
	refused();
	segvs = 0;
	signal(SIGSEGV, on_segv);
	signal(SIGBUS, on_segv);
	refused();
	CHECK_EQ(segvs, 0);
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
}

/* The guest's page table keeps ring 3 out where it does not keep ring 0 out. */
void part_guest_rights(void)
{
	char *p = gib_map(1);

	mode_enter();
	own_set();
	p[0] = 1;
	fresh(p + 4096, "before");
	gib_protect(p, DUNE_R | DUNE_W | DUNE_X);
	check_fault(code_load, p, DUNE_PF_USER | DUNE_PF_PRESENT, "supervisor's");
	check_fault(code_store, p, DUNE_PF_USER | DUNE_PF_PRESENT | DUNE_PF_WRITE,
		    "supervisor's");
	CHECK_EQ(p[0], 1);
	/* Where rsp points to it: no call, no trap writes there for ring 3. */
	for (int i = 0; i < 2; i++) {
		world_init(&w, i ? code_ud2 : code_syscall, opt.seed);
		w.u.regs.rsp = (uintptr_t)p + 2048;
		memset(p, 0x11, 4096);
		expect(&w, i ? DUNE_USER_TRAP : DUNE_USER_SYSCALL, "supervisor's stack");
		for (int k = 0; k < 4096; k++)
			CHECK(p[k] == 0x11);
	}
	gib_protect(p, DUNE_R | DUNE_X | DUNE_U);
	check_fault(code_store, p, DUNE_PF_USER | DUNE_PF_PRESENT | DUNE_PF_WRITE,
		    "read-only");
	gib_protect(p, DUNE_R | DUNE_W | DUNE_X | DUNE_U);
	fresh(p, "after");
	mode_exit();
	munmap(p, 1ul << 30);
}

static char here;
static struct {
	int calls, from_user;
	enum dune_trap_action action;
	uint64_t rip;
} handler;

static enum dune_trap_action on_fault(struct dune_trap *trap, void *arg)
{
	handler.calls++;
	handler.from_user += DUNE_TRAP_FROM_USER(trap);
	own_check("handler of ring 3's trap");
	CHECK_EQ(syscall(SYS_getpid), getpid());
	CHECK(dune_inside());
	trap->rdi = (uintptr_t)&here;
	trap->cs = 0x10;		/* not its to give */
	trap->ss = 0x18;
	trap->rflags = (trap->rflags & ~0x3200ul) | 0x2000;
	if (handler.rip)
		trap->rip = handler.rip;
	return handler.action;
}

static enum dune_trap_action on_store(struct dune_trap *trap, void *arg)
{
	++*(int *)arg;
	return dune_trap_allow(DUNE_W);
}

/* A right that ring 3 lacks, and that the handler gives. */
void part_trap_allow(void)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	int calls = 0;

	REQUIRE(page != MAP_FAILED);
	mode_enter();
	own_set();
	CHECK_EQ(dune_trap_register(DUNE_VECTOR_PF, on_store, &calls, DUNE_TRAP_RING3), 0);
	CHECK_EQ(dune_vm_protect(NULL, page, 4096, DUNE_R | DUNE_U), 0);
	fresh(page, "a page that may be read");
	CHECK_EQ(calls, 1);
	/* Not for ring 3 at all, and the handler does not give that. */
	CHECK_EQ(dune_vm_protect(NULL, page, 4096, DUNE_R), 0);
	CHECK_EQ(dune_trap_unregister(DUNE_VECTOR_PF), 0);
	check_fault(code_store, page, DUNE_PF_PRESENT | DUNE_PF_WRITE | DUNE_PF_USER,
		    "a page of ring 0");
	mode_exit();
}

/* DUNE_TRAP_RING3: handled in place; otherwise not seen by the handler. */
void part_trap_handlers(void)
{
	static const unsigned int flags[] = { DUNE_TRAP_RING3, 0 };

	mode_enter();
	own_set();
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		memset(&handler, 0, sizeof(handler));
		CHECK_EQ(dune_trap_register(DUNE_VECTOR_PF, on_fault, NULL, flags[i]), 0);
		world_init(&w, code_store, opt.seed);
		w.u.regs.rdi = NOWHERE;
		w.u.regs.rax = 0x66;
		here = 0;
		if (!flags[i]) {
			expect_trap(&w, DUNE_VECTOR_PF, DUNE_PF_USER | DUNE_PF_WRITE,
				    code_store, "not ring 3's handler");
			CHECK_EQ(handler.calls, 0);
			continue;
		}
		/* The store is done, then comes the HLT. */
		expect_trap(&w, DUNE_VECTOR_GP, 0, code_store_end, "handled");
		CHECK_EQ(here, 0x66);
		CHECK_EQ(handler.calls, 1);
		CHECK_EQ(handler.from_user, 1);
		own_check("handled");
		/* Still ring 3, and its calls are. */
		handler.rip = (uintptr_t)code_syscall;
		world_init(&w, code_store, opt.seed);
		w.u.regs.rdi = NOWHERE;
		expect(&w, DUNE_USER_SYSCALL, "on to a call");
		CHECK_EQ(w.u.regs.rip, (uintptr_t)code_syscall + 2);
		handler.rip = NOT_CANONICAL;
		world_init(&w, code_store, opt.seed);
		w.u.regs.rdi = NOWHERE;
		expect_trap(&w, DUNE_VECTOR_GP, 0, (void *)NOT_CANONICAL, "no address");
		own_check("no address");
		handler.rip = 0;
		handler.action = DUNE_TRAP_DELIVER;
		world_init(&w, code_load, opt.seed);
		w.u.regs.rdi = NOWHERE;
		expect_trap(&w, DUNE_VECTOR_PF, DUNE_PF_USER, code_load, "delivered");
		own_check("delivered");
	}
	mode_exit();
	dune_trap_unregister(DUNE_VECTOR_PF);
}

/* Handlers that run a ring 3 of their own, up to where handlers may nest. */
static struct world worlds[DUNE_TRAP_NESTING + 1];
static int depth, deepest;

static enum dune_trap_action runs_ring3(struct dune_trap *trap, void *arg)
{
	int mine = ++depth;
	struct world *inner = &worlds[mine];

	if (mine > deepest)
		deepest = mine;
	/* The inner one's trap comes here again, or in the last one out. */
	world_init(inner, mine < DUNE_TRAP_NESTING - 1 ? code_ud2 : code_syscall,
		   opt.seed + mine);
	expect(inner, DUNE_USER_SYSCALL, "inner ring 3");
	own_check("inner ring 3");
	depth--;
	if (DUNE_TRAP_FROM_USER(trap))
		trap->rip = (uintptr_t)code_syscall;
	else
		trap->rip += 2;
	return DUNE_TRAP_RESUME;
}

void part_nested(void)
{
	uint64_t rbx = 77;

	CHECK_EQ(dune_trap_register(DUNE_VECTOR_UD, runs_ring3, NULL, DUNE_TRAP_RING3), 0);
	mode_enter();
	own_set();
	/* From ring 0's own trap, and from ring 3's. */
	asm volatile("ud2" : "+b"(rbx) : : "memory");
	CHECK_EQ(rbx, 77);
	CHECK_EQ(deepest, DUNE_TRAP_NESTING - 1);
	deepest = 0;
	world_init(&w, code_ud2, opt.seed);
	expect(&w, DUNE_USER_SYSCALL, "outer ring 3");
	CHECK_EQ(deepest, DUNE_TRAP_NESTING - 1);
	CHECK_EQ(depth, 0);
	own_check("nested");
	mode_exit();
	dune_trap_unregister(DUNE_VECTOR_UD);
}
