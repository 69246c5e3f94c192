// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * New processes. The child of a fork() makes a vm of its own before the program's
 * next instruction. The child of a vfork() shares its parent's memory, vm included,
 * and has a vCPU of its own in it; its parent waits, so it uses the parent's thread
 * pointer and what is thread-local.
 *
 * Plain code, see run.h.
 */
#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fpu.h"
#include "lock.h"
#include "run.h"

#define CHILD_STACK	(256ul << 10)

struct run_options run_options = { .follow = true };

static int vm_init_here(void)
{
	int err = dune_init(), fd;

	if (err)
		return err;
	dune_vm.run_flags &= ~(DUNE_RUN_REENTER | DUNE_RUN_REISSUE);
	dune_vm.run_flags |= DUNE_RUN_NO_HLT;
	if (run_options.reissue)
		dune_vm.run_flags |= DUNE_RUN_REISSUE;
	fd = run_fd_hide(dune_vm.fd);
	if (fd >= 0)
		dune_vm.fd = fd;
	return dune_trap_register(RUN_VECTOR, run_guest_deferred, NULL, DUNE_TRAP_FAST);
}

int run_vm_init(void)
{
	struct rlimit limit;
	int err;

	run_fds_begin(&limit);
	err = vm_init_here();
	run_fds_end(&limit);
	return err;
}

/* Said once: what follows is right, but not in Dune mode. */
static void say_without(const char *what)
{
	dprintf(STDERR_FILENO, "dune-run: process %d: %s: it goes on without Dune\n",
		getpid(), what);
}

/* How a new process goes on: of its parent's registers. */
struct child {
	struct run_clone *clone;
	struct dune_regs regs;
	uint64_t fs, mask;
	const void *vectors;
	struct run_sigs *sigs;
	uint64_t alt_low, alt_high;
	struct dune_thread *t;		/* out, vfork(): the child's */
};

static void child_init(struct child *child, struct dune_thread *t, struct run_clone *c)
{
	const struct run_thread *run = run_of(t);

	*child = (struct child){
		.clone = c,
		.fs = c->flags & CLONE_SETTLS ? c->tls : run->program_fs,
		.mask = run->mask,
		.vectors = run->vectors,
		.sigs = run->sigs,
		.alt_low = run->alt_low,
		.alt_high = run->alt_high,
	};
	run_child_regs(t, c, &child->regs);
}

static void go(struct dune_thread *t, const struct child *child, const void *vectors)
{
	struct run_thread *run = run_of(t);

	run->mask = child->mask;
	run->pending = 1;
	run->sigs = child->sigs;
	t->page->regs = child->regs;
	t->page->sregs.fs_base = child->fs;
	t->page->sync |= DUNE_SYNC_REGS | DUNE_SYNC_SREGS;
	run_thread(t, vectors, child->fs);
}

/* --- fork --- */

/* Where the child's C runs: on the stack of its parent's thread it may not stay. */
static void *fork_stack;

static bool fork_stack_make(void)
{
	void *p;

	if (fork_stack)
		return true;
	p = mmap(NULL, CHILD_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return false;
	fork_stack = p;
	return true;
}

static void as_asked(const struct run_clone *c)
{
	int tid = gettid();

	if (c->flags & CLONE_CHILD_SETTID)
		run_copy((void *)c->ctid, &tid, sizeof(tid));
	syscall(SYS_set_tid_address, c->flags & CLONE_CHILD_CLEARTID ? c->ctid : 0);
	syscall(SYS_set_robust_list, NULL, 24);
}

/* On fork_stack: the stack up to here goes with the parent's vm. */
static void fork_child(void *arg)
{
	struct child child = *(struct child *)arg;
	struct run_clone c = *child.clone;
	void *vectors = fpu_alloca(0);
	struct dune_thread *t;
	int err;

	memcpy(vectors, child.vectors, fpu_size());
	child.sigs = &run_sigs;
	run_lock_forget();
	run_threads_forget();
	as_asked(&c);
	run_fds_forget();
	err = run_vm_init();
	if (!err)
		err = run_thread_ready(&t);
	if (err) {
		say_without(dune_why());
		run_without_dune(&child.regs, child.mask, vectors, child.fs);
	}
	run_of(t)->is_first = 1;
	run_of(t)->alt_low = child.alt_low;
	run_of(t)->alt_high = child.alt_high;
	go(t, &child, vectors);
}

/* What our libc's fork() is. Others are made without it: rare, and alone. */
static bool is_fork(const struct run_clone *c)
{
	const uint64_t known = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID |
			       CLONE_PARENT_SETTID | CLONE_SETTLS;

	return !(c->flags & ~known) && c->exit_signal == SIGCHLD;
}

static long fork_as(const struct run_clone *c)
{
	const uint64_t ours = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_SETTLS;

	if (is_fork(c))
		return fork();
	return syscall(SYS_clone, (c->flags & ~ours) | c->exit_signal, NULL, c->ptid, NULL, NULL);
}

/*
 * The vfork() child's fork: of memory that is its parent's, so the signals are those
 * of the parent as the child has changed them.
 */
void run_fork(struct dune_thread *t, struct run_clone *c)
{
	struct child child;
	long pid = -1;
	int tid;

	child_init(&child, t, c);
	if (!run_of(t)->is_child)
		run_lock();
	run_sigs_lock(child.sigs);
	errno = ENOMEM;
	if (fork_stack_make())
		pid = fork_as(c);
	if (!pid) {
		if (child.sigs != &run_sigs)
			run_sigs = *child.sigs;
		run_sigs.lock = 0;
		dune_call_on_stack(fork_child, &child, (uint64_t)fork_stack + CHILD_STACK);
	}
	c->result = pid < 0 ? -errno : pid;
	run_sigs_unlock(child.sigs);
	if (!run_of(t)->is_child)
		run_unlock();
	tid = pid;
	if (pid > 0 && is_fork(c) && c->flags & CLONE_PARENT_SETTID)
		run_copy((void *)c->ptid, &tid, sizeof(tid));
}

/* --- vfork --- */

static int vfork_child(void *arg)
{
	struct child *child = arg;
	struct dune_thread *t;
	int err;

	dune_thread_lend();
	/* run_lock is our parent's meanwhile. */
	err = run_thread_ready(&t);
	if (err) {
		say_without(dune_why());
		run_without_dune(&child->regs, child->mask, child->vectors, child->fs);
	}
	child->t = t;
	run_of(t)->is_child = 1;
	run_of(t)->alt_low = child->alt_low;
	run_of(t)->alt_high = child->alt_high;
	go(t, child, child->vectors);
	return 0;
}

/*
 * Under run_lock: the child's vCPU goes when it likes, and nobody must get its id
 * before the parent has forgotten it. Its own children need no lock: it has it.
 */
void run_vfork(struct dune_thread *t, struct run_clone *c)
{
	uint64_t flags = c->flags & ~(uint64_t)CLONE_SETTLS;
	bool is_child = run_of(t)->is_child;
	struct child child;
	struct run_sigs sigs;
	void *stack;
	int pid;

	stack = mmap(NULL, CHILD_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stack == MAP_FAILED) {
		c->result = -ENOMEM;
		return;
	}
	child_init(&child, t, c);
	if (!is_child)
		run_lock();
	run_sigs_lock(child.sigs);
	sigs = *child.sigs;
	sigs.lock = 0;
	if (!(c->flags & CLONE_SIGHAND))
		child.sigs = &sigs;
	run_sigs_unlock(run_of(t)->sigs);
	pid = clone(vfork_child, (char *)stack + CHILD_STACK, flags | c->exit_signal, &child,
		    c->ptid, NULL, c->ctid);
	c->result = pid < 0 ? -errno : pid;
	if (child.t)
		run_thread_gone(child.t);
	dune_thread_return(t, child.t);
	if (!is_child)
		run_unlock();
	munmap(stack, CHILD_STACK);
}
