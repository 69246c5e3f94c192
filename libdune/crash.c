// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Telling somebody about a crashed guest: the program's handler, or stderr. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"
#include "rawsys.h"

/*
 * The program's handler and its argument belong together: the sequence is odd
 * while they change. Writers take dune_crash_lock.
 */
dune_crash_fn dune_crash_handler;
static void *crash_arg;
static uint32_t crash_seq;
static char crash_lock;

void dune_on_crash(dune_crash_fn fn, void *arg)
{
	while (__atomic_test_and_set(&crash_lock, __ATOMIC_ACQUIRE))
		;
	__atomic_store_n(&crash_seq, crash_seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	__atomic_store_n(&dune_crash_handler, fn, __ATOMIC_RELAXED);
	__atomic_store_n(&crash_arg, arg, __ATOMIC_RELAXED);
	__atomic_store_n(&crash_seq, crash_seq + 1, __ATOMIC_RELEASE);
	__atomic_clear(&crash_lock, __ATOMIC_RELEASE);
}

static dune_crash_fn crash_get(void **arg)
{
	dune_crash_fn fn;
	uint32_t seq;

	do {
		seq = __atomic_load_n(&crash_seq, __ATOMIC_ACQUIRE) & ~1u;
		fn = __atomic_load_n(&dune_crash_handler, __ATOMIC_RELAXED);
		*arg = __atomic_load_n(&crash_arg, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (__atomic_load_n(&crash_seq, __ATOMIC_RELAXED) != seq);
	return fn;
}

const char *dune_kind_name(unsigned int kind)
{
	static const char *const names[] = {
		[DUNE_EXIT_SYSCALL]	 = "system call",
		[DUNE_EXIT_RETRY]	 = "retry",
		[DUNE_EXIT_FAULT]	 = "refused memory access",
		[DUNE_EXIT_HYPERCALL]	 = "hypercall",
		[DUNE_EXIT_CRASH]	 = "triple fault",
		[DUNE_EXIT_ENTRY_FAILED] = "VM entry failed",
		[DUNE_EXIT_UNKNOWN]	 = "exit the module does not know",
	};

	if (kind == DUNE_CRASH_TRAP)
		return "exception";
	if (kind == DUNE_CRASH_NESTING)
		return "exception in too many handlers of exceptions";
	return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "unknown kind";
}

/* On the guest's stack, in plain mode. */
void dune_crash_call(void *thread)
{
	struct dune_crash copy = ((struct dune_thread *)thread)->crash;
	dune_crash_fn fn;
	void *arg;

	fn = crash_get(&arg);
	if (fn)
		fn(&copy, arg);
}

#define ULL(x)	((unsigned long long)(x))

void dune_crash_report(void *thread)
{
	const struct dune_crash *c = &((struct dune_thread *)thread)->crash;
	const struct dune_regs *r = &c->regs;

	dprintf(STDERR_FILENO,
		"libdune: thread %ld: the vCPU is dead: %s (exit reason %#x, qualification %#llx)\n"
		"  rip %016llx rsp %016llx rflags %08llx\n"
		"  rax %016llx rbx %016llx rcx %016llx rdx %016llx\n"
		"  rsi %016llx rdi %016llx rbp %016llx r8  %016llx\n"
		"  r9  %016llx r10 %016llx r11 %016llx r12 %016llx\n"
		"  r13 %016llx r14 %016llx r15 %016llx\n",
		raw_syscall3(SYS_gettid, 0, 0, 0), dune_kind_name(c->kind),
		c->exit.hw_reason, ULL(c->exit.qualification),
		ULL(r->rip), ULL(r->rsp), ULL(r->rflags),
		ULL(r->rax), ULL(r->rbx), ULL(r->rcx), ULL(r->rdx),
		ULL(r->rsi), ULL(r->rdi), ULL(r->rbp), ULL(r->r8),
		ULL(r->r9), ULL(r->r10), ULL(r->r11), ULL(r->r12),
		ULL(r->r13), ULL(r->r14), ULL(r->r15));
}

/* Before dune_crash_report(): what it cannot say. */
static void nesting_report(const struct dune_crash *c)
{
	dprintf(STDERR_FILENO,
		"libdune: exception %u (error code %#llx, address %#llx) in %u active handlers of its group, the most there may be\n",
		c->vector, ULL(c->error_code), ULL(c->fault_addr), DUNE_TRAP_NESTING);
}

void dune_refused_report(void *thread)
{
	const struct dune_vcpu_page *page = ((struct dune_thread *)thread)->page;

	dprintf(STDERR_FILENO,
		"libdune: thread %ld: Dune cannot map the memory at %#llx (access %#x, rip %#llx); the thread goes on outside Dune mode\n",
		raw_syscall3(SYS_gettid, 0, 0, 0), ULL(page->exit.addr),
		page->exit.access, ULL(page->regs.rip));
}

void dune_slot_report(void *thread)
{
	const struct dune_thread *t = thread;

	dprintf(STDERR_FILENO,
		"libdune: thread %ld: no guest physical slot for %#llx: %s; the thread goes on outside Dune mode\n",
		raw_syscall3(SYS_gettid, 0, 0, 0), ULL(t->crash.fault_addr),
		strerror(t->slot_error));
}

/* As Linux ends a process whose SIGSEGV cannot be handled. */
void dune_crash_die(struct dune_thread *t)
{
	struct sigaction sa = { .sa_handler = SIG_DFL };
	sigset_t set;

	if (t->crash.kind == DUNE_CRASH_NESTING)
		nesting_report(&t->crash);
	dune_crash_report(t);
	sigaction(SIGSEGV, &sa, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	raise(SIGSEGV);
	_exit(128 + SIGSEGV);
}

void dune_run_failed_die(struct dune_thread *t, long err)
{
	if (!dune_alive())
		dprintf(STDERR_FILENO,
			"libdune: a forked child returned from a signal handler into Dune mode of its parent; it may not\n");
	else
		dprintf(STDERR_FILENO,
			"libdune: thread %ld: DUNE_RUN on fd %d: %s%s\n",
			raw_syscall3(SYS_gettid, 0, 0, 0), t->fd, strerror(-err),
			err == -EBADF ? " (did the program close it?)" : "");
	abort();
}
