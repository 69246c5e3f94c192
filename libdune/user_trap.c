// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Into ring 3 and out of it. Code of kind "guest" (see internal.h).
 *
 * Ring 3 has FS, GS, its stack and all registers in its hands, so nothing here
 * depends on them before they are ring 0's again: a trap of ring 3 is on the
 * IST stack that the TSS names, and the thread is where that stack is. A handler
 * runs when the IST's pointer has moved, as for ring 0; all else touches what
 * cannot fault: the thread's area and the vCPU's page.
 *
 * Between start() and stop() user_sp of the vCPU's page tells the module which
 * stack and FS base Linux' signals get.
 */
#include <errno.h>

#include "fpu.h"
#include "trap.h"
#include "user.h"

static uint64_t read_pkru(void)
{
	uint32_t pkru, zero;

	asm volatile("rdpkru" : "=a" (pkru), "=d" (zero) : "c" (0));
	return pkru;
}

static void write_pkru(uint64_t pkru)
{
	asm volatile("wrpkru" : : "a" ((uint32_t)pkru), "c" (0), "d" (0) : "memory");
}

/* Ring 3's turn; interrupts are off. Registers and FPU are not touched. */
static void start(struct dune_thread *t)
{
	struct user_stay *s = &t->stay;

	asm volatile("rdfsbase %0; rdgsbase %1"
		     : "=r" (s->own_fs_base), "=r" (s->own_gs_base));
	if (dune_vm.has_pkru)
		s->own_pkru = read_pkru();
	t->in_ring3 = 1;
	__atomic_store_n(&t->page->user_sp, s->sp, __ATOMIC_RELAXED);
	/* Before FS: from here a signal's handler would run with it. */
	asm volatile("wrfsbase %0; wrgsbase %1"
		     : : "r" (s->fs_base), "r" (s->gs_base) : "memory");
	if (dune_vm.has_pkru)
		write_pkru(s->pkru);
}

/* Ring 0's turn. */
static void stop(struct dune_thread *t)
{
	struct user_stay *s = &t->stay;

	if (dune_vm.has_pkru) {
		s->pkru = read_pkru();
		write_pkru(s->own_pkru);
	}
	asm volatile("rdfsbase %0; rdgsbase %1"
		     : "=r" (s->fs_base), "=r" (s->gs_base));
	asm volatile("wrfsbase %0; wrgsbase %1"
		     : : "r" (s->own_fs_base), "r" (s->own_gs_base) : "memory");
	__atomic_store_n(&t->page->user_sp, 0, __ATOMIC_RELAXED);
	t->in_ring3 = 0;
}

/* On dune_user_run()'s stack, still ring 0's turn: what may fault. */
void dune_user_load(struct dune_thread *t)
{
	if (t->stay.xsave)
		fpu_restore(t->stay.xsave);
}

void dune_user_save(struct dune_thread *t)
{
	if (t->stay.xsave)
		fpu_save(t->stay.xsave);
}

void dune_user_start(struct dune_thread *t)
{
	start(t);
}

static void registers_out(struct user_stay *s, const struct dune_trap *f)
{
	struct dune_regs *r = &s->regs;

	r->rax = f->rax;
	r->rcx = f->rcx;
	r->rdx = f->rdx;
	r->rbx = f->rbx;
	r->rsp = f->rsp;
	r->rbp = f->rbp;
	r->rsi = f->rsi;
	r->rdi = f->rdi;
	r->r8 = f->r8;
	r->r9 = f->r9;
	r->r10 = f->r10;
	r->r11 = f->r11;
	r->r12 = f->r12;
	r->r13 = f->r13;
	r->r14 = f->r14;
	r->r15 = f->r15;
	r->rip = f->rip;
	r->rflags = f->rflags & ~(uint64_t)FLAG_IOPL;
}

/* dune_user_run() returns; its stack is ring 0's. */
static _Noreturn void leave(struct dune_thread *t, const struct dune_trap *f, int reason)
{
	registers_out(&t->stay, f);
	t->stay.reason = reason;
	dune_user_leave(t);
}

/* dune_trap_allow(): it may fault and leave Dune mode, as the handler may. */
static enum dune_trap_action allow(struct dune_thread *t, const struct dune_trap *f,
				   enum dune_trap_action action)
{
	unsigned int prot = (unsigned int)action - DUNE_TRAP_ALLOW;

	if (prot > 15 || f->vector != DUNE_VECTOR_PF)
		return action;
	return dune_vm_allow(t, f->fault_addr, prot) == ALLOW_FAILED ? DUNE_TRAP_DELIVER :
								       DUNE_TRAP_RESUME;
}

/* The handler of the frame's vector; false: it has none that wants ring 3's. */
static bool call_handler(struct dune_thread *t, struct dune_trap *f,
			 enum dune_trap_action *action)
{
	const struct trap_entry *e = &dune_traps[f->vector];
	uint64_t below = (uint64_t)f & -(uint64_t)TRAP_LEVEL_SIZE;
	bool interrupt = f->vector >= DUNE_VECTOR_USER;
	struct trap_handler h;

	trap_grace_begin(&t->grace);
	h = trap_handler_of(e);
	if (!h.fn || (!(h.flags & DUNE_TRAP_RING3) && !interrupt)) {
		trap_grace_end(&t->grace, &dune_trap_epoch);
		return false;
	}
	if (!(below & (THREAD_STACK_SIZE - 1)))
		dune_trap_too_deep(f);
	trap_ist_set(t, e, below);
	if (f->rflags & e->keep_if)
		asm volatile("sti" : : : "memory");
	if (h.flags & DUNE_TRAP_FAST)
		*action = h.fn(f, h.arg);
	else
		*action = dune_trap_call_full(f, h.arg, h.fn);
	if (dune_in_guest()) {
		asm volatile("cli" : : : "memory");
		*action = allow(t, f, *action);
	}
	trap_ist_set(t, e, below + TRAP_LEVEL_SIZE);
	trap_grace_end(&t->grace, &dune_trap_epoch);
	return true;
}

/* What a handler may give ring 3: its IRET must not fault, nor leave ring 3. */
static bool seal(struct dune_trap *f)
{
	f->cs = DUNE_USER_CS;
	f->ss = DUNE_USER_SS;
	f->rflags = (f->rflags & ~(uint64_t)FLAGS_OURS) | FLAG_IF | FLAGS_IOPL_1;
	return (uint64_t)((int64_t)(f->rip << 16) >> 16) == f->rip;
}

static void record(struct user_stay *s, const struct dune_trap *f)
{
	s->vector = f->vector;
	s->error_code = f->error_code;
	s->fault_addr = f->vector == DUNE_VECTOR_PF ? f->fault_addr : 0;
}

/* A trap of dune_user_run()'s ring 3. Returns to go on there. */
void dune_user_trap(struct dune_thread *t, struct dune_trap *f)
{
	enum dune_trap_action action = DUNE_TRAP_DELIVER;
	bool handled;

	record(&t->stay, f);
	stop(t);
	/* A trap keeps most flags: IOPL, AC. */
	__builtin_ia32_writeeflags_u64(FLAGS_FIXED);
	handled = call_handler(t, f, &action);
	/* Never natively: ring 3 would be Linux' user mode then. */
	if (!dune_in_guest())
		leave(t, f, -ECANCELED);
	if (f->vector >= DUNE_VECTOR_USER) {
		/* Of DUNE_VECTOR_IPI, the last that it stood for. */
		t->stay.vector = f->vector;
		leave(t, f, DUNE_USER_INTERRUPT);
	}
	if (!handled || action != DUNE_TRAP_RESUME)
		leave(t, f, DUNE_USER_TRAP);
	if (!seal(f)) {
		f->vector = DUNE_VECTOR_GP;
		f->error_code = 0;
		record(&t->stay, f);
		leave(t, f, DUNE_USER_TRAP);
	}
	start(t);
}

/*
 * INT by dune_syscall_entry(), for IOPL says that the SYSCALL is ring 3's. Returns
 * when it is not: code in ring 0 may set IOPL, too.
 */
void dune_user_syscall(struct dune_trap *f)
{
	struct dune_thread *t = dune_thread_at(f);
	struct user_stay *s = &t->stay;

	if (f->rip != (uint64_t)dune_syscall_told) {
		dune_trap_unhandled(f);
		return;
	}
	if (!t->in_ring3)
		return;
	stop(t);
	/* As SYSCALL leaves them. */
	f->rip = f->rcx;
	f->rflags = f->r11;
	s->vector = 0;
	s->error_code = 0;
	s->fault_addr = 0;
	leave(t, f, DUNE_USER_SYSCALL);
}
