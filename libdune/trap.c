// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Exceptions of the guest, in the guest (see "guest" in internal.h).
 *
 * Two outcomes: a page fault because a 1 GiB entry of the guest page table is
 * still empty is filled and retried. Everything else is the program's fault
 * and happens again natively: the thread leaves Dune mode with its registers
 * in thread->crash, and dune_host_trap() goes on from there.
 */
#include "internal.h"
#include "pgtable.h"

struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error_code;
	uint64_t rip, cs, rflags, rsp, ss;
};

#define VECTOR_DB	1
#define VECTOR_NMI	2
#define VECTOR_BP	3
#define VECTOR_PF	14

#define PF_PRESENT	(1u << 0)
#define PF_RESERVED	(1u << 3)

void dune_trap(struct trap_frame *f);	/* for entry.S */

static uint64_t read_cr2(void)
{
	uint64_t cr2;

	asm volatile("mov %%cr2, %0" : "=r" (cr2));
	return cr2;
}

static struct dune_thread *thread_of(struct trap_frame *f)
{
	return (struct dune_thread *)((uintptr_t)f & ~(THREAD_SIZE - 1));
}

/* Fill the 1 GiB entry of addr. False: no slot could be had. */
static bool fill(struct dune_thread *t, uint64_t addr)
{
	uint32_t slot = __atomic_load_n(&dune_vm.slot_table[addr >> DUNE_SLOT_SHIFT],
					__ATOMIC_RELAXED);
	long gpa;

	if (slot & DUNE_SLOT_VALID) {
		gpa = (long)(slot & ~DUNE_SLOT_VALID) << DUNE_SLOT_SHIFT;
	} else {
		gpa = dune_vmcall(DUNE_HC_SLOT, addr);
		if (gpa < 0) {
			t->slot_error = -gpa;
			return false;
		}
	}
	pt_region_set(&dune_vm.pt, addr, gpa);
	return true;
}

/*
 * Where the program would be natively: INT3, INT1 and INT n are trapped after
 * the instruction here, but must be executed once more.
 */
static uint64_t replay_rip(const struct trap_frame *f)
{
	const uint8_t *code = (const uint8_t *)f->rip;

	if (f->vector != VECTOR_DB && f->vector != VECTOR_BP && f->vector < 32)
		return f->rip;
	if (code[-2] == 0xcd && code[-1] == f->vector)
		return f->rip - 2;
	if (f->vector == VECTOR_BP && code[-1] == 0xcc)
		return f->rip - 1;
	if (f->vector == VECTOR_DB && code[-1] == 0xf1)
		return f->rip - 1;
	return f->rip;
}

static void crash(struct dune_thread *t, const struct trap_frame *f, uint64_t cr2)
{
	struct dune_regs *regs = &t->crash.regs;

	t->crash.kind = DUNE_CRASH_TRAP;
	t->crash.vector = f->vector;
	t->crash.error_code = f->error_code;
	t->crash.fault_addr = f->vector == VECTOR_PF ? cr2 : 0;
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
	regs->rip = replay_rip(f);
	regs->rflags = f->rflags;

	/* Does not return: the module continues the thread at t->landing. */
	dune_vmcall(DUNE_HC_LEAVE, (uint64_t)&t->landing);
	__builtin_trap();
}

void dune_trap(struct trap_frame *f)
{
	struct dune_thread *t = thread_of(f);
	uint64_t cr2 = 0;

	if (f->vector == VECTOR_NMI)
		return;		/* the host's NMIs exit; nobody sends us one */
	if (f->vector == VECTOR_PF) {
		cr2 = read_cr2();
		if (!(f->error_code & (PF_PRESENT | PF_RESERVED)) &&
		    cr2 < USER_END && fill(t, cr2))
			return;
	}
	crash(t, f, cr2);
}
