/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What stub.S shares with C; asserted in run.h. */
#ifndef DUNE_RUN_ASM_H
#define DUNE_RUN_ASM_H

#include "../../libdune/asm.h"

/* struct run_thread: above the top of the host stack as dune-run sets it, THREAD_HOST_SP. */
#define RUN_SIZE	4096
#define RUN_PENDING	0
#define RUN_MASK	8
#define RUN_SP		16
#define RUN_RETURN_SP	24
#define RUN_ALT_LOW	32
#define RUN_ALT_HIGH	40
#define RUN_OLD_MASK	48

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
