// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Exceptions of the guest, in the guest (see "guest" in internal.h).
 *
 * A page fault because a 1 GiB entry of the guest page table is still empty is
 * filled and retried. Then the program's handler is asked (trap_entry.S). What has
 * none is the program's fault and happens again natively: the thread leaves Dune
 * mode with its registers in thread->crash, and dune_host_trap() goes on from
 * there.
 */
#include "fpu.h"
#include "internal.h"
#include "trap.h"
#include "user.h"

/* For trap_entry.S */
bool dune_trap_fill(struct dune_trap *f);
bool dune_trap_cow(struct dune_trap *f);
void dune_trap_ring3(struct dune_trap *f);
_Noreturn void dune_trap_bad_rip(struct dune_trap *f);

/* INT n: rip is behind it, as in no fault. */
static bool by_int_n(const struct dune_trap *f)
{
	const uint8_t *code = (const uint8_t *)f->rip;

	switch (f->vector) {
	case DUNE_VECTOR_DB:
	case DUNE_VECTOR_BP:
	case DUNE_VECTOR_OF:
	case DUNE_VECTOR_USER ... DUNE_NR_VECTORS - 1:
		break;
	default:
		return f->error_code == DUNE_TRAP_INT_N;
	}
	/* INT3 may be the first byte of a mapping: what is before it is read last. */
	return code[-1] == f->vector && code[-2] == 0xcd;
}

/*
 * Where the program would be natively: INT3, INT1 and INT n are trapped after
 * the instruction here, but must be executed once more.
 */
static uint64_t replay_rip(const struct dune_trap *f)
{
	const uint8_t *code = (const uint8_t *)f->rip;

	if (dune_is_step(f->vector, f->rflags))
		return f->rip;
	if (by_int_n(f))
		return f->rip - 2;
	/*
	 * A debugger may have taken its INT3 away by now; then the instruction below it
	 * is to be executed. Only a handler can have moved rip elsewhere.
	 */
	if (f->vector == DUNE_VECTOR_BP &&
	    (code[-1] == 0xcc || !trap_handler_of(&dune_traps[DUNE_VECTOR_BP]).fn))
		return f->rip - 1;
	if (f->vector == DUNE_VECTOR_DB && code[-1] == 0xf1)
		return f->rip - 1;
	return f->rip;
}

static _Noreturn void leave(struct dune_thread *t)
{
	/* Does not return: the module continues the thread at t->landing. */
	dune_vmcall(DUNE_HC_LEAVE, (uint64_t)&t->landing);
	__builtin_trap();
}

static void record(struct dune_thread *t, const struct dune_trap *f, uint32_t kind)
{
	struct dune_regs *regs = &t->crash.regs;

	t->crash.kind = kind;
	t->crash.vector = f->vector;
	t->crash.error_code = f->error_code;
	t->crash.fault_addr = f->vector == DUNE_VECTOR_PF ? f->fault_addr : 0;
	regs->rax = f->rax;
	regs->rcx = f->rcx;
	regs->rdx = f->rdx;
	regs->rbx = f->rbx;
	regs->rsp = f->rsp;
	regs->rbp = f->rbp;
	regs->rsi = f->rsi;
	regs->rdi = f->rdi;
	regs->r8 = f->r8;
	regs->r9 = f->r9;
	regs->r10 = f->r10;
	regs->r11 = f->r11;
	regs->r12 = f->r12;
	regs->r13 = f->r13;
	regs->r14 = f->r14;
	regs->r15 = f->r15;
	regs->rip = f->rip;
	regs->rflags = f->rflags;
}

static _Noreturn void crash(struct dune_thread *t, const struct dune_trap *f)
{
	record(t, f, DUNE_CRASH_TRAP);
	t->crash.regs.rip = replay_rip(f);
	leave(t);
}

void dune_trap_too_deep(struct dune_trap *f)
{
	struct dune_thread *t = dune_thread_at(f);

	record(t, f, DUNE_CRASH_NESTING);
	leave(t);
}

void dune_fpu_init(void)
{
	static const struct {
		uint16_t fcw;
		uint16_t zero[11];
		uint32_t mxcsr;
		uint8_t more[XSAVE_HEADER + 64 - 28];
	} __attribute__((aligned(XSAVE_ALIGN))) initial = { .fcw = FPU_FCW, .mxcsr = FPU_MXCSR };

	if (dune_vm.xsave_size)
		asm volatile("xrstor64 %0"
			     : : "m" (initial), "a" (~XSAVE_PKRU), "d" (-1));
	else
		asm volatile("fxrstor64 %0" : : "m" (initial));
}

enum dune_trap_action dune_trap_call_full(struct dune_trap *f, void *arg, dune_trap_fn fn)
{
	enum dune_trap_action action;
	void *area = fpu_alloca(0);

	fpu_save(area);
	dune_fpu_init();
	f->xsave = area;
	action = fn(f, arg);
	fpu_restore(area);
	return action;
}

/*
 * A page below USER_END is missing in the guest page table: is it one that libdune
 * fills? True: it is done. Nothing up to here and in here may trap on this IST.
 */
bool dune_trap_fill(struct dune_trap *f)
{
	struct dune_thread *t = dune_thread_at(f);

	if (dune_vm_fill(t, f->fault_addr, f->error_code))
		return true;
	/* The access is fine and nobody else's: natively. */
	if (t->slot_error)
		crash(t, f);
	return false;
}

/*
 * A page that may be written to after it was copied: before the program's handler.
 * As above, nothing in here may trap. True: it is done.
 */
bool dune_trap_cow(struct dune_trap *f)
{
	const uint64_t write = DUNE_PF_PRESENT | DUNE_PF_WRITE;

	return (f->error_code & write) == write && !(f->error_code & ~(write | DUNE_PF_USER)) &&
	       dune_vm_cow(dune_thread_at(f), f->fault_addr, f->error_code);
}

/* No handler, or it wants the signal. */
void dune_trap_unhandled(struct dune_trap *f)
{
	struct dune_thread *t = dune_thread_at(f);

	/* The host's NMIs exit; nobody sends us one. */
	if (f->vector == DUNE_VECTOR_NMI)
		return;
	/* Who gives back a right interrupts nobody. */
	if (f->vector == DUNE_VECTOR_PF &&
	    dune_vm_spurious(t, f->fault_addr, f->error_code))
		return;
	crash(t, f);
}

/* The handler's rip is no address: what jumping there gives. */
void dune_trap_bad_rip(struct dune_trap *f)
{
	struct dune_thread *t = dune_thread_at(f);

	f->vector = DUNE_VECTOR_GP;
	f->error_code = 0;
	record(t, f, DUNE_CRASH_TRAP);
	leave(t);
}

/* From CPL 3: dune_user_run()'s, or code that the program itself started there. */
void dune_trap_ring3(struct dune_trap *f)
{
	struct dune_thread *t = dune_thread_at(f);

	if (f->vector == DUNE_VECTOR_PF && !(f->error_code & PF_NO_FILL) &&
	    dune_vm_fill(t, f->fault_addr, f->error_code))
		return;
	if (f->vector == DUNE_VECTOR_PF && dune_vm_cow_used && dune_trap_cow(f))
		return;
	if (!t->in_ring3) {
		/* As if it were native. */
		dune_trap_unhandled(f);
		return;
	}
	t->slot_error = 0;
	/* Who gives back a right interrupts nobody. */
	if (f->vector == DUNE_VECTOR_PF &&
	    dune_vm_spurious(t, f->fault_addr, f->error_code))
		return;
	dune_user_trap(t, f);
}
