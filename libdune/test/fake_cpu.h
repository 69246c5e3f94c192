/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * A fake of the kernel module and of VMX, for unit tests of libdune on any
 * machine: the "guest" runs at CPL 3 and the module is a set of signal
 * handlers that edit registers exactly as the module would.
 *
 *	SYSCALL in libdune	syscall user dispatch -> SIGSYS -> DUNE_RUN
 *	VMCALL (assembled as UD2) -> SIGILL -> hypercall or system call
 *	a fault in the guest	-> SIGSEGV, SIGILL -> EPT fault, exception by the
 *				guest's own IDT and TSS, or privileged instruction
 *
 * Not faked: address translation. The tests walk the guest page table.
 */
#ifndef FAKE_CPU_H
#define FAKE_CPU_H

#include <stdbool.h>
#include <stdint.h>
#include <signal.h>
#include <ucontext.h>

#include "uapi/dune.h"

/* UD0: in the guest, an exception inject_vector once; then it does nothing. */
#define FAKE_INJECT	".byte 0x0f, 0xff"

struct fake {
	unsigned int retries;		/* so many DUNE_RUNs just return RETRY */
	int retry_signal;		/* and this signal comes with each */
	bool retry_slot;		/* the next DUNE_HC_SLOT ends in a RETRY */
	int run_error;			/* the next DUNE_RUN fails so */
	unsigned int end_kind;		/* the next DUNE_RUN ends at once so */
	int open_error;			/* of the device */
	unsigned int api_version;	/* if not 0 */
	unsigned int fail_nth;		/* the n-th call of libdune into libc fails */
	int slot_error;			/* of DUNE_HC_SLOT */
	uint64_t refused_addr;		/* every DUNE_RUN: FAULT, reading there */
	unsigned int refused_changes;	/* so often, each with an invalidation */
	bool signals_default;		/* pretend SIGSEGV, SIGBUS are SIG_DFL */
	unsigned int inject_vector;	/* by FAKE_INJECT */
	uint64_t inject_error;
	uint64_t cr2;
	/* A fault in plain mode; NULL: dies of it. */
	void (*on_native_fault)(int sig, siginfo_t *info, ucontext_t *uc);

	unsigned int runs;		/* DUNE_RUN calls so far */
	unsigned int slots;
};
extern struct fake fake;

/* Install; once per process (forked children too). False: no kernel support. */
bool fake_attach(void);
/* In every thread but the one that attached. */
bool fake_attach_thread(void);
bool fake_in_guest(void);

#endif /* FAKE_CPU_H */
