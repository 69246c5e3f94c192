/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The test of dune_user.h: ring 3 in Dune mode, friendly and hostile. */
#ifndef TESTS_RING3_H
#define TESTS_RING3_H

#include "dune_trap.h"
#include "dune_user.h"
#include "test.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof(*(a)))

#define STACK_WORDS 1024
/* Neither in a guest page table nor in Linux'. */
#define NOWHERE 0xffff800000001000ul
#define NOT_CANONICAL 0x8000000000000000ul

/* A ring 3 of its own, its registers at random, a stack. */
struct world {
	struct dune_user u;
	uint64_t stack[STACK_WORDS] __attribute__((aligned(16)));
};
void world_init(struct world *w, const void *rip, uint64_t seed);
/* Fails unless ring 3 goes out for this reason. */
void expect(struct world *w, int reason, const char *what);
/* An exception, at this instruction. */
void expect_trap(struct world *w, unsigned int vector, uint64_t error_code,
		 const void *rip, const char *what);
/* All but rip, rsp, rflags, rcx, r11, which SYSCALL changes. */
void regs_equal(const struct dune_regs *got, const struct dune_regs *want,
		const char *what);
/* Fails unless the caller's own thread state is as it was made by own_set(). */
void own_set(void);
void own_check(const char *what);

/* code.c: what ring 3 executes; each is followed by its end. */
#define CODE(name) extern const char name[], name##_end[];
CODE(code_syscall)		/* SYSCALL, for ever */
CODE(code_ud2)
CODE(code_spin)			/* until *rdi is not 0; then SYSCALL */
CODE(code_registers)		/* rdi rounds: checks its own registers; SYSCALL, rax = wrong ones */
CODE(code_fsgs)			/* sets both bases to rdi, rsi; SYSCALL */
CODE(code_iopl)			/* tries POPF and IRET with all of IOPL; SYSCALL */
CODE(code_vmcall)
CODE(code_load)			/* loads from rdi */
CODE(code_store)		/* stores there */
CODE(code_jump)			/* jumps there */
CODE(code_segments)		/* loads what it can; SYSCALL */
CODE(code_compat)		/* far return to 32-bit code at rdi */
CODE(code_step)			/* three NOPs */
CODE(code_align)		/* a load that is not aligned, with AC set */
CODE(code_x87)			/* leaves an unmasked exception pending; SYSCALL */
CODE(code_pkru)			/* WRPKRU of edi; SYSCALL */
CODE(code_storm)		/* SYSCALL with a bad rsp and bases, for ever */
CODE(code_storm_trap)		/* the same with UD2 */

struct hostile {
	const char *name;
	const char *insn;
	unsigned int vector;
	uint64_t error_code;
	unsigned int length;	/* rip is so far behind the instruction */
};
extern const struct hostile hostile[];
extern const unsigned int nr_hostile;

/* ---- parts ---- */
void part_arguments(void);
void part_syscalls(void);
void part_handler(void);
void part_traps(void);
void part_hostile(void);
void part_vmcall(void);
void part_bad_stacks(void);
void part_bases(void);
void part_iopl(void);
void part_segments(void);
void part_step_align(void);
void part_faults(void);
void part_refused(void);
void part_guest_rights(void);
void part_trap_handlers(void);
void part_trap_allow(void);
void part_nested(void);
void part_fork(void);

void part_vectors(void);
void part_x87(void);
void part_pkru(void);

void part_signals(void);
void part_signal_storm(void);
void part_signal_leaves(void);
void part_moves(void);
void part_quantum(void);

#endif /* TESTS_RING3_H */
