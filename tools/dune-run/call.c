// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The calls that are not Linux' alone: what they create or end has a plain side
 * here. All others never come by. Bare code, see run.h.
 */
#include <errno.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <asm/prctl.h>

#include "fpu.h"
#include "run.h"

uint64_t run_filter[RUN_CALLS / 64];

static const uint16_t filtered[] = {
	SYS_close, SYS_dup2, SYS_dup3, SYS_close_range,
	SYS_rt_sigaction, SYS_rt_sigreturn, SYS_sigaltstack,
	SYS_clone, SYS_clone3, SYS_fork, SYS_vfork, SYS_exit, SYS_exit_group,
	SYS_execve, SYS_execveat,
	SYS_arch_prctl, SYS_rseq, SYS_prctl, SYS_seccomp, SYS_pkey_alloc,
};

void run_filter_init(void)
{
	for (unsigned int i = 0; i < sizeof(filtered) / sizeof(*filtered); i++)
		run_filter[filtered[i] / 64] |= 1ull << filtered[i] % 64;
}

void run_vectors(const void *xsave)
{
	if (xsave)
		fpu_restore(xsave);
	else
		dune_fpu_init();
}

void run_plain(struct dune_thread *t, run_plain_fn fn, void *arg)
{
	struct run_thread *run = run_of(t);
	uint64_t mask = run_block_all(), fs = run_fs();
	void *area = fpu_alloca(0);

	/* A signal that came before has left its mask. */
	if (!run->pending)
		run->mask = mask;
	run->pending = 1;
	run->program_fs = fs;
	run->vectors = area;
	fpu_save(area);
	run_fs_set(run->own_fs);
	fn(t, arg);
	run_fs_set(fs);
	fpu_restore(area);
}

void run_without_dune(const struct dune_regs *regs, uint64_t mask, const void *vectors,
		      uint64_t fs)
{
	static struct dune_thread nobody;

	fpu_restore(vectors);
	run_fs_set(fs);
	dune_sigreturn(&nobody, regs, mask);
}

/* What SYSRET leaves: rcx and r11 are the guest's already. */
void run_result(struct dune_thread *t, long result)
{
	struct dune_regs *r = &t->page->regs;

	r->rax = result;
	r->rip = r->rcx;
	r->rflags = r->r11;
	t->page->sync |= DUNE_SYNC_REGS;
}

void run_at_call(struct dune_thread *t)
{
	struct dune_regs *r = &t->page->regs;

	r->rip = r->rcx - SYSCALL_SIZE;
	r->rflags = r->r11;
	t->page->sync |= DUNE_SYNC_REGS;
}

static int result(struct dune_thread *t, long value)
{
	run_result(t, value);
	return RUN_AGAIN;
}

static int natively(struct dune_thread *t)
{
	run_at_call(t);
	return RUN_NATIVE;
}

static long again(const struct dune_regs *r)
{
	return raw_syscall6((uint32_t)r->rax, r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9);
}

/* --- descriptors of ours: there are none --- */

static int on_close(struct dune_thread *t, const struct dune_regs *r)
{
	if (run_fd_is_ours(t, r->rdi))
		return result(t, -EBADF);
	return natively(t);
}

static int on_dup(struct dune_thread *t, const struct dune_regs *r)
{
	if (run_fd_is_ours(t, r->rdi) || run_fd_is_ours(t, r->rsi))
		return result(t, -EBADF);
	return natively(t);
}

/* --- tasks --- */

/* What the program may share by threads of ours: all that ours share. */
#define THREAD_FLAGS	(CLONE_VM | CLONE_SIGHAND | CLONE_THREAD)
#define THREAD_MAY	(THREAD_FLAGS | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_SETTLS | \
			 CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | \
			 CLONE_DETACHED | CLONE_UNTRACED | CLONE_PTRACE)
#define SIGNAL_MASK	0xffull

static void clone_any(struct dune_thread *t, void *arg)
{
	struct run_clone *c = arg;

	if (c->flags & CLONE_THREAD)
		run_new_thread(t, c);
	else if (c->flags & CLONE_VM)
		run_vfork(t, c);
	else
		run_fork(t, c);
}

/*
 * What is not, Linux finds wrong, or the task is in plain mode: one that shares the
 * memory and is neither a thread nor waited for has no place for what is ours; one
 * that shares descriptors would close ours.
 */
static bool for_us(const struct run_clone *c)
{
	if (c->flags & CLONE_THREAD)
		return (c->flags & THREAD_FLAGS) == THREAD_FLAGS && c->stack &&
		       !(c->flags & ~THREAD_MAY);
	if (c->flags >> 32 || c->exit_signal > SIGNAL_MASK || c->flags & CLONE_FILES)
		return false;
	return !(c->flags & CLONE_VM) || c->flags & CLONE_VFORK;
}

static int clone_this(struct dune_thread *t, struct run_clone *c)
{
	if (!for_us(c))
		return natively(t);
	run_plain(t, clone_any, c);
	return result(t, c->result);
}

static int on_clone(struct dune_thread *t, const struct dune_regs *r)
{
	struct run_clone c = {
		.flags = r->rdi & ~SIGNAL_MASK, .exit_signal = r->rdi & SIGNAL_MASK,
		.stack = r->rsi, .ptid = r->rdx, .ctid = r->r10, .tls = r->r8,
	};

	return clone_this(t, &c);
}

static int on_clone3(struct dune_thread *t, const struct dune_regs *r)
{
	struct clone_args args = { 0 };
	struct run_clone c;
	uint64_t size = r->rsi;

	/* Cgroups and chosen ids are Linux' to make. */
	if (size < CLONE_ARGS_SIZE_VER0 || size > sizeof(args) ||
	    run_copy(&args, (void *)r->rdi, size) || args.set_tid_size ||
	    args.flags & CLONE_INTO_CGROUP || (!args.stack) != !args.stack_size)
		return natively(t);
	c = (struct run_clone){
		.flags = args.flags, .exit_signal = args.exit_signal,
		.stack = args.stack + args.stack_size, .ptid = args.parent_tid,
		.ctid = args.child_tid, .tls = args.tls,
	};
	/* clone(), which is used for it, has one argument for both. */
	if (c.flags & CLONE_PIDFD && c.flags & CLONE_PARENT_SETTID)
		return natively(t);
	if (c.flags & CLONE_PIDFD)
		c.ptid = args.pidfd;
	return clone_this(t, &c);
}

static int on_fork(struct dune_thread *t, const struct dune_regs *r)
{
	struct run_clone c = { .exit_signal = SIGCHLD };

	if ((uint32_t)r->rax == SYS_vfork)
		c.flags = CLONE_VM | CLONE_VFORK;
	return clone_this(t, &c);
}

static int on_exec(struct dune_thread *t, const struct dune_regs *r)
{
	struct run_thread *run = run_of(t);
	long ret;

	(void)r;
	run_plain(t, run_exec, &ret);
	if (ret != RUN_EXEC_NATIVELY)
		return result(t, ret);
	/* A signal that comes in between makes the stub set pending's mask; once more, then. */
	run->pending = 0;
	raw_syscall4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&run->mask, 0, sizeof(run->mask));
	return natively(t);
}

static void last_words(struct dune_thread *t, void *unused)
{
	run_stats(t, unused);
}

static int on_exit_group(struct dune_thread *t, const struct dune_regs *r)
{
	(void)r;
	if (run_options.stats && !run_of(t)->is_child)
		run_plain(t, last_words, NULL);
	raw_syscall3(SYS_exit_group, r->rdi, 0, 0);
	__builtin_unreachable();
}

/* On a stack that is nobody else's: that of the thread is free then. */
static void first_ends(void *thread)
{
	struct dune_thread *t = thread;
	uint64_t code = t->page->regs.rdi;
	int fd = t->fd;

	run_thread_gone(t);
	run_fd_gone(fd);
	dune_thread_exit(t);
	raw_syscall3(SYS_exit, code, 0, 0);
}

static char end_stack[64 << 10] __attribute__((aligned(16)));

/*
 * The first thread has nowhere to return to. In the others our own libc ends: what
 * Linux does for the program at a thread's end comes at that one's.
 */
static int on_thread_exit(struct dune_thread *t, const struct dune_regs *r)
{
	struct run_thread *run = run_of(t);

	if (run->is_child)
		raw_syscall3(SYS_exit, r->rdi, 0, 0);
	dune_block_signals();
	/* A signal that has waited is not this thread's alone: first that. */
	if (run->pending) {
		run_at_call(t);
		return RUN_AGAIN;
	}
	run_fs_set(run->own_fs);
	if (run->is_first)
		dune_call_on_stack(first_ends, t, (uint64_t)end_stack + sizeof(end_stack));
	return RUN_END;
}

/* --- others --- */

static int on_arch_prctl(struct dune_thread *t, const struct dune_regs *r)
{
	long ret = again(r);

	/* The module keeps FS bases the same; GS is the guest's alone. */
	if (!ret && r->rdi == ARCH_SET_GS) {
		t->page->sregs.fs_base = run_fs();
		t->page->sregs.gs_base = r->rsi;
		t->page->sync |= DUNE_SYNC_SREGS;
	}
	return result(t, ret);
}

/* Nobody would abort its critical sections: libc and others do without. */
static int on_rseq(struct dune_thread *t, const struct dune_regs *r)
{
	(void)r;
	return result(t, -ENOSYS);
}

/*
 * What would decide over the stub's own calls as if they were the program's, and end
 * it at the next DUNE_RUN: as a kernel that does not have it.
 */
static int on_prctl(struct dune_thread *t, const struct dune_regs *r)
{
	uint32_t option = r->rdi;

	if ((option == PR_SET_SYSCALL_USER_DISPATCH && r->rsi != PR_SYS_DISPATCH_OFF) ||
	    (option == PR_SET_SECCOMP && r->rsi == SECCOMP_MODE_STRICT))
		return result(t, -EINVAL);
	return natively(t);
}

static int on_seccomp(struct dune_thread *t, const struct dune_regs *r)
{
	if ((uint32_t)r->rdi == SECCOMP_SET_MODE_STRICT)
		return result(t, -EINVAL);
	return natively(t);
}

/* PKEY_DISABLE_ACCESS and PKEY_DISABLE_WRITE */
#define PKEY_RIGHTS	3ull

/*
 * The EPT has no keys, and what they refuse would be allowed: so there are none,
 * which programs expect.
 */
static int on_pkey_alloc(struct dune_thread *t, const struct dune_regs *r)
{
	if (r->rdi || r->rsi & ~PKEY_RIGHTS)
		return result(t, -EINVAL);
	return result(t, -ENOSPC);
}

static int on_call(struct dune_thread *t)
{
	struct dune_regs r = t->page->regs;

	if (run_of(t)->exec_natively) {
		run_of(t)->exec_natively = 0;
		run_sigs_after_exec(run_of(t)->sigs);
	}
	switch ((uint32_t)r.rax) {
	case SYS_close:
		return on_close(t, &r);
	case SYS_dup2:
	case SYS_dup3:
		return on_dup(t, &r);
	case SYS_close_range:
		return result(t, run_close_range(t, r.rdi, r.rsi, r.rdx));
	case SYS_rt_sigaction:
		return result(t, run_sigaction(t, &r));
	case SYS_rt_sigreturn:
		return run_sigreturn(t);
	case SYS_sigaltstack:
		run_sigaltstack(t, &r);
		return natively(t);
	case SYS_clone:
		return on_clone(t, &r);
	case SYS_clone3:
		return on_clone3(t, &r);
	case SYS_fork:
	case SYS_vfork:
		return on_fork(t, &r);
	case SYS_exit:
		return on_thread_exit(t, &r);
	case SYS_exit_group:
		return on_exit_group(t, &r);
	case SYS_execve:
	case SYS_execveat:
		return on_exec(t, &r);
	case SYS_arch_prctl:
		return on_arch_prctl(t, &r);
	case SYS_rseq:
		return on_rseq(t, &r);
	case SYS_prctl:
		return on_prctl(t, &r);
	case SYS_seccomp:
		return on_seccomp(t, &r);
	case SYS_pkey_alloc:
		return on_pkey_alloc(t, &r);
	default:
		return natively(t);
	}
}

int run_host(struct dune_thread *t, long ret)
{
	struct run_thread *run = run_of(t);

	if (ret == DUNE_EXIT_SYSCALL)
		return on_call(t);
	if (ret == DUNE_EXIT_HYPERCALL && run->left) {
		run->left = 0;
		t->page->regs = run->regs;
		t->page->sync |= DUNE_SYNC_REGS;
		return RUN_AGAIN;
	}
	switch (dune_host_exit(t, ret)) {
	case HOST_TOUCH_READ:
		return RUN_TOUCH_READ;
	case HOST_TOUCH_WRITE:
		return RUN_TOUCH_WRITE;
	default:
		return RUN_AGAIN;
	}
}
