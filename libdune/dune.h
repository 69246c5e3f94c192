/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * libdune: run threads of an ordinary Linux process in Dune mode.
 *
 * A thread in Dune mode executes the same code on the same addresses, at CPL 0
 * of VMX non-root mode, with its own vCPU; all threads of the process share
 * one guest page table and one EPT. System calls, signals and faults behave as
 * in Linux. Unless a comment says otherwise a function may be called from any
 * thread, in either mode, and returns 0 or a negative errno.
 *
 *	if (dune_init() == 0 && dune_enter() == 0) {
 *		...			// in Dune mode
 *		dune_exit();		// plain Linux again
 *	}
 */
#ifndef DUNE_H
#define DUNE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "dune_ipi.h"
#include "dune_trap.h"
#include "dune_user.h"
#include "dune_vm.h"
#include "uapi/dune.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Prepare this process: open /dev/dune, create the vm, the guest page table
 * and the IDT. Idempotent and thread-safe; plain Linux mode only. A forked
 * child may call it anew. -ENOENT/-EACCES: no access to /dev/dune; -ENODEV:
 * no usable VT-x; -EBUSY: another hypervisor holds VT-x, or this process has a
 * vm that libdune did not create. dune_why() says it in a sentence.
 */
int dune_init(void);

/* The last failure of this thread's dune_init() or dune_enter(), as text. */
const char *dune_why(void);

/*
 * Enter Dune mode on the calling thread; returns 0 in Dune mode. The first
 * call creates the thread's vCPU, which lives until the thread exits.
 * -EINVAL: no dune_init(); -EBUSY: the thread is in Dune mode already, or this
 * is a signal handler that interrupted Dune mode, or a trap's handler that left
 * it (dune_trap.h).
 */
int dune_enter(void);

/*
 * Back to plain Linux mode; the vCPU is kept for the next dune_enter(). In a
 * signal handler (plain mode) that interrupted Dune mode it abandons the
 * interrupted guest context: only for handlers that leave by siglongjmp().
 * -EINVAL: the thread is not in Dune mode; -EBUSY: this is a trap's handler.
 */
int dune_exit(void);

/* True when the calling code executes in Dune mode. Async-signal-safe. */
bool dune_inside(void);

/*
 * A Linux system call by VMCALL in Dune mode (by SYSCALL in plain mode).
 * Returns the kernel's value: result or -errno. Async-signal-safe.
 */
long dune_syscall(long nr, long a1, long a2, long a3, long a4, long a5, long a6);

/*
 * What a crashed guest was doing. kind is an enum dune_exit_kind, or
 * DUNE_CRASH_TRAP for an exception nobody handled, or DUNE_CRASH_NESTING for
 * one in DUNE_TRAP_NESTING handlers already, of which the thread does not come
 * back.
 */
#define DUNE_CRASH_TRAP 100
#define DUNE_CRASH_NESTING 101
struct dune_crash {
	uint32_t kind;
	uint32_t vector;	/* DUNE_CRASH_TRAP and _NESTING: the exception's vector */
	uint64_t error_code;	/* DUNE_CRASH_TRAP and _NESTING */
	uint64_t fault_addr;	/* #PF: CR2; DUNE_EXIT_FAULT: the address */
	struct dune_regs regs;	/* the guest's registers */
	struct dune_exit exit;	/* the module's record, if kind is one of its */
};

/*
 * Ask for crash records instead of signals: fn runs on the crashed thread, in
 * plain Linux mode, on the guest's stack below its red zone, and may end the
 * thread, longjmp (after dune_exit()), or return: then what happens without
 * it happens: the thread gets the signal Linux would have sent. NULL removes
 * it. One handler per process; the change holds for crashes after the call.
 */
typedef void (*dune_crash_fn)(const struct dune_crash *crash, void *arg);
void dune_on_crash(dune_crash_fn fn, void *arg);

/*
 * After each us microseconds that the calling thread spends in Dune mode call
 * fn on it, in plain Linux mode, on a stack of its own. regs are the
 * interrupted ones, and fn may change them: a scheduler in user space gives
 * others to the thread. Vector registers and the thread pointer are kept over
 * fn and are not in regs. fn must return; it may not enter Dune mode.
 * us: DUNE_QUANTUM_MIN_US to DUNE_QUANTUM_MAX_US, or 0: no more quanta. The
 * counter quanta has their number, with fn NULL too. In either mode, after the
 * thread's first dune_enter(). -EINVAL: before, or us is out of range;
 * -EOPNOTSUPP: the CPU has no preemption timer.
 */
typedef void (*dune_quantum_fn)(struct dune_regs *regs, void *arg);
int dune_set_quantum(uint32_t us, dune_quantum_fn fn, void *arg);

/* A copy of all counters; vcpu[] is zero for a thread that has no vCPU. */
struct dune_stats {
	uint64_t vm[DUNE_NR_VM_COUNTERS];
	uint64_t vcpu[DUNE_NR_VCPU_COUNTERS];
};
int dune_stats(struct dune_stats *stats);

/* Name and meaning of a counter; NULL when out of range. */
const char *dune_vm_counter_name(unsigned int i);
const char *dune_vm_counter_text(unsigned int i);
const char *dune_vcpu_counter_name(unsigned int i);
const char *dune_vcpu_counter_text(unsigned int i);

/* vCPU file descriptor of the calling thread, or -1; for tests and tools. */
int dune_vcpu_fd(void);
/* The vm's file descriptor, or -1; for tests and tools. */
int dune_vm_fd(void);

#ifdef __cplusplus
}
#endif

#endif /* DUNE_H */
