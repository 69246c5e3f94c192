/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What the assembly files share with C: offsets, sizes and code numbers. Every
 * line here is asserted against the C declarations in internal.h.
 */
#ifndef DUNE_ASM_H
#define DUNE_ASM_H

#include <linux/const.h>

/* struct dune_thread */
#define THREAD_FD		0
#define THREAD_ENTERED		4
#define THREAD_PAGE		8
#define THREAD_HOST_SP		16
#define THREAD_ENTER_ERROR	24

/* struct dune_regs; struct dune_vcpu_page begins with one */
#define REGS_RAX	0
#define REGS_RCX	8
#define REGS_RDX	16
#define REGS_RBX	24
#define REGS_RSP	32
#define REGS_RBP	40
#define REGS_RSI	48
#define REGS_RDI	56
#define REGS_R8		64
#define REGS_R9		72
#define REGS_R10	80
#define REGS_R11	88
#define REGS_R12	96
#define REGS_R13	104
#define REGS_R14	112
#define REGS_R15	120
#define REGS_RIP	128
#define REGS_RFLAGS	136

#define THREAD_TRAP_DEPTH	32
#define THREAD_TRAP_EPOCH	36
#define THREAD_IN_RING3		40
#define THREAD_TSS		48
#define THREAD_IST_PF		84	/* in the TSS */
#define THREAD_STAY		152	/* its struct dune_regs */
#define THREAD_STAY_IRET	296
#define THREAD_STAY_SP		336
#define THREAD_STAY_MXCSR	344
#define THREAD_STAY_FCW		348
#define THREAD_STAY_REASON	352

/* struct dune_trap */
#define TRAP_FAULT_ADDR	0
#define TRAP_R15	16
#define TRAP_RAX	128
#define TRAP_VECTOR	136
#define TRAP_ERROR	144
#define TRAP_RIP	152
#define TRAP_CS		160
#define TRAP_RFLAGS	168
#define TRAP_RSP	176
#define TRAP_SS		184

/* enum dune_trap_action: + rights, which are less than this, too */
#define TRAP_ALLOW	16

/* struct trap_entry */
#define ENTRY_VERSION	0
#define ENTRY_IST	8
#define ENTRY_IF	10
#define ENTRY_FN	16
#define ENTRY_ARG	32
#define ENTRY_SHIFT	6	/* of its size */
/* Its version */
#define VERSION_SLOT	0xff	/* 0 or 1 */
#define VERSION_FLAGS	8	/* shift of DUNE_TRAP_FLAGS */
#define VERSION_STEP	0x400
#define VERSION_FAST	0x100

#define VECTOR_DB	1
#define VECTOR_PF	14
/*
 * libdune's own, which the CPU has no exception for: dune_syscall_entry() tells of
 * a SYSCALL that seems to be ring 3's.
 */
#define VECTOR_TOLD	31
#define TRAP_INT_N	0x80000000
/* DUNE_PF_PRESENT, DUNE_PF_RESERVED, DUNE_PF_REFUSED, TRAP_INT_N */
#define PF_NO_FILL	0x80004009

/*
 * A thread's area: its struct dune_thread, and THREAD_STACKS stacks. Stack i is that
 * of the guest's IST i + 1, that of page faults first; the last one is the host stack.
 * The stacks of GROUP_THREADS threads are interleaved: stack 0 of each of them, then
 * stack 1 of each, and so on; this is a group, one aligned allocation. The structs of
 * a group are side by side elsewhere, those of 16 groups in 2 MiB. So what threads that
 * only wait have touched shares pages and tables of Linux and of the EPT.
 *
 * Any address in a stack leads to its thread. Shifted, the offset in the stack is less
 * than a struct; THREAD_MASK takes it away, and the stack's number; dune_heads is where
 * the structs begin. Of an address's upper bits it leaves those by which no two
 * groups are the same: their numbers in a window of WINDOW_GROUPS.
 *
 * An IST's stack has a level for each handler that may run on it, and a
 * last one for the trap that is one too many (its page faults of our own are
 * still filled). Levels are large because Linux delivers a signal on whatever
 * stack the guest is using, the exception stacks included.
 */
#define TRAP_LEVEL_SIZE		0x10000
#define TRAP_LEVELS		8	/* DUNE_TRAP_NESTING + 1 */
#define THREAD_STACK_SIZE	(TRAP_LEVEL_SIZE * TRAP_LEVELS)
#define THREAD_STACKS		8
#define GROUP_THREADS		8
#define WINDOW_GROUPS		_AC(128, UL)
#define THREAD_STACK_STRIDE	(THREAD_STACK_SIZE * GROUP_THREADS)
#define THREAD_STACK_TOP(i)	((i) * THREAD_STACK_STRIDE + THREAD_STACK_SIZE)
#define HOST_STACK_TOP		THREAD_STACK_TOP(THREAD_STACKS - 1)
#define GROUP_SIZE		(THREAD_STACK_STRIDE * THREAD_STACKS)
#define WINDOW_SIZE		(GROUP_SIZE * WINDOW_GROUPS)
#define THREAD_SHIFT		8
#define THREAD_SIZE		(THREAD_STACK_SIZE >> THREAD_SHIFT)
#define HEADS_SIZE		(WINDOW_SIZE >> THREAD_SHIFT)
#define THREAD_MASK \
	((WINDOW_SIZE - GROUP_SIZE + THREAD_STACK_STRIDE - THREAD_STACK_SIZE) >> THREAD_SHIFT)
#define USER_BITS		47	/* of an address */
/* From host_sp down: a stack of the guest's own that nothing else uses. */
#define USER_STACK_OFFSET	(THREAD_STACK_SIZE / 2)

/* struct dune_vcpu_page */
#define PAGE_SYNC	144
#define PAGE_EXIT_ADDR	520

#define ASM_SYNC_REGS	1
#define ASM_DUNE_RUN	0xd510
#define ASM_EXIT_RETRY	1

#define REDZONE		128

/* What dune_host_exit() asks the stub to do. */
#define HOST_RUN		0	/* run the guest again */
#define HOST_TOUCH_READ		1	/* first read the refused address natively */
#define HOST_TOUCH_WRITE	2	/* first write it */
#define HOST_ENTER_FAILED	3	/* dune_enter() returns enter_error */
#define HOST_RUN_MOVED		4	/* run it; its stack may be another one now */

/* Bytes of one entry of dune_trap_vectors[] */
#define TRAP_STUB_SIZE	16

/*
 * Flags a program may have set that SYSCALL cleared and the return path must
 * give back: TF, DF, IOPL, NT, AC, ID. IF is tested the other way round.
 */
#define FLAG_TF			0x100
#define FLAG_IF			0x200
#define FLAGS_FIXED		0x2
#define FLAG_IOPL		0x3000
/* What a trap's handler does not change: IOPL, VM, VIF, VIP. */
#define FLAGS_OURS		0x1a3000
#define FLAGS_UNUSUAL		0x247500

/* The instruction by which the guest calls the module. */
#ifdef DUNE_TEST_CPU
/* Same length, faults at CPL 3: the unit tests' fake CPU catches it. */
#define INSN_VMCALL	.byte 0x0f, 0x0b, 0x90
#else
#define INSN_VMCALL	vmcall
#endif
#define STR_(x...)	#x
#define STR(x...)	STR_(x)
#define VMCALL_STR	STR(INSN_VMCALL)

#ifdef __ASSEMBLER__
/*
 * Unwind information: register number (DWARF's order) saved at an address.
 * frame_reg:  at offset (0 to 255) from rsp
 * guest_reg:  at offset (0 to 255) of the vCPU's page, r12 = struct dune_thread
 */
.macro	frame_reg dwarf, offset
	.if	\offset < 64
	.cfi_escape 0x10, \dwarf, 2, 0x77, \offset
	.else
	.cfi_escape 0x10, \dwarf, 3, 0x77, (\offset & 0x7f) | 0x80, \offset >> 7
	.endif
.endm
.macro	guest_reg dwarf, offset
	.cfi_escape 0x10, \dwarf, 6, 0x7c, THREAD_PAGE, 0x06, 0x23, (\offset & 0x7f) | 0x80, \offset >> 7
.endm
/* The caller is the guest: all its registers, CFA = its rsp. */
.macro	guest_frame
	.cfi_escape 0x0f, 6, 0x7c, THREAD_PAGE, 0x06, 0x23, REGS_RSP, 0x06
	guest_reg 0, REGS_RAX
	guest_reg 1, REGS_RDX
	guest_reg 2, REGS_RCX
	guest_reg 3, REGS_RBX
	guest_reg 4, REGS_RSI
	guest_reg 5, REGS_RDI
	guest_reg 6, REGS_RBP
	guest_reg 8, REGS_R8
	guest_reg 9, REGS_R9
	guest_reg 10, REGS_R10
	guest_reg 11, REGS_R11
	guest_reg 12, REGS_R12
	guest_reg 13, REGS_R13
	guest_reg 14, REGS_R14
	guest_reg 15, REGS_R15
	guest_reg 16, REGS_RIP
.endm
.macro	label name
	.globl	\name
	.hidden	\name
\name:
.endm
#endif

#endif /* DUNE_ASM_H */
