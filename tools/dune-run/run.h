/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * dune-run: a program that knows nothing of Dune runs in Dune mode. This program
 * loads it into its own address space and stays there: it has the plain Linux side
 * of each thread.
 *
 * The program has a libc of its own, or none: so while it runs its thread pointer
 * (FS) is not ours. Code here is of two kinds:
 *   bare    called from the stub on the thread's host stack with the program's FS
 *           and vector registers: call.c, signal.c. No libc, raw system calls.
 *   plain   called by run_plain(): with FS and vector registers of our own, and all
 *           signals blocked. It may call libc and libdune.
 */
#ifndef DUNE_RUN_H
#define DUNE_RUN_H

#include "asm.h"
#include "internal.h"
#include "rawsys.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/ucontext.h>

#define RUN_NSIG	64u
#define SYSCALL_SIZE	2	/* bytes of the instruction */
/* struct ucontext of Linux, which is shorter than libc's */
#define RUN_FRAME	304u
/* By which the guest is told that signals wait: any that is nobody else's. */
#define RUN_VECTOR	254u
#define RUN_ALL		(~0ull)
#define RUN_BIT(sig)	(1ull << ((sig) - 1))
/* Whatever the program says, run_signal has them. */
#define RUN_OURS	(RUN_BIT(SIGSEGV) | RUN_BIT(SIGBUS))

/* What the program asked for; of Linux' own we ask for run_signal. */
struct run_action {
	uint64_t handler, flags, restorer, mask;
};

/* Of a process; a vfork() child has a copy. */
struct run_sigs {
	uint32_t lock;
	struct run_action action[RUN_NSIG + 1];
};

struct run_thread {
	uint64_t pending;	/* 1: the stub sets mask before the guest runs */
	uint64_t mask;
	uint64_t sp;		/* RUN_SIGRETURN's */
	uint64_t return_sp;	/* run_thread()'s */
	uint64_t alt_low;	/* the alternate stack; none: low above high */
	uint64_t alt_high;
	uint64_t old_mask;	/* the stub's */
	uint64_t own_fs;	/* our thread pointer */
	uint64_t program_fs;	/* during run_plain() */
	const void *vectors;	/* the program's, during run_plain() */
	struct run_sigs *sigs;
	int tid;
	uint32_t is_child;	/* of vfork(): our thread pointer is its parent's */
	uint32_t is_first;	/* the thread of main(): its end is no return */
	uint32_t exec_natively;	/* execve() is Linux' to make, and may fail */
	uint32_t left;		/* regs are the program's, the guest's own do not count */
	struct dune_regs regs;
	char frame[RUN_FRAME] __attribute__((aligned(16)));	/* RUN_SIGRETURN's */
};

_Static_assert(sizeof(struct run_thread) <= RUN_SIZE, "stub.S");
_Static_assert(offsetof(struct run_thread, pending) == RUN_PENDING, "stub.S");
_Static_assert(offsetof(struct run_thread, mask) == RUN_MASK, "stub.S");
_Static_assert(offsetof(struct run_thread, sp) == RUN_SP, "stub.S");
_Static_assert(offsetof(struct run_thread, return_sp) == RUN_RETURN_SP, "stub.S");
_Static_assert(offsetof(struct run_thread, alt_low) == RUN_ALT_LOW, "stub.S");
_Static_assert(offsetof(struct run_thread, alt_high) == RUN_ALT_HIGH, "stub.S");
_Static_assert(offsetof(struct run_thread, old_mask) == RUN_OLD_MASK, "stub.S");
_Static_assert(offsetof(ucontext_t, uc_mcontext.gregs[REG_R12]) == UC_R12, "stub.S");
_Static_assert(offsetof(ucontext_t, uc_mcontext.gregs[REG_R13]) == UC_R13, "stub.S");
_Static_assert(offsetof(ucontext_t, uc_mcontext.gregs[REG_R14]) == UC_R14, "stub.S");
_Static_assert(offsetof(ucontext_t, uc_mcontext.gregs[REG_RAX]) == UC_RAX, "stub.S");
_Static_assert(offsetof(ucontext_t, uc_mcontext.gregs[REG_RSP]) == UC_RSP, "stub.S");
_Static_assert(offsetof(ucontext_t, uc_mcontext.gregs[REG_RIP]) == UC_RIP, "stub.S");

/* A call of the clone family. */
struct run_clone {
	uint64_t flags, stack, ptid, ctid, tls, exit_signal;
	long result;		/* out */
};

struct run_options {
	bool follow;		/* execve() */
	bool stats;
	bool reissue;
	char numa[160];		/* as dune_set_placement() takes it; empty: not said */
};
extern struct run_options run_options;

#pragma GCC visibility push(hidden)

static inline struct run_thread *run_of(struct dune_thread *t)
{
	return (struct run_thread *)(t->stacks + HOST_STACK_TOP - RUN_SIZE);
}

/* stub.S */
long run_thread(struct dune_thread *t, const void *xsave, uint64_t fs_base);
void run_stub(void);
void run_signal(void);
void run_restorer(void);
long run_copy(void *to, const void *from, size_t size);
extern const char run_ioctl_end[], run_call[], run_called[], run_not_call[], run_reload[], run_busy[],
	run_checked[], run_stub_end[], run_copy_insn[], run_copy_fault[];

/* call.c */
extern uint64_t run_filter[RUN_CALLS / 64];
void run_filter_init(void);
int run_host(struct dune_thread *t, long ret);
void run_vectors(const void *xsave);
/* All signals are blocked, FS is ours: the task goes on without Dune. */
_Noreturn void run_without_dune(const struct dune_regs *regs, uint64_t mask,
				const void *vectors, uint64_t fs);
typedef void (*run_plain_fn)(struct dune_thread *t, void *arg);
/* Afterwards the stub sets the signal mask that the thread had. */
void run_plain(struct dune_thread *t, run_plain_fn fn, void *arg);
/* The guest's call returns result. */
void run_result(struct dune_thread *t, long result);
/* The guest's registers are those with which it executes its SYSCALL. */
void run_at_call(struct dune_thread *t);

/* action.c */
extern struct run_sigs run_sigs;
void run_sigs_init(void);
/* Of a process that forks: nobody changes them meanwhile. */
void run_sigs_lock(struct run_sigs *s);
void run_sigs_unlock(struct run_sigs *s);
long run_sigaction(struct dune_thread *t, const struct dune_regs *r);
/* Ignored signals that only look handled, before execve(); and back. */
void run_sigs_before_exec(struct run_sigs *s);
void run_sigs_after_exec(struct run_sigs *s);

/* signal.c */
int run_sigreturn(struct dune_thread *t);
void run_sigaltstack(struct dune_thread *t, const struct dune_regs *r);
int run_deliver(struct dune_thread *t, int sig, siginfo_t *info, ucontext_t *uc, uint64_t frame);
void run_defer(struct dune_thread *t, int sig, siginfo_t *info, ucontext_t *uc);
struct dune_thread *run_find(void);
uint64_t run_native_handler(int sig, siginfo_t *info, ucontext_t *uc);
enum dune_trap_action run_guest_deferred(struct dune_trap *f, void *arg);
uint64_t run_native_mask(struct dune_thread *t, uint64_t mask);

/*
 * fds.c: descriptors are made, and hidden, between begin and end, when the program's
 * limit (*limit) does not hold. Under run_lock, once there are threads.
 */
void run_fds_begin(struct rlimit *limit);
void run_fds_end(const struct rlimit *limit);
int run_fd_hide(int fd);		/* its new number, or a negative errno */
void run_fd_gone(int fd);
/* Bare. t: a vfork() child's is in another table. */
bool run_fd_is_ours(const struct dune_thread *t, unsigned int fd);
long run_close_range(const struct dune_thread *t, unsigned int first, unsigned int last,
		     unsigned int flags);
void run_fds_forget(void);

/* thread.c: plain */
int run_thread_ready(struct dune_thread **t);
void run_thread_gone(struct dune_thread *t);
void run_new_thread(struct dune_thread *t, struct run_clone *c);
/* With which the new task begins. */
void run_child_regs(struct dune_thread *t, const struct run_clone *c, struct dune_regs *r);
void run_threads_forget(void);
struct dune_thread *run_thread_by_tid(int tid);

/* process.c: plain */
void run_fork(struct dune_thread *t, struct run_clone *c);
void run_vfork(struct dune_thread *t, struct run_clone *c);
/* dune_init(), with what is ours. 0 or a negative errno */
int run_vm_init(void);

/* exec.c: plain */
#define RUN_EXEC_NATIVELY	1
void run_exec(struct dune_thread *t, void *result);
extern int run_self_fd;

/* stats.c */
void run_stats(struct dune_thread *t, void *unused);

#pragma GCC visibility pop

static inline uint64_t run_fs(void)
{
	uint64_t base;

	asm volatile("rdfsbase %0" : "=r" (base));
	return base;
}

static inline void run_fs_set(uint64_t base)
{
	asm volatile("wrfsbase %0" : : "r" (base) : "memory");
}

/*
 * But those by which run_copy() learns of a bad address: they stay as the program
 * has them. Returns the mask before.
 */
static inline uint64_t run_block_all(void)
{
	uint64_t most = ~RUN_OURS, old = 0;

	raw_syscall4(SYS_rt_sigprocmask, SIG_BLOCK, (long)&most, (long)&old, sizeof(old));
	return old;
}

#endif /* DUNE_RUN_H */
