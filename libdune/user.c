// SPDX-License-Identifier: GPL-2.0 OR MIT
/* dune_user_run(): ring 3 from the side of ring 0. */
#include <errno.h>
#include <string.h>

#include "fpu.h"
#include "user.h"

/* What ring 3 may have: all that user mode can set itself, and TF. */
#define FLAGS_RING3	0x254dd5ull

static bool canonical(uint64_t addr)
{
	return (uint64_t)((int64_t)(addr << 16) >> 16) == addr;
}

static bool is_valid(const struct dune_user *u)
{
	return canonical(u->regs.rip) && canonical(u->fs_base) &&
	       canonical(u->gs_base) && !u->reserved &&
	       !((uintptr_t)u->xsave & (XSAVE_ALIGN - 1)) && !(u->pkru & 3);
}

/*
 * VMCALL of ring 3 must not reach the module. It reads the flag at each one, so
 * this is in time.
 */
static void no_vmcall_above_cpl0(struct dune_thread *t)
{
	t->runs_ring3 = true;
	__atomic_store_n(&t->page->run_flags, t->page->run_flags & ~DUNE_RUN_CPL0,
			 __ATOMIC_RELAXED);
}

static int stay(struct dune_thread *t, struct dune_user *u)
{
	struct user_stay *s = &t->stay;

	s->regs = u->regs;
	s->iret[0] = u->regs.rip;
	s->iret[1] = DUNE_USER_CS;
	s->iret[2] = (u->regs.rflags & FLAGS_RING3) | FLAGS_FIXED | FLAG_IF | FLAGS_IOPL_1;
	s->iret[3] = u->regs.rsp;
	s->iret[4] = DUNE_USER_SS;
	s->fs_base = u->fs_base;
	s->gs_base = u->gs_base;
	s->pkru = u->pkru;
	s->xsave = u->xsave;
	dune_user_enter(t);
	u->regs = s->regs;
	u->fs_base = s->fs_base;
	u->gs_base = s->gs_base;
	u->pkru = s->pkru;
	u->reason = s->reason;
	u->vector = s->vector;
	u->error_code = s->error_code;
	u->fault_addr = s->fault_addr;
	return s->reason;
}

static int stays(struct dune_thread *t, struct dune_user *u)
{
	int reason;

	do {
		if (!is_valid(u))
			return -EINVAL;
		reason = stay(t, u);
	} while (reason == DUNE_USER_SYSCALL && u->syscall &&
		 u->syscall(u, u->arg) == DUNE_USER_CONTINUE);
	return reason;
}

/* In a handler of ring 3's trap there is a stay already, which goes on later. */
static int stays_nested(struct dune_thread *t, struct dune_user *u)
{
	struct user_stay outer = t->stay;
	int reason = stays(t, u);

	t->stay = outer;
	return reason;
}

int dune_user_run(struct dune_user *u)
{
	struct dune_thread *t = dune_thread_current();

	if (!dune_in_guest() || !t)
		return -EINVAL;
	if (!t->runs_ring3)
		no_vmcall_above_cpl0(t);
	return t->grace.depth ? stays_nested(t, u) : stays(t, u);
}

size_t dune_user_xsave_size(void)
{
	return fpu_size();
}

void dune_user_xsave_init(void *area)
{
	memset(area, 0, fpu_size());
	((uint16_t *)area)[0] = FPU_FCW;
	((uint32_t *)area)[6] = FPU_MXCSR;
}
