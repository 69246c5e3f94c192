// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What the run stub cannot do itself: refused accesses, traps, dead vCPUs.
 *
 * Code of kind "host" (see internal.h): on the host stack, in plain mode. The
 * thread's vector registers are the guest's and live, so this file is compiled
 * without them and saves them around calls to other code.
 */
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>

#include "fpu.h"
#include "internal.h"
#include "rawsys.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#define MADV_POPULATE_WRITE	23
#endif

/* So often may an access be refused while Linux allows it and nothing changes. */
#define REFUSED_MAX	16

/* What we call is libc's: it wants its own thread pointer. Returns the one before. */
static uint64_t own_fs(const struct dune_thread *t)
{
	uint64_t fs = 0;

	if (t->own_fs)
		asm volatile("rdfsbase %0; wrfsbase %1" : "=&r" (fs) : "r" (t->own_fs) : "memory");
	return fs;
}

static void call_on(struct dune_thread *t, void (*fn)(void *), uint64_t sp)
{
	uint64_t fs = own_fs(t);

	if (sp)
		dune_call_on_stack(fn, t, sp);
	else
		fn(t);
	if (t->own_fs)
		asm volatile("wrfsbase %0" : : "r" (fs) : "memory");
}

/* fn(t) at stack pointer sp (0: on this stack); fn may use vector registers. */
static void call_saved(struct dune_thread *t, void (*fn)(void *), uint64_t sp)
{
	void *area = fpu_alloca(0);

	fpu_save(area);
	call_on(t, fn, sp);
	fpu_restore(area);
}

static bool signal_handled(int sig)
{
	struct kernel_sigaction sa;

	if (raw_syscall4(SYS_rt_sigaction, sig, 0, (long)&sa, sizeof(sa.mask)))
		return false;
	return sa.handler != (uint64_t)SIG_DFL && sa.handler != (uint64_t)SIG_IGN;
}

/*
 * A page fault that would be none natively: the guest page table's alone. And a
 * single step, which is over.
 */
static bool is_guests_own(const struct dune_crash *c)
{
	if (c->kind == DUNE_CRASH_TRAP && dune_is_step(c->vector, c->regs.rflags))
		return true;
	return c->kind == DUNE_CRASH_TRAP && c->vector == DUNE_VECTOR_PF &&
	       c->error_code != DUNE_TRAP_INT_N && c->fault_addr < USER_END;
}

static _Noreturn void replay(struct dune_thread *t)
{
	if (dune_mask_hook)
		dune_sigreturn(t, &t->crash.regs, dune_mask_hook(t, dune_block_signals()));
	dune_replay(t, &t->crash.regs);
}

/*
 * t->crash is complete: tell the program, then let the thread run into the
 * same fault natively, with the same registers.
 */
static _Noreturn void leave(struct dune_thread *t)
{
	if (dune_crash_wanted())
		call_saved(t, dune_crash_call, t->crash.regs.rsp - REDZONE);
	if (is_guests_own(&t->crash))
		dune_signal_fault(t);
	replay(t);
}

static void crash_from_page(struct dune_thread *t)
{
	struct dune_vcpu_page *page = t->page;

	t->crash.kind = page->exit.kind;
	t->crash.vector = 0;
	t->crash.error_code = 0;
	t->crash.fault_addr = page->exit.kind == DUNE_EXIT_FAULT ? page->exit.addr : 0;
	t->crash.regs = page->regs;
	t->crash.exit = page->exit;
}

static bool populate(uint64_t addr, int advice)
{
	return raw_syscall3(SYS_madvise, addr & ~(PAGE_SIZE - 1), PAGE_SIZE, advice) == 0;
}

/*
 * Does Linux allow the access now? Waits for a userfault, too. Of an instruction
 * fetch it tells only whether there is memory to read.
 */
static bool allowed(const struct dune_exit *exit)
{
	int advice = exit->access & DUNE_ACCESS_WRITE ? MADV_POPULATE_WRITE :
							MADV_POPULATE_READ;
	static const struct timespec no_wait;

	if (populate(exit->addr, advice))
		return true;
	/*
	 * A stack grows only for a true page fault. FUTEX_WAIT reads the word,
	 * with faults and without signals, and gives up at once.
	 */
	raw_syscall4(SYS_futex, exit->addr & ~3ull, FUTEX_WAIT_PRIVATE, 0, (long)&no_wait);
	return populate(exit->addr, advice);
}

/*
 * True when the same access was refused again and again though Linux allows
 * it. Not when other threads take the page away and bring it back meanwhile:
 * then the module is told of invalidations.
 */
static bool hopeless(struct dune_thread *t, bool again, bool ok)
{
	uint64_t changes;

	raw_syscall4(SYS_ioctl, dune_vm.fd, DUNE_SYNC_COUNTERS, 0, 0);
	changes = dune_vm.page->counters[DUNE_VM_notifier_calls];
	if (again && ok && t->refused_changes == changes)
		t->refused_times++;
	else
		t->refused_times = 0;
	t->refused_changes = changes;
	t->refused_addr = t->page->exit.addr;
	t->refused_rip = t->page->regs.rip;
	return t->refused_times == REFUSED_MAX;
}

/*
 * The mm refused ring 3 an access. Not to be done natively: that is a page fault
 * for dune_user_run(), unless Linux allows it after all.
 */
static int refused_ring3(struct dune_thread *t)
{
	const struct dune_exit *exit = &t->page->exit;
	bool again = t->refused_addr == exit->addr && t->refused_rip == t->page->regs.rip;
	bool ok = !(again && exit->access & DUNE_ACCESS_EXEC) && allowed(exit);

	if (hopeless(t, again, ok) || !ok) {
		t->refused_times = 0;
		t->page->sync |= DUNE_SYNC_FAULT;
	}
	return HOST_RUN;
}

/*
 * The mm refused an access. If the program handles the signal, do the access
 * natively on the guest's stack (in the stub): Linux runs the handler, which
 * may repair and return. Else the signal kills, and the core file should show
 * the guest's registers: do it as the guest. A fetch is tried once more before
 * that, if it is not the one that was refused last: it may have been refused for
 * want of memory.
 */
static int refused(struct dune_thread *t)
{
	const struct dune_exit *exit = &t->page->exit;
	bool again = t->refused_addr == exit->addr && t->refused_rip == t->page->regs.rip;
	bool exec = exit->access & DUNE_ACCESS_EXEC;
	bool handled = signal_handled(SIGSEGV) || signal_handled(SIGBUS);
	bool ok = (exec ? !again : again || !handled) && allowed(exit);

	if (hopeless(t, again, ok)) {
		/* Memory that the module cannot map. Go on without Dune. */
		t->refused_times = 0;
		call_saved(t, dune_refused_report, 0);
		crash_from_page(t);
		replay(t);
	}
	if (handled && !exec)
		return exit->access & DUNE_ACCESS_WRITE ? HOST_TOUCH_WRITE : HOST_TOUCH_READ;
	if (ok)
		return HOST_RUN;
	crash_from_page(t);
	leave(t);
}

/* Nothing of the guest has run since dune_enter(): fail that call. */
static bool not_started(struct dune_thread *t)
{
	return t->page->regs.rip == (uint64_t)dune_entered;
}

static int enter_failed(struct dune_thread *t, long err)
{
	t->enter_error = err;
	return HOST_ENTER_FAILED;
}

/* t->crash is complete, and there is no going on. */
static _Noreturn void die(struct dune_thread *t)
{
	uint64_t sp = t->page->user_sp ? t->page->user_sp : t->crash.regs.rsp - REDZONE;

	if (dune_crash_wanted())
		call_saved(t, dune_crash_call, sp);
	own_fs(t);
	dune_crash_die(t);
}

static int dead(struct dune_thread *t)
{
	const struct dune_exit *exit = &t->page->exit;

	if (not_started(t)) {
		dune_why_set("the vCPU did not start: %s (exit reason %#x, qualification %#llx)",
			     dune_kind_name(exit->kind), exit->hw_reason,
			     (unsigned long long)exit->qualification);
		return enter_failed(t, -EIO);
	}
	crash_from_page(t);
	die(t);
}

/* DUNE_RUN returned something else than SYSCALL and RETRY. */
int dune_host_exit(struct dune_thread *t, long ret)
{
	if (ret == -EINTR || ret == -EAGAIN || ret == DUNE_EXIT_HYPERCALL)
		return HOST_RUN;
	/* In a forked child the vCPU's page is not mapped: do not look. */
	if (ret < 0 && dune_alive() && not_started(t) && (t->page->sync & DUNE_SYNC_REGS)) {
		dune_why_set("DUNE_RUN failed: error %ld", -ret);
		return enter_failed(t, ret);
	}
	if (ret < 0)
		own_fs(t);
	if (ret < 0)
		dune_run_failed_die(t, ret);
	if (ret == DUNE_EXIT_FAULT)
		return t->page->user_sp ? refused_ring3(t) : refused(t);
	/* A scheduler could not tell ring 3's registers, and gets none. */
	if (ret == DUNE_EXIT_QUANTUM && !t->page->user_sp) {
		call_saved(t, dune_quantum_call, 0);
		return HOST_RUN_MOVED;
	}
	if (ret == DUNE_EXIT_QUANTUM)
		return HOST_RUN;
	return dead(t);
}

/* A guest that trapped, from dune_trap_landing. */
void dune_host_trap(struct dune_thread *t)
{
	if (t->slot_error) {
		/* The access is fine, Dune has no slot for it: go on natively. */
		call_saved(t, dune_slot_report, 0);
		t->slot_error = 0;
		replay(t);
	}
	__builtin_memset(&t->crash.exit, 0, sizeof(t->crash.exit));
	/* Replayed half in ring 3, it would end in Linux' own user mode. */
	if (t->crash.kind == DUNE_CRASH_NESTING || t->in_ring3)
		die(t);
	leave(t);
}
