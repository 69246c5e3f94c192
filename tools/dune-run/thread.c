// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Threads. Each thread of the program is a thread of ours, too, made by our libc: so
 * libdune finds its thread-local data, while the program's thread pointer is
 * another. What Linux does at a thread's end (CLONE_CHILD_CLEARTID, robust futexes)
 * is asked for by the program; so our libc does not learn of that end, and keeps the
 * stack until reap() tells it.
 *
 * Plain code, see run.h.
 */
#include <errno.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "fpu.h"
#include "lock.h"
#include "run.h"

/* C of ours, libc's end of a thread, and vector registers. */
#define OWN_STACK	(128u << 10)

/* Our threads that have ended, or are about to: what their libc waits for. */
struct ended {
	int tid;
	int *tid_there;
};

/* Under run_lock. */
static struct ended ended[DUNE_MAX_VCPUS];
static unsigned int nr_ended;

/* By id of the vCPU; NULL: none. Read without the lock. */
static struct dune_thread *threads[DUNE_MAX_VCPUS];

struct dune_thread *run_thread_by_tid(int tid)
{
	for (unsigned int i = 0; i < DUNE_MAX_VCPUS; i++) {
		struct dune_thread *t = __atomic_load_n(&threads[i], __ATOMIC_ACQUIRE);

		/* Only its own thread looks for it: it does not go away. */
		if (t && run_of(t)->tid == tid)
			return t;
	}
	return NULL;
}

/* In a forked child: none of them is here. */
void run_threads_forget(void)
{
	memset(threads, 0, sizeof(threads));
	nr_ended = 0;
}

void run_thread_gone(struct dune_thread *t)
{
	__atomic_store_n(&threads[t->page->id], NULL, __ATOMIC_RELEASE);
}

static int prepare(struct dune_thread **t)
{
	struct rlimit limit;
	int err, fd;

	run_fds_begin(&limit);
	err = dune_thread_prepare(t);
	fd = err ? err : run_fd_hide((*t)->fd);
	run_fds_end(&limit);
	if (!err && fd < 0)
		dune_thread_exit(*t);
	if (fd < 0)
		return fd;
	(*t)->fd = fd;
	return 0;
}

/* Under run_lock. *t is ready to run, but for its registers. 0 or a negative errno */
int run_thread_ready(struct dune_thread **thread)
{
	struct run_thread *run;
	struct dune_thread *t;
	int err = prepare(&t);

	if (err)
		return err;
	run = run_of(t);
	memset(run, 0, sizeof(*run));
	run->own_fs = run_fs();
	run->sigs = &run_sigs;
	run->tid = gettid();
	t->own_fs = run->own_fs;
	run->alt_low = ~0ull;
	t->host_sp = (uint64_t)run;
	t->landing.rsp = t->host_sp;
	t->page->notify_vector = RUN_VECTOR;
	/* The stub is another one: see reenter.c of the module. */
	t->page->run_flags &= ~DUNE_RUN_REENTER;
	t->page->syscall_ip = (uint64_t)run_called;
	__atomic_store_n(&threads[t->page->id], t, __ATOMIC_RELEASE);
	*thread = t;
	return 0;
}

/* Their stacks are libc's again. */
static void reap(void)
{
	for (unsigned int i = 0; i < nr_ended; i++) {
		if (!raw_syscall3(SYS_tgkill, getpid(), ended[i].tid, 0))
			continue;
		__atomic_store_n(ended[i].tid_there, 0, __ATOMIC_RELEASE);
		ended[i--] = ended[--nr_ended];
	}
}

/* Under run_lock. */
static void ends(int tid, int *there)
{
	if (nr_ended == DUNE_MAX_VCPUS)
		reap();
	if (nr_ended < DUNE_MAX_VCPUS)
		ended[nr_ended++] = (struct ended){ tid, there };
}

struct start {
	struct run_clone *clone;
	struct dune_regs regs;
	uint64_t fs, mask;
	const void *vectors;	/* the parent's */
	struct run_sigs *sigs;
	uint32_t done;		/* futex */
};

static void store_tid(uint64_t there, int tid)
{
	run_copy((void *)there, &tid, sizeof(tid));
}

/* What Linux does for a new thread. */
static void as_asked(const struct run_clone *c, int tid)
{
	const uint64_t shared = CLONE_FS | CLONE_FILES;

	if (~c->flags & shared)
		syscall(SYS_unshare, ~c->flags & shared);
	if (c->flags & CLONE_PARENT_SETTID)
		store_tid(c->ptid, tid);
	if (c->flags & CLONE_CHILD_SETTID)
		store_tid(c->ctid, tid);
	syscall(SYS_set_tid_address, c->flags & CLONE_CHILD_CLEARTID ? c->ctid : 0);
	syscall(SYS_set_robust_list, NULL, 24);
}

static void answer(struct start *s, long result)
{
	s->clone->result = result;
	__atomic_store_n(&s->done, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &s->done, FUTEX_WAKE_PRIVATE, 1);
}

static int make_vcpu(struct dune_thread **t)
{
	int err;

	run_lock();
	err = run_thread_ready(t);
	run_unlock();
	/* What clone() says when there is no room for one more. */
	return err ? -EAGAIN : 0;
}

static void begin(struct dune_thread *t, const struct start *s)
{
	struct run_thread *run = run_of(t);

	run->sigs = s->sigs;
	run->mask = s->mask;
	run->pending = 1;
	t->page->regs = s->regs;
	t->page->sregs.fs_base = s->fs;
	t->page->sync |= DUNE_SYNC_REGS | DUNE_SYNC_SREGS;
}

static void end(struct dune_thread *t, int *tid_there)
{
	int tid = gettid();

	run_thread_gone(t);
	run_fd_gone(t->fd);
	dune_thread_exit(t);
	run_lock();
	ends(tid, tid_there);
	run_unlock();
}

static void *thread_main(void *arg)
{
	struct start *s = arg;
	void *vectors = fpu_alloca(0);
	uint64_t fs = s->fs;
	struct dune_thread *t;
	int *tid_there = NULL, err;

	err = prctl(PR_GET_TID_ADDRESS, &tid_there) ? -errno : make_vcpu(&t);
	if (err) {
		answer(s, err);
		return NULL;
	}
	memcpy(vectors, s->vectors, fpu_size());
	as_asked(s->clone, gettid());
	begin(t, s);
	answer(s, gettid());
	run_thread(t, vectors, fs);
	end(t, tid_there);
	return NULL;
}

static int create(struct start *s)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, OWN_STACK);
	run_lock();
	reap();
	err = pthread_create(&thread, &attr, thread_main, s);
	run_unlock();
	pthread_attr_destroy(&attr);
	return -err;
}

void run_child_regs(struct dune_thread *t, const struct run_clone *c, struct dune_regs *r)
{
	*r = t->page->regs;
	r->rax = 0;
	r->rip = r->rcx;
	r->rflags = r->r11;
	if (c->stack)
		r->rsp = c->stack;
}

void run_new_thread(struct dune_thread *t, struct run_clone *c)
{
	struct start s = {
		.clone = c,
		.fs = c->flags & CLONE_SETTLS ? c->tls : run_of(t)->program_fs,
		.mask = run_of(t)->mask,
		.vectors = run_of(t)->vectors,
		.sigs = run_of(t)->sigs,
	};
	int err;

	run_child_regs(t, c, &s.regs);
	err = create(&s);
	if (err) {
		c->result = -EAGAIN;
		return;
	}
	while (!__atomic_load_n(&s.done, __ATOMIC_ACQUIRE))
		syscall(SYS_futex, &s.done, FUTEX_WAIT_PRIVATE, 0, NULL);
}
