/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * libdune: run threads of an ordinary Linux process in Dune mode.
 *
 * A thread in Dune mode executes the same code on the same addresses, at CPL 0
 * of VMX non-root mode, with its own vCPU; all threads of the process share
 * one guest page table and one EPT. System calls, signals and faults behave as
 * in Linux.
 *
 *	if (dune_init() == 0 && dune_enter() == 0) {
 *		...			// in Dune mode
 *		dune_exit();		// plain Linux again
 *	}
 *
 * What a contract does not say otherwise:
 *
 * Context: any thread, in either mode.
 *
 * Result: 0 or a negative errno.
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
 * Prepare this process for Dune mode. Opens /dev/dune, creates the vm, the guest
 * page table and the IDT that all threads share; costs the same whatever the size
 * of the address space. Idempotent. Threads then enter by dune_enter().
 *
 * The vm lives until the process ends, or execve(). A forked child does not
 * inherit it: it is a plain Linux process and may call this anew, which also
 * closes the descriptors of the parent's vm.
 *
 * Context: any thread, several at once; plain Linux mode only.
 *
 * -ENOENT: no /dev/dune, the module is not loaded; -EACCES: the caller may not
 * open it; -ENODEV: no usable VT-x, the kernel log says why; -EBUSY: another
 * hypervisor holds VT-x, or this process has a vm that libdune did not create;
 * -EPROTO: module and library are of different versions; -ENOMEM: out of memory.
 * dune_why() says it in a sentence.
 */
int dune_init(void);

/*
 * On which NUMA nodes the EPT of this process is, from its dune_init() on: "local"
 * (where the thread runs that needs a table; the default), "interleave" or
 * "interleave:NODES" (in turn), "bind:NODES" (of these the nearest), "replicate"
 * (one EPT for each node: no CPU reads another node's tables, and each thread takes
 * its EPT faults anew on each node). NODES is a list as 0,2-3 of nodes below 64. A
 * node that has no memory left is replaced by one near it. Guest page tables are
 * placed alike, but there is one set of them: docs/numa.md. Instead of this
 * call the environment variable DUNE_NUMA may have the same text.
 *
 * Where the memory of the program is, is Linux' business: set_mempolicy(2).
 *
 * Context: any thread in plain Linux mode, before dune_init(). A forked child has
 * its parent's and may call it again.
 *
 * Result: 0 or a negative errno; dune_why() has the reason.
 *
 * -EINVAL: no such text (that none of the nodes is there, dune_init() says);
 * -EBUSY: dune_init() was called; -ENOMEM: out of memory.
 */
int dune_set_placement(const char *placement);

/*
 * The last failure of this thread's dune_init() or dune_enter(), as text. One
 * line, which also says what to do.
 *
 * Result: a text that stays valid until the thread's next failure.
 */
const char *dune_why(void);

/*
 * Enter Dune mode on the calling thread. It goes on there on the same stack, in
 * the same address space, at CPL 0 of VMX non-root mode. The first call creates
 * the thread's vCPU, which lives until the thread exits.
 *
 * Result: 0, in Dune mode, or a negative errno, in plain Linux mode. Errors of
 * open(), mmap() and of the module are passed on, -ENOSPC for too many vCPUs among
 * them.
 *
 * -EINVAL: no dune_init() in this process; -EBUSY: the thread is in Dune mode
 * already, or this is a signal handler that interrupted Dune mode, or a trap's
 * handler that left it (dune_trap.h); -EIO: the CPU refused to start the vCPU,
 * dune_why() gives its reason; -EOPNOTSUPP: the thread has data segment selectors
 * that are not zero.
 */
int dune_enter(void);

/*
 * Back to plain Linux mode; the vCPU is kept for the next dune_enter(). In a
 * signal handler (plain mode) that interrupted Dune mode it abandons the
 * interrupted guest context: only for handlers that leave by siglongjmp().
 *
 * Context: a thread in Dune mode, or such a signal handler.
 *
 * -EINVAL: the thread is not in Dune mode; -EBUSY: this is a trap's handler.
 */
int dune_exit(void);

/*
 * Does the calling code execute in Dune mode?
 *
 * Context: any; async-signal-safe.
 *
 * Result: true in Dune mode.
 */
bool dune_inside(void);

/*
 * A Linux system call by VMCALL in Dune mode (by SYSCALL in plain mode). Saves the
 * detour that the SYSCALL instruction takes in Dune mode.
 *
 * Context: any; async-signal-safe.
 *
 * Result: what the kernel returns, a result or a negative errno.
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
 * it happens: the thread gets the signal Linux would have sent. *crash* is valid
 * until fn returns. An access that Linux refuses counts as a crash only while
 * SIGSEGV and SIGBUS have no handler. NULL removes fn. One handler per process;
 * the change holds for crashes after the call.
 */
typedef void (*dune_crash_fn)(const struct dune_crash *crash, void *arg);
void dune_on_crash(dune_crash_fn fn, void *arg);

/*
 * Call a function after each quantum of time in Dune mode. After each us
 * microseconds that the calling thread spends there fn is called on it, in plain
 * Linux mode, on a stack of its own. That is the guest's time alone: the kernel's
 * work for it and waiting do not count, and a quantum goes on over system calls,
 * faults and migrations.
 *
 * regs are the interrupted ones, and fn may change them: a scheduler in user space
 * gives others to the thread. Vector registers and the thread pointer are kept over
 * fn and are not in regs. fn must return; it may make system calls and call
 * dune_set_quantum(), it may not enter Dune mode.
 *
 * us: DUNE_QUANTUM_MIN_US to DUNE_QUANTUM_MAX_US, or 0: no more quanta. The
 * counter quanta has their number, with fn NULL too.
 *
 * Context: a thread that has entered Dune mode once, in either mode; for itself.
 *
 * -EINVAL: the thread has not, or us is out of range; -EOPNOTSUPP: the CPU has no
 * preemption timer that is saved at VM exits.
 */
typedef void (*dune_quantum_fn)(struct dune_regs *regs, void *arg);
int dune_set_quantum(uint32_t us, dune_quantum_fn fn, void *arg);

/*
 * A copy of all counters: of the process's vm, and of the calling thread's vCPU;
 * vcpu[] is zero for a thread that has none. No system call. uapi/dune_counters.h
 * names the indexes. The thread's own counters are exact; the vm's are read one by
 * one while other threads change them.
 *
 * -EINVAL: the process has no vm; all is zero then.
 */
struct dune_stats {
	uint64_t vm[DUNE_NR_VM_COUNTERS];
	uint64_t vcpu[DUNE_NR_VCPU_COUNTERS];
};
int dune_stats(struct dune_stats *stats);

/*
 * Name and meaning of a counter, for tables.
 *
 * Result: a constant text; NULL when i is out of range.
 */
const char *dune_vm_counter_name(unsigned int i);
const char *dune_vm_counter_text(unsigned int i);
const char *dune_vcpu_counter_name(unsigned int i);
const char *dune_vcpu_counter_text(unsigned int i);

/*
 * The vCPU's file descriptor of the calling thread; for tests and tools.
 *
 * Result: the descriptor, which the library keeps; -1 when there is none.
 */
int dune_vcpu_fd(void);
/*
 * The vm's file descriptor; for tests and tools.
 *
 * Result: the descriptor, which the library keeps; -1 when there is none.
 */
int dune_vm_fd(void);

#ifdef __cplusplus
}
#endif

#endif /* DUNE_H */
