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
 * traps, or is interrupted. Calling again goes on from there. What ring 3 may read,
 * write and execute is decided by the guest page table, for ring 3, and by Linux;
 * the default one keeps nothing from it. VMCALL is an invalid opcode there.
 *
 * Traps that libdune fills itself, and those whose handler takes ring 3's
 * (DUNE_TRAP_RING3), do not show. An access that Linux refuses is a page fault with
 * DUNE_PF_REFUSED, and no signal. Linux' signals are handled in between, on the
 * caller's stack, in plain Linux mode; such a handler may give ring 3 up by
 * dune_exit() and siglongjmp(). The function of dune_set_quantum() is not called
 * while ring 3 runs.
 *
 * Context: Dune mode, in handlers of traps too.
 *
 * Result: the reason, of enum dune_user_reason, which is in u->reason too; or a
 * negative errno.
 *
 * -EINVAL: not in Dune mode, or *u has an address that is not canonical, a
 * misaligned xsave, a pkru without key 0, reserved that is not 0; -ECANCELED: the
 * thread left Dune mode meanwhile, *u is as ring 3 was.
 */
int dune_user_run(struct dune_user *u);

/*
 * The size of an area for ring 3's vector registers, the xsave of dune_user_run().
 *
 * Context: any thread, in either mode, after dune_init().
 *
 * Result: bytes, of XSAVE in standard format, or of FXSAVE where the CPU has no XSAVE.
 */
size_t dune_user_xsave_size(void);
/*
 * Fill such an area with what a new program has: all registers 0, all exceptions
 * masked. It has dune_user_xsave_size() bytes and is 64-byte aligned.
 *
 * Context: any thread, in either mode, after dune_init().
 */
void dune_user_xsave_init(void *area);

#ifdef __cplusplus
}
#endif

#endif /* DUNE_USER_H */
