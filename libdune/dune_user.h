/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * libdune: ring 3 inside Dune mode. A program in ring 0 runs code that it does
 * not trust and gets each of its system calls and exceptions. Included by dune.h;
 * docs/traps.md says what keeps the two apart.
 */
#ifndef DUNE_USER_H
#define DUNE_USER_H

#include <stddef.h>
#include <stdint.h>

#include "uapi/dune.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Why dune_user_run() returned. */
enum dune_user_reason {
	DUNE_USER_SYSCALL = 1,	/* SYSCALL: rax, rdi, rsi, rdx, r10, r8, r9; rip
				 * is behind it */
	DUNE_USER_TRAP,		/* an exception: vector, error_code, fault_addr */
	DUNE_USER_INTERRUPT,	/* vector; its handler (dune_trap.h) has run */
};

enum dune_user_action {
	DUNE_USER_RETURN,	/* dune_user_run() returns */
	DUNE_USER_CONTINUE,	/* ring 3 goes on with u->regs */
};

struct dune_user;
/* On the stack of dune_user_run()'s caller, as if that had called it. */
typedef enum dune_user_action (*dune_user_fn)(struct dune_user *u, void *arg);

/*
 * In: how ring 3 begins. Out: how it is now. Fill it with zeroes first. Memory
 * that ring 3 cannot write.
 */
struct dune_user {
	struct dune_regs regs;	/* of rflags: IF is 1, IOPL is not shown */
	uint64_t fs_base, gs_base;
	/*
	 * Ring 3's vector registers: dune_user_xsave_size() bytes, 64-byte aligned,
	 * prepared by dune_user_xsave_init(). NULL: it has those of the caller,
	 * which are then whatever ring 3 left; x87 and MXCSR begin as the caller's
	 * and are lost.
	 */
	void *xsave;
	uint32_t pkru;		/* protection keys, where the CPU has them; key 0
				 * must be allowed */
	uint32_t reserved;	/* 0 */
	dune_user_fn syscall;	/* asked at each SYSCALL; NULL: return */
	void *arg;		/* its */

	/* out */
	uint32_t reason;	/* enum dune_user_reason */
	uint32_t vector;	/* TRAP, INTERRUPT */
	uint64_t error_code;	/* TRAP: 0 where there is none */
	uint64_t fault_addr;	/* TRAP, #PF */
};

/*
 * Run ring 3 until it makes a system call that u->syscall does not continue,
 * traps, or is interrupted; on the calling thread, in Dune mode, in handlers of
 * traps too. Traps that libdune fills itself, and those whose handler takes ring
 * 3's (DUNE_TRAP_RING3), do not show. Linux' signals are handled in between, on
 * the caller's stack. > 0: u->reason. -EINVAL: not in Dune mode, or *u has an
 * address that is not canonical, a misaligned xsave, a pkru without key 0;
 * -ECANCELED: the thread left Dune mode meanwhile, *u is as ring 3 was.
 */
int dune_user_run(struct dune_user *u);

/* Bytes of u->xsave; after dune_init(). */
size_t dune_user_xsave_size(void);
/* Make it what a new program has. */
void dune_user_xsave_init(void *area);

#ifdef __cplusplus
}
#endif

#endif /* DUNE_USER_H */
