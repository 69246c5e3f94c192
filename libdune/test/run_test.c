// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The stub, the guest entries and the host exits, on the fake CPU. */
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../vm/vm.h"
#include "guest.h"

static bool setup(void)
{
	return fake_attach();
}

static void enter_and_exit(void)
{
	int i;

	CHECK_EQ(dune_exit(), -EINVAL);
	CHECK_EQ(dune_enter(), -EINVAL);
	CHECK(strstr(dune_why(), "dune_init"));
	for (i = 0; i < 3; i++) {
		enter();
		CHECK_EQ(dune_enter(), -EBUSY);
		leave();
	}
	CHECK_EQ(dune_exit(), -EINVAL);
	CHECK_EQ(fake.runs, 3);
}

static void system_calls(void)
{
	int fds[2];
	char c = 0;

	enter();
	CHECK_EQ(dune_syscall(SYS_getppid, 0, 0, 0, 0, 0, 0), getppid());
	CHECK_EQ(dune_syscall(SYS_close, 9999, 0, 0, 0, 0, 0), -EBADF);
	CHECK_EQ(dune_syscall(SYS_pipe2, (long)fds, O_CLOEXEC, 0, 0, 0, 0), 0);
	CHECK_EQ(dune_syscall(SYS_write, fds[1], (long)"x", 1, 0, 0, 0), 1);
	CHECK_EQ(dune_syscall(SYS_read, fds[0], (long)&c, 1, 0, 0, 0), 1);
	CHECK_EQ(c, 'x');
	/* All six arguments matter to mmap(). */
	CHECK(dune_syscall(SYS_mmap, 0, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) > 0);
	CHECK_EQ(dune_syscall(SYS_mmap, 0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 1),
		 -EINVAL);
	CHECK_EQ(dune_syscall(SYS_mmap, 0, 4096, PROT_READ, MAP_PRIVATE, 9999, 0), -EBADF);
	leave();
	CHECK_EQ(dune_syscall(SYS_getppid, 0, 0, 0, 0, 0, 0), getppid());
}

static void syscall_keeps_red_zone_and_flags(void)
{
	enter();
	CHECK_EQ(guest_syscall(SYS_getppid, 0, 0, 0x202), getppid());
	CHECK(!(guest_flags & FLAG_DF));
	CHECK_EQ(guest_syscall(SYS_getppid, 0, 0, 0x202 | FLAG_DF), getppid());
	CHECK(guest_flags & FLAG_DF);
	CHECK_EQ(guest_syscall(SYS_close, 9999, 0, 0x202), -EBADF);
	leave();
}

static int thread_fd;
static volatile int hits;
static volatile int enter_in_handler;
static volatile bool inside_in_handler;

static void on_usr1(int sig)
{
	volatile char big[4096];

	(void)sig;
	memset((char *)big, 0x77, sizeof(big));
	hits++;
	inside_in_handler = dune_inside();
	enter_in_handler = dune_enter();
}

static void signal_at_retry_spares_the_guest_stack(void)
{
	signal(SIGUSR1, on_usr1);
	enter();
	fake.retries = 3;
	fake.retry_signal = SIGUSR1;
	CHECK_EQ(guest_syscall(SYS_getppid, 0, 0, 0x202), getppid());
	CHECK_EQ(hits, 3);
	CHECK(!inside_in_handler);
	CHECK_EQ(enter_in_handler, -EBUSY);
	/* During the system call. */
	hits = 0;
	CHECK_EQ(guest_syscall(SYS_tkill, gettid(), SIGUSR1, 0x202), 0);
	CHECK_EQ(hits, 1);
	leave();
	CHECK_EQ(dune_enter(), 0);
	leave();
}

static void *trace[32];
static int trace_len;

static void on_trace(int sig)
{
	(void)sig;
	trace_len = backtrace(trace, 32);
}

static bool trace_has(const void *start, const void *end)
{
	int i;

	for (i = 0; i < trace_len; i++)
		if (trace[i] >= start && trace[i] < end)
			return true;
	return false;
}

/* From a signal handler through the stub to the guest's functions. */
static void unwinding_sees_the_guest(void)
{
	backtrace(trace, 1);		/* loads libgcc natively */
	signal(SIGUSR1, on_trace);
	enter();
	fake.retries = 1;
	fake.retry_signal = SIGUSR1;
	CHECK_EQ(dune_syscall(SYS_getppid, 0, 0, 0, 0, 0, 0), getppid());
	CHECK(trace_has((void *)unwinding_sees_the_guest, (char *)unwinding_sees_the_guest + 600));
	CHECK(trace_has((void *)test_main, (char *)test_main + 1000));
	trace_len = 0;
	CHECK_EQ(dune_syscall(SYS_tkill, gettid(), SIGUSR1, 0, 0, 0, 0), 0);
	CHECK(trace_has((void *)unwinding_sees_the_guest, (char *)unwinding_sees_the_guest + 600));
	/* In the #PF handler. */
	trace_len = 0;
	fake.retries = 1;
	fake.retry_slot = true;
	fake.cr2 = 0x123400000000;
	fake.inject_vector = 14;
	asm volatile(FAKE_INJECT : : : "memory");
	CHECK(trace_len > 0);
	CHECK(trace_has((void *)unwinding_sees_the_guest, (char *)unwinding_sees_the_guest + 600));
	leave();
}

static int cleaned;

static void clean(int *arg)
{
	cleaned = *arg;
}

static void *cancelled_main(void *arg)
{
	int value __attribute__((cleanup(clean))) = 11;

	(void)arg;
	CHECK(fake_attach_thread());
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	enter();
	thread_fd = dune_vcpu_fd();
	__atomic_store_n(&hits, 1, __ATOMIC_RELEASE);
	for (;;)
		dune_syscall(SYS_pause, 0, 0, 0, 0, 0, 0);
	return NULL;
}

static void cancellation_unwinds_the_guest(void)
{
	pthread_t thread;
	void *result;

	CHECK_EQ(pthread_create(&thread, NULL, cancelled_main, NULL), 0);
	while (!__atomic_load_n(&hits, __ATOMIC_ACQUIRE))
		sched_yield();
	pthread_cancel(thread);
	CHECK_EQ(pthread_join(thread, &result), 0);
	CHECK(result == PTHREAD_CANCELED);
	CHECK_EQ(cleaned, 11);
	CHECK_EQ(fcntl(thread_fd, F_GETFD), -1);
}

static void run_error_eintr_keeps_the_result(void)
{
	enter();
	fake.run_error = EINTR;
	CHECK_EQ(guest_syscall(SYS_close, 9999, 0, 0x202), -EBADF);
	leave();
}

static void hypercalls(void)
{
	enter();
	CHECK_EQ(dune_vmcall(DUNE_HC_NOP, 0), 0);
	dune_vmcall(DUNE_HC_EXIT, 0);		/* ignored */
	CHECK(dune_inside());
	leave();
}

static void fork_child_is_plain(void)
{
	int status, fd = 0;
	long pid;

	enter();
	fd = dune_vcpu_fd();
	pid = dune_syscall(SYS_fork, 0, 0, 0, 0, 0, 0);
	if (pid == 0) {
		CHECK(!dune_inside());
		CHECK_EQ(dune_enter(), -EINVAL);
		CHECK_EQ(dune_exit(), -EINVAL);
		CHECK_EQ(dune_vm_fd(), -1);
		CHECK_EQ(dune_vcpu_fd(), -1);
		CHECK(fcntl(fd, F_GETFD) >= 0);
		/* It may start afresh. */
		CHECK(fake_attach());
		CHECK_EQ(dune_init(), 0);
		enter();
		CHECK_EQ(guest_syscall(SYS_getpid, 0, 0, 0x202), getpid());
		leave();
		_exit(42);
	}
	CHECK(pid > 0);
	CHECK(dune_inside());
	CHECK_EQ(dune_syscall(SYS_wait4, pid, (long)&status, 0, 0, 0, 0), pid);
	CHECK_EQ(status, 42 << 8);
	leave();
}

static void fork_by_syscall_instruction(void)
{
	int status;
	long pid;

	enter();
	pid = guest_syscall(SYS_fork, 0, 0, 0x202);
	if (pid == 0)
		_exit(dune_inside() ? 1 : 43);
	CHECK(pid > 0);
	CHECK_EQ(dune_syscall(SYS_wait4, pid, (long)&status, 0, 0, 0, 0), pid);
	CHECK_EQ(status, 43 << 8);
	leave();
}

/* clone() onto a new stack: the child returns from the call there. */
static volatile int clone_child_ran;
long guest_clone(long flags, void *stack);
void clone_child(long sp);
asm(".text\n"
    "guest_clone:\n"
    "	mov	$56, %eax\n"
    "	mov	$0x202, %r11d\n"
    "	xor	%edx, %edx\n"
    "	xor	%r10d, %r10d\n"
    "	xor	%r8d, %r8d\n"
    "	lea	1f(%rip), %rcx\n"
    "	mov	%rsi, %r9\n"
    "	jmp	dune_syscall_entry\n"
    "1:	test	%eax, %eax\n"
    "	jnz	2f\n"
    "	mov	%rsp, %rdi\n"
    "	call	clone_child\n"
    "2:	ret\n");

void clone_child(long sp)
{
	clone_child_ran = sp & 0xffff;
	syscall(SYS_exit, 7);
}

static void clone_with_a_new_stack(void)
{
	char *stack = aligned_alloc(1 << 16, 1 << 16);
	int status;
	long pid;

	enter();
	pid = guest_clone(CLONE_VM | CLONE_VFORK | SIGCHLD, stack + 0x8000);
	CHECK(pid > 0);
	CHECK(dune_inside());
	CHECK_EQ(clone_child_ran, 0x8000);
	CHECK_EQ(dune_syscall(SYS_wait4, pid, (long)&status, 0, 0, 0, 0), pid);
	CHECK_EQ(status, 7 << 8);
	leave();
}

static bool viewed(const struct dune_view *view, const void *p)
{
	return *view_entry(view, region_index((uint64_t)p)) & 1;
}

static void everything_the_pf_handler_needs_is_mapped(void)
{
	const struct dune_view *view;
	struct dune_thread *t;

	enter();
	t = dune_thread_current();
	leave();
	view = t->vm.view;
	CHECK(viewed(view, t));
	CHECK(viewed(view, view) && viewed(view, view->l3) && viewed(view, view->pml4));
	CHECK(viewed(view, view->root) && viewed(view, view->root->region));
	CHECK(viewed(view, vm_state.slot_hva));
	CHECK(viewed(view, dune_vm.slot_table));
	CHECK(viewed(view, &dune_vm));
	CHECK(viewed(view, dune_trap_vectors));
	CHECK(viewed(view, (void *)dune_vm.idt));
	CHECK_EQ(t->page->sregs.cr3, view->cr3);
	/* Translations are those of the slots. */
	CHECK_EQ(view->cr3 & (REGION_SIZE - 1), (uint64_t)view->pml4 & (REGION_SIZE - 1));
	CHECK_EQ(*view_entry(view, region_index((uint64_t)t)) & pt_x86.addr_mask,
		 (uint64_t)(dune_vm.slot_table[region_index((uint64_t)t)] & ~DUNE_SLOT_VALID)
		 << DUNE_SLOT_SHIFT);
}

static void *thread_main(void *arg)
{
	CHECK(fake_attach_thread());
	enter();
	thread_fd = dune_vcpu_fd();
	if (arg)
		dune_syscall(SYS_exit, 0, 0, 0, 0, 0, 0);	/* in Dune mode */
	leave();
	return NULL;
}

static void thread_exit_frees_the_vcpu(void)
{
	struct dune_thread *area[2];
	pthread_t thread;
	int i, fd;

	for (i = 0; i < 4; i++) {
		CHECK_EQ(pthread_create(&thread, NULL, thread_main, (void *)(long)(i & 1)), 0);
		pthread_join(thread, NULL);
		CHECK_EQ(fcntl(thread_fd, F_GETFD), -1);
		/* The area is recycled: this thread gets it, and again. */
	}
	enter();
	area[0] = dune_thread_current();
	fd = dune_vcpu_fd();
	leave();
	enter();
	area[1] = dune_thread_current();
	CHECK_EQ(dune_vcpu_fd(), fd);
	leave();
	CHECK_EQ((uint64_t)area[0], (uint64_t)area[1]);
}

static void selectors_and_stacks_are_sound(void)
{
	struct dune_thread *t;
	unsigned int i, j;

	enter();
	t = dune_thread_current();
	leave();
	CHECK_EQ((uint64_t)t & (THREAD_SIZE - 1), 0);
	CHECK_EQ(t->page->gdt[2] >> 40 & 0xff, 0x9b);
	CHECK_EQ(t->page->gdt[3] >> 40 & 0xff, 0x93);
	CHECK_EQ(t->page->gdt[8] >> 40 & 0xff, 0x8b);
	CHECK_EQ((t->page->gdt[8] >> 16 & 0xffffff) | (t->page->gdt[8] >> 56) << 24 | t->page->gdt[9] << 32,
		 (uint64_t)&t->tss);
	for (i = 0; i < 7; i++) {
		/* All of it is this thread's. */
		CHECK(dune_thread_at((char *)t->tss.ist[i] - 1) == t);
		CHECK(dune_thread_at((char *)t->tss.ist[i] - THREAD_STACK_SIZE) == t);
		CHECK(dune_thread_at((char *)t->tss.ist[i] - THREAD_STACK_SIZE - 1) != t);
		CHECK(dune_thread_at((char *)t->tss.ist[i]) != t);
		CHECK_EQ(t->tss.ist[i] & 15, 0);
		for (j = 0; j < i; j++)
			CHECK(t->tss.ist[i] >= t->tss.ist[j] + THREAD_STACK_SIZE);
	}
	CHECK(t->host_sp - THREAD_STACK_SIZE >= t->tss.ist[6]);
	CHECK(dune_thread_at((char *)t->host_sp - 1) == t);
	CHECK(dune_in_stacks(t, (char *)t->tss.ist[0] - 1));
	CHECK(dune_in_stacks(t, (char *)t->host_sp - 1));
	CHECK(!dune_in_stacks(t, (char *)t->host_sp));
	/* The same but for the bits that tell no groups apart. */
	CHECK(dune_thread_at((char *)t->host_sp - 1 + WINDOW_SIZE) == t);
	CHECK(!dune_in_stacks(t, (char *)t->host_sp - 1 + WINDOW_SIZE));
}

int main(void)
{
	static const struct test_case run_cases[] = {
		CASE(enter_and_exit),
		CASE(system_calls),
		CASE(syscall_keeps_red_zone_and_flags),
		CASE(signal_at_retry_spares_the_guest_stack),
		CASE(unwinding_sees_the_guest),
		CASE(cancellation_unwinds_the_guest),
		CASE(run_error_eintr_keeps_the_result),
		CASE(hypercalls),
		CASE(fork_child_is_plain),
		CASE(fork_by_syscall_instruction),
		CASE(clone_with_a_new_stack),
		CASE(everything_the_pf_handler_needs_is_mapped),
		CASE(thread_exit_frees_the_vcpu),
		CASE(selectors_and_stacks_are_sound),
	};
	unsigned int n = sizeof(run_cases) / sizeof(run_cases[0]);
	struct test_case all[64];

	CHECK(n + nr_fault_cases + nr_area_cases <= 64);
	memcpy(all, run_cases, sizeof(run_cases));
	memcpy(all + n, fault_cases, nr_fault_cases * sizeof(all[0]));
	n += nr_fault_cases;
	memcpy(all + n, area_cases, nr_area_cases * sizeof(all[0]));
	return test_main(all, n + nr_area_cases, setup);
}
