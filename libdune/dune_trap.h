/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * libdune: the program's own handlers for exceptions and interrupts in Dune
 * mode. Included by dune.h; docs/traps.md tells the story.
 *
 * Without a handler an exception ends Dune mode: the thread gets the signal
 * Linux would have sent, with the true registers.
 */
#ifndef DUNE_TRAP_H
#define DUNE_TRAP_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Vectors of exceptions (Intel SDM, "Exception and Interrupt Reference"). */
enum dune_vector {
	DUNE_VECTOR_DE = 0,	/* divide error */
	DUNE_VECTOR_DB = 1,	/* debug: single step, INT1 */
	DUNE_VECTOR_NMI = 2,
	DUNE_VECTOR_BP = 3,	/* INT3 */
	DUNE_VECTOR_OF = 4,	/* INT 4 */
	DUNE_VECTOR_BR = 5,
	DUNE_VECTOR_UD = 6,	/* invalid opcode */
	DUNE_VECTOR_NM = 7,	/* CR0.TS */
	DUNE_VECTOR_DF = 8,	/* double fault */
	DUNE_VECTOR_TS = 10,
	DUNE_VECTOR_NP = 11,
	DUNE_VECTOR_SS = 12,	/* stack access that is not canonical */
	DUNE_VECTOR_GP = 13,	/* general protection */
	DUNE_VECTOR_PF = 14,	/* page fault */
	DUNE_VECTOR_MF = 16,	/* x87 */
	DUNE_VECTOR_AC = 17,	/* alignment check, ring 3 only */
	DUNE_VECTOR_MC = 18,
	DUNE_VECTOR_XM = 19,	/* SSE, AVX */
	DUNE_VECTOR_USER = 32,	/* the first that is not an exception */
	DUNE_VECTOR_IPI = 255,	/* libdune's own: dune_ipi.h */
	DUNE_NR_VECTORS = 256,
};

/* Error code of #PF. */
#define DUNE_PF_PRESENT		(1u << 0)	/* the page is there, the right is not */
#define DUNE_PF_WRITE		(1u << 1)
#define DUNE_PF_USER		(1u << 2)	/* by ring 3 */
#define DUNE_PF_RESERVED	(1u << 3)
#define DUNE_PF_FETCH		(1u << 4)	/* of an instruction */
#define DUNE_PF_KEY		(1u << 5)	/* protection key */
#define DUNE_PF_REFUSED		(1u << 14)	/* ring 3's: by Linux, not by the
						 * guest's page table */

/*
 * The interrupted code. What a handler writes to the registers, rip, rsp and
 * rflags included, the code goes on with; cs and ss stay what they are, of
 * rflags IOPL.
 */
struct dune_trap {
	uint64_t fault_addr;	/* #PF: the address; else undefined */
	void *xsave;		/* full handlers: the code's vector registers, an
				 * XSAVE area in standard format (FXSAVE where the
				 * CPU has no XSAVE); writable. Fast ones: NULL */
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector;
	uint64_t error_code;	/* 0 where the CPU gives none; DUNE_TRAP_INT_N */
	uint64_t rip, cs, rflags, rsp, ss;
};

/* error_code: not the exception, which has one, but INT vector. */
#define DUNE_TRAP_INT_N		(1u << 31)

/* Of ring 3: under dune_user_run(). */
#define DUNE_TRAP_FROM_USER(trap)	(((trap)->cs & 3) != 0)

/*
 * A handler runs in Dune mode on the interrupted thread, on a stack of its own:
 * nothing is written below the interrupted rsp. It may call libdune and libc as
 * far as a signal handler may, make system calls, fault and trap itself, and be
 * interrupted by Linux' signals. It has 64 KiB of stack, signals included. It
 * returns; it does not longjmp(), dune_exit() fails in it, and to go on
 * elsewhere it changes rip and rsp.
 *
 * Handlers nest, each in its group: #PF; #GP, #SS, #NP, #TS; #DB, #BP; the other
 * exceptions; vectors from 32 up. DUNE_TRAP_NESTING may be active in one group;
 * the next one ends the process with a message.
 *
 * Exceptions: interrupts stay as they were. Vectors from 32 up: interrupts are
 * off in the handler, by INT; for those that threads send each other see
 * dune_ipi.h.
 */
enum dune_trap_action {
	DUNE_TRAP_RESUME,	/* go on with the registers in *trap */
	DUNE_TRAP_DELIVER,	/* what happens without a handler: the signal
				 * Linux would send, with the registers in *trap.
				 * Ring 3: dune_user_run() returns */
	DUNE_TRAP_ALLOW = 16,	/* | DUNE_R ...: see dune_trap_allow() */
};
typedef enum dune_trap_action (*dune_trap_fn)(struct dune_trap *trap, void *arg);

/*
 * For a page fault's handler to return: the page at fault_addr, of whatever size it
 * is, gets these rights (DUNE_R | ...) in the thread's active root, besides those
 * that it has, and the instruction is executed again. As dune_vm_protect(), but in a
 * quarter of its instructions; and whether others still have rights that somebody
 * takes from the page meanwhile, it does not look. Where no page is mapped,
 * and from handlers of other vectors, DUNE_TRAP_DELIVER. A fault of something else
 * than a right that is given comes again, for ever: error_code says what it was.
 */
#define dune_trap_allow(prot) \
	((enum dune_trap_action)(DUNE_TRAP_ALLOW | ((prot) & (DUNE_TRAP_ALLOW - 1))))

#define DUNE_TRAP_NESTING	7

/*
 * DUNE_TRAP_FAST: fn and all it calls use general registers only (compile with
 * -mgeneral-regs-only, or DUNE_TRAP_FAST_FN on each function). Without it vector
 * registers are saved, set to their initial values and restored around fn.
 */
#define DUNE_TRAP_FAST		(1u << 0)
/* Ring 3's too; without it these return from dune_user_run(). */
#define DUNE_TRAP_RING3		(1u << 1)
#define DUNE_TRAP_FLAGS		(DUNE_TRAP_FAST | DUNE_TRAP_RING3)

#define DUNE_TRAP_FAST_FN	__attribute__((target("general-regs-only")))

/*
 * Make fn the process's handler of an exception or interrupt, or of none with fn
 * NULL. vector is one of enum dune_vector, or 32 to 254; flags are of
 * DUNE_TRAP_FLAGS. A handler of DUNE_VECTOR_NM has to be fast: saving vector
 * registers raises the exception anew.
 *
 * Holds for each trap that begins after the return, on any thread; a trap that
 * races with the call gets the old handler or the new one, each with its own
 * arg and flags. The old one may still run on other threads then: before what
 * it uses goes away, dune_trap_sync().
 *
 * Page faults: what libdune fills itself (memory of the process that the guest
 * page table does not have yet) no handler sees, nor accesses that Linux
 * refuses: these become signals.
 *
 * Context: any thread, in either mode, in handlers of traps too; before or after
 * dune_init(). Not in a signal's handler.
 *
 * -EINVAL: the vector 31 or one above 254, or unknown flags.
 */
int dune_trap_register(unsigned int vector, dune_trap_fn fn, void *arg,
		       unsigned int flags);
int dune_trap_unregister(unsigned int vector);

/*
 * Wait until each handler that ran on another thread when this was called has
 * returned; one whose thread has left Dune mode meanwhile is not waited for. After
 * dune_trap_register() and this nobody runs the handler that was there before, and
 * what it used may be freed.
 *
 * Two threads that wait for each other's handlers wait for ever: a handler must not
 * wait for a thread that may be here.
 *
 * -EBUSY: in a handler, which would wait for itself, or in a signal's handler that
 * interrupted one.
 */
int dune_trap_sync(void);

#ifdef __cplusplus
}
#endif

#endif /* DUNE_TRAP_H */
