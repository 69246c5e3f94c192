/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What stub.S shares with C; asserted in run.h. */
#ifndef DUNE_RUN_ASM_H
#define DUNE_RUN_ASM_H

#include "../../libdune/asm.h"

/* struct run_thread is at the top of the thread's host stack. */
#define RUN_SIZE	4096
#define RUN_OFFSET	(HOST_STACK_TOP - RUN_SIZE)
#define RUN_PENDING	(RUN_OFFSET + 0)
#define RUN_MASK	(RUN_OFFSET + 8)
#define RUN_SP		(RUN_OFFSET + 16)
#define RUN_RETURN_SP	(RUN_OFFSET + 24)
#define RUN_ALT_LOW	(RUN_OFFSET + 32)
#define RUN_ALT_HIGH	(RUN_OFFSET + 40)
#define RUN_OLD_MASK	(RUN_OFFSET + 48)

/* What run_host() asks the stub to do. */
#define RUN_AGAIN	0	/* run the guest */
#define RUN_TOUCH_READ	1	/* first read the refused address natively */
#define RUN_TOUCH_WRITE	2	/* first write it */
#define RUN_NATIVE	3	/* first make the call, run_at_call(), natively */
#define RUN_SIGRETURN	4	/* rt_sigreturn, with this frame, see signal.c */
#define RUN_END		5	/* run_thread() returns */

/* Calls below this number are looked up in run_filter[]. */
#define RUN_CALLS	512

/* ucontext_t of Linux */
#define UC_R12		72
#define UC_R13		80
#define UC_R14		88
#define UC_RAX		144
#define UC_RSP		160
#define UC_RIP		168

#endif /* DUNE_RUN_ASM_H */
