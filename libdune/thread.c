// SPDX-License-Identifier: GPL-2.0 OR MIT
/* A thread's vCPU: made at its first dune_enter(), freed when it exits. */
#include <asm/prctl.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "area.h"
#include "rawsys.h"
#include "vm/setup.h"
#include "vm/share.h"

/*
 * The calling thread's area, valid if its generation is the vm's: a forked
 * child inherits the pointer but not what it points to.
 */
__thread struct dune_thread *dune_self;
static __thread uint32_t self_generation __attribute__((tls_model("initial-exec")));

/* Under dune_lock(). */
static struct dune_thread *all_threads;		/* with a vCPU */

static pthread_key_t exit_key, plain_key;
static bool keys_made;

struct dune_thread *dune_thread_current(void)
{
	if (!dune_self || !dune_alive() || self_generation != dune_vm.generation)
		return NULL;
	return dune_self;
}

int dune_vcpu_fd(void)
{
	struct dune_thread *t = dune_thread_current();

	return t ? t->fd : -1;
}

bool dune_inside(void)
{
	return dune_in_guest();
}

static void list_add(struct dune_thread *t)
{
	dune_lock();
	t->prev = NULL;
	t->next = all_threads;
	if (all_threads)
		all_threads->prev = t;
	all_threads = t;
	dune_unlock();
}

static void list_del(struct dune_thread *t)
{
	dune_lock();
	if (t->next)
		t->next->prev = t->prev;
	if (t->prev)
		t->prev->next = t->next;
	else
		all_threads = t->next;
	dune_unlock();
}

static void sregs_build(struct dune_thread *t)
{
	struct dune_sregs *sregs = &t->page->sregs;

	memset(sregs, 0, sizeof(*sregs));
	sregs->cr3 = t->vm.view->cr3;
	raw_syscall3(SYS_arch_prctl, ARCH_GET_FS, (long)&sregs->fs_base, 0);
	raw_syscall3(SYS_arch_prctl, ARCH_GET_GS, (long)&sregs->gs_base, 0);
	sregs->gdt_base = (uint64_t)t->page->gdt;
	sregs->gdt_limit = sizeof(t->page->gdt) + sizeof(t->page->cpu_desc) - 1;
	sregs->idt_base = dune_vm.idt;
	sregs->idt_limit = PAGE_SIZE - 1;
	sregs->tss_base = (uint64_t)&t->tss;
	sregs->tss_limit = sizeof(t->tss) - 1;
	t->page->sync |= DUNE_SYNC_SREGS;
}

static void self_set(struct dune_thread *t)
{
	dune_self = t;
	self_generation = dune_vm.generation;
}

#define STACK_MAX	(1ul << 30)

/* libc reads /proc/self/maps for the first thread's: half a million instructions. */
static bool first_stack(u64 *start, u64 *end)
{
	extern void *__libc_stack_end;
	uint64_t here = (uint64_t)__builtin_frame_address(0);
	struct rlimit limit;

	if (getrlimit(RLIMIT_STACK, &limit) || gettid() != getpid())
		return false;
	*end = (uint64_t)__libc_stack_end;
	*start = *end - (limit.rlim_cur < STACK_MAX ? limit.rlim_cur : STACK_MAX);
	return here >= *start && here < *end;
}

static int some_stack(u64 *start, u64 *end)
{
	pthread_attr_t attr;
	void *stack;
	size_t size;
	int err = -pthread_getattr_np(pthread_self(), &attr);

	if (err)
		return err;
	pthread_attr_getstack(&attr, &stack, &size);
	pthread_attr_destroy(&attr);
	*end = (uint64_t)stack + size;
	*start = *end - (size < STACK_MAX ? size : STACK_MAX);
	return 0;
}

static int stack_span(struct vm_span *span)
{
	return first_stack(&span->start, &span->end) ? 0 :
	       some_stack(&span->start, &span->end);
}

/* In every root, the same. The TLS may be in the stack's mapping. */
static int memory_keep(struct dune_thread *t)
{
	uint64_t tls = (uint64_t)__builtin_thread_pointer(), reader = vcpu_reader();
	uint64_t group = t->stacks & -GROUP_SIZE;
	struct vm_span spans[THREAD_SPANS] = {
		/* Exceptions are delivered there, or handled with it. */
		{ group, group + GROUP_SIZE },
		{ (uint64_t)t, (uint64_t)t + THREAD_SIZE },
		{ reader, reader + 1 },
		/* Running code needs these. */
		{ tls - dune_vm.tls_size, tls + PAGE_SIZE },
	};
	int err = stack_span(&spans[4]);

	for (unsigned int i = 0; i < 3 && !err; i++)
		err = vm_pin_range(&t->vm, spans[i].start, spans[i].end);
	return err ? err : vm_share_thread(&t->vm, spans);
}

/* Guest paging finds the thread from here on. */
static int paging_begin(struct dune_thread *t)
{
	int err;

	self_set(t);
	err = vcpu_begin(&t->vm, t->page);
	if (!err) {
		err = memory_keep(t);
		if (err)
			vcpu_end(&t->vm);
	}
	if (err) {
		self_set(NULL);
		dune_why_set("guest page tables of the thread: %s", strerror(-err));
	}
	return err;
}

static struct dune_thread *thread_create(int *err)
{
	struct dune_create_vcpu create = { .flags = 0 };
	struct dune_thread *t = area_get();

	if (!t) {
		*err = -errno;
		dune_why_set("no area for the thread: %m");
		return NULL;
	}
	t->fd = ioctl(dune_vm.fd, DUNE_CREATE_VCPU, &create);
	if (t->fd < 0) {
		*err = -errno;
		dune_why_set("DUNE_CREATE_VCPU: %m");
		goto err_area;
	}
	t->page = dune_vcpu_page(create.id);
	*err = paging_begin(t);
	if (*err)
		goto err_fd;

	t->host_sp = t->stacks + HOST_STACK_TOP;
	t->landing.rip = (uint64_t)dune_trap_landing;
	t->landing.rsp = t->host_sp;
	t->landing.rdi = (uint64_t)t;
	t->landing.rflags = 0x202;
	dune_tss_build(t);
	sregs_build(t);
	list_add(t);
	dune_ipi_thread_begins(t);
	return t;

err_fd:
	close(t->fd);
err_area:
	area_put(t);
	return NULL;
}

/* Before the vCPU goes: its id may be another one's then, and so its page. */
static void thread_free(struct dune_thread *t)
{
	int fd = t->fd;

	dune_ipi_thread_ends(t);
	vcpu_end(&t->vm);
	self_set(NULL);
	list_del(t);
	close(fd);
	area_put(t);
}

/* From the stub: the calling thread is about to exit, in plain mode. */
void dune_thread_exit(struct dune_thread *t)
{
	thread_free(t);
}

void dune_thread_lend(void)
{
	self_set(NULL);
}

void dune_thread_return(struct dune_thread *t, struct dune_thread *child)
{
	if (child) {
		dune_ipi_thread_ends(child);
		vcpu_end(&child->vm);
		list_del(child);
		area_put(child);
	}
	self_set(t);
	pthread_setspecific(exit_key, t);
}

/* Thread-specific data destructor. */
static void thread_exits(void *area)
{
	/* Still in Dune mode: stays there up to its exit(), see the stub. */
	if (dune_in_guest())
		return;
	if (area == dune_thread_current())
		dune_thread_exit(area);
}

static void plain_thread_exits(void *local)
{
	(void)local;
	vm_plain_end();
}

/* Guest paging has something of a thread that has no vCPU. */
void dune_thread_ends(void *local)
{
	pthread_setspecific(plain_key, local);
}

static int keys_make(void)
{
	int err = pthread_key_create(&exit_key, thread_exits);

	if (err)
		return err;
	err = pthread_key_create(&plain_key, plain_thread_exits);
	if (err)
		pthread_key_delete(exit_key);
	return err;
}

int dune_threads_init(void)
{
	int err;

	if (keys_made)
		return 0;
	err = keys_make();
	if (!err)
		err = pthread_atfork(rcu_before_fork, rcu_after_fork, rcu_after_fork);
	if (err) {
		dune_why_set("cannot follow threads and forks: %s", strerror(err));
		return -err;
	}
	keys_made = true;
	return 0;
}

/* In a forked child, under dune_lock(): the parent's vCPUs are not ours. */
void dune_threads_forget(void)
{
	struct dune_thread *t, *next;

	for (t = all_threads; t; t = next) {
		next = t->next;
		if (raw_syscall3(SYS_ioctl, t->fd, DUNE_RUN, 0) == -EPERM)
			close(t->fd);
	}
	all_threads = NULL;
	area_forget();
	dune_ipi_forget();
}

/* Has no thread in Dune mode a trap's handler left of before this epoch? */
bool dune_threads_passed(uint32_t epoch)
{
	struct dune_thread *t;
	bool passed = true;

	dune_lock();
	for (t = all_threads; t && passed; t = t->next)
		passed = !__atomic_load_n(&t->entered, __ATOMIC_RELAXED) ||
			 trap_grace_passed(&t->grace, epoch);
	dune_unlock();
	return passed;
}

/* Is this code on one of the thread's own stacks: a trap's handler, a landing? */
static bool on_own_stack(const struct dune_thread *t)
{
	return dune_in_stacks(t, __builtin_frame_address(0));
}

/* depth alone may be that of handlers that a signal's handler gave up. */
bool dune_in_handler(const struct dune_thread *t)
{
	return t->grace.depth && (t->entered || on_own_stack(t));
}

/* Whatever handlers were active, and ring 3: they will not go on. */
static void traps_reset(struct dune_thread *t)
{
	dune_tss_build(t);
	trap_grace_reset(&t->grace);
	if (!t->in_ring3)
		return;
	t->in_ring3 = 0;
	t->page->user_sp = 0;
	sregs_build(t);			/* CPL 0, and the thread's own FS base */
}

/* Saves the first page faults, and tells early when there is no slot. */
static int enter_fill(struct dune_thread *t)
{
	uint64_t addrs[] = {
		(uint64_t)__builtin_frame_address(0), t->page->sregs.fs_base,
	};

	for (unsigned int i = 0; i < 2; i++) {
		int err = addrs[i] < USER_END ?
			view_fill(t->vm.view, &t->vm, region_index(addrs[i])) : -EINVAL;

		if (err < 0) {
			dune_why_set("no guest physical slot for %#lx: %s",
				     (unsigned long)addrs[i], strerror(-err));
			return err;
		}
	}
	return 0;
}

int dune_thread_prepare(struct dune_thread **thread)
{
	struct dune_thread *t;
	int err;

	if (dune_in_guest()) {
		dune_why_set("this thread is in Dune mode already");
		return -EBUSY;
	}
	if (!dune_alive()) {
		dune_why_set("no dune_init() in this process");
		return -EINVAL;
	}
	t = dune_thread_current();
	if (!t) {
		t = thread_create(&err);
		if (!t)
			return err;
		pthread_setspecific(exit_key, t);
	}
	if (t->entered) {
		dune_why_set("a signal handler interrupted Dune mode on this thread");
		return -EBUSY;
	}
	if (on_own_stack(t)) {
		dune_why_set("this is the handler of a trap that left Dune mode");
		return -EBUSY;
	}
	err = enter_fill(t);
	if (err)
		return err;
	if (t->grace.depth || t->in_ring3)
		traps_reset(t);
	dune_ipi_thread_enters(t);
	dune_gdt_build(t);
	t->page->run_flags = dune_vm.run_flags & ~(t->runs_ring3 ? DUNE_RUN_CPL0 : 0);
	t->page->syscall_ip = (uintptr_t)dune_stub_syscall_end;
	__atomic_store_n(&t->entered, 1, __ATOMIC_RELAXED);
	*thread = t;
	return 0;
}

int dune_enter(void)
{
	struct dune_thread *t;
	int err = dune_thread_prepare(&t);

	if (err)
		return err;
	err = dune_enter_asm(t);
	if (!err)
		return 0;

	/* Plain mode still; the vCPU may be dead. */
	dune_thread_exit(t);
	pthread_setspecific(exit_key, NULL);
	return err;
}

int dune_exit(void)
{
	struct dune_thread *t = dune_thread_current();

	if (dune_in_guest()) {
		if (t && dune_in_handler(t))
			return -EBUSY;
		dune_vmcall(DUNE_HC_LEAVE, 0);
	} else if (!t || !t->entered) {
		return -EINVAL;
	}
	/*
	 * After leaving: a signal handler in between must not enter a vCPU
	 * that is in use.
	 */
	if (t)
		__atomic_store_n(&t->entered, 0, __ATOMIC_RELAXED);
	return 0;
}

long dune_syscall(long nr, long a1, long a2, long a3, long a4, long a5, long a6)
{
	if (dune_in_guest())
		return raw_vmcall6(nr, a1, a2, a3, a4, a5, a6);
	return raw_syscall6(nr, a1, a2, a3, a4, a5, a6);
}
