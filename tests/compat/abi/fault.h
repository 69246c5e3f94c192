/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The pieces of regs.S, and what parts about faults share. */
#ifndef COMPAT_FAULT_H
#define COMPAT_FAULT_H

#include "abi.h"

#include <ucontext.h>

#define CODE(name)	extern const char name[], name##_next[]
CODE(fault_read);
CODE(fault_write);
CODE(fault_atomic);
CODE(fault_string);
CODE(fault_jump);
CODE(fault_ud2);
CODE(fault_int3);
CODE(fault_divide);
CODE(fault_hlt);
CODE(fault_cli);
CODE(fault_rdmsr);
CODE(fault_int81);
CODE(fault_sse);
CODE(fault_x87);
CODE(fault_movaps);
CODE(fault_push);
CODE(fault_aligned);
CODE(fault_step);
extern const char spin_straight[], spin_loop[], spin_until[], spin_calls[], spin_ymm[], spin_zmm[];
#define VECTOR_SIZE	64
extern unsigned char vectors_in[33 * VECTOR_SIZE], vectors_out[33 * VECTOR_SIZE];

/* CF, PF, AF, ZF, SF, DF, OF; what is always there: bit 1 and IF. */
#define FLAGS_USUAL	0x202ul
#define FLAGS_ALL	0xed7ul

/* regs_in: other values each time; flags as usual, no stack. */
void regs_fill(uint64_t seed);
/* regs_out is regs_in, but for the registers in this mask (1 << RAX ...). */
void regs_same(const char *where, unsigned int but);
/* How REG_* are numbered: of a register in enum's order. */
extern const int greg_of[NR_REGS];

#endif /* COMPAT_FAULT_H */
