// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Tasks without libc: clone() and clone3() with the flags of other runtimes. */
#include "abi.h"

#include <asm/prctl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define GO_FLAGS	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | \
			 CLONE_SYSVSEM)
#define STACK_SIZE	(64ul << 10)

/*
 * What a task begins with: on its stack, from the top. It calls fn(arg) and ends by
 * exit(0), without libc.
 */
asm("	.text\n"
    "	.globl	raw_clone\n"
    "raw_clone:\n"			/* flags, stack, ptid, ctid, tls */
    "	mov	%rcx, %r10\n"
    "	mov	$56, %eax\n"
    "	syscall\n"
    "	test	%rax, %rax\n"
    "	jz	raw_child\n"
    "	ret\n"
    "	.globl	raw_clone3\n"
    "raw_clone3:\n"			/* args, size */
    "	mov	$435, %eax\n"
    "	syscall\n"
    "	test	%rax, %rax\n"
    "	jz	raw_child\n"
    "	ret\n"
    "raw_child:\n"
    "	pop	%rax\n"
    "	pop	%rdi\n"
    "	xor	%ebp, %ebp\n"
    "	call	*%rax\n"
    "	xor	%edi, %edi\n"
    "	mov	$60, %eax\n"
    "	syscall\n"
    "	hlt\n");
long raw_clone(unsigned long flags, void *stack, int *ptid, int *ctid, void *tls);
long raw_clone3(const struct clone_args *args, size_t size);

/* Nothing in here may use libc's thread pointer. */
#define NO_LIBC	__attribute__((noinline, optimize("no-stack-protector")))

static inline long call1(long nr, long a)
{
	long ret;

	asm volatile("syscall" : "=a" (ret) : "a" (nr), "D" (a) : "rcx", "r11", "memory");
	return ret;
}

static inline long call2(long nr, long a, long b)
{
	long ret;

	asm volatile("syscall" : "=a" (ret) : "a" (nr), "D" (a), "S" (b) : "rcx", "r11", "memory");
	return ret;
}

struct task {
	uint64_t block[8];		/* its thread pointer points here */
	uint64_t number, fs_word, got_tid, base;
	volatile int tid;		/* CLONE_CHILD_SETTID, CLONE_CHILD_CLEARTID */
	int ptid;
	volatile uint32_t done;
};

static volatile uint32_t go;

static void NO_LIBC task_main(struct task *task)
{
	uint64_t word, base = 0;

	while (!__atomic_load_n(&go, __ATOMIC_ACQUIRE))
		call1(SYS_sched_yield, 0);
	asm volatile("mov %%fs:8, %0" : "=r" (word));
	call2(SYS_arch_prctl, ARCH_GET_FS, (long)&base);
	task->fs_word = word;
	task->base = base;
	task->got_tid = call1(SYS_gettid, 0);
	__atomic_store_n(&task->done, 1, __ATOMIC_RELEASE);
}

static char *stack_for(struct task *task)
{
	char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t *top;

	REQUIRE(stack != MAP_FAILED);
	top = (uint64_t *)(stack + STACK_SIZE) - 2;
	top[0] = (uint64_t)task_main;
	top[1] = (uint64_t)task;
	return (char *)top;
}

static struct task *task_new(uint64_t number)
{
	struct task *task = calloc(1, sizeof(*task));

	REQUIRE(task);
	task->block[0] = (uint64_t)task->block;
	task->block[1] = number * 0x1111;
	task->number = number;
	return task;
}

/* As pthread_join() does: Linux clears the word and wakes at the thread's end. */
static void wait_end(struct task *task)
{
	int tid;

	while ((tid = task->tid))
		syscall(SYS_futex, &task->tid, FUTEX_WAIT, tid, NULL, NULL, 0);
}

static void judge(struct task *task, long tid)
{
	CHECK_EQ(task->done, 1);
	CHECK_EQ(task->fs_word, task->number * 0x1111);
	CHECK_EQ(task->base, (uint64_t)task->block);
	CHECK_EQ(task->got_tid, tid);
	CHECK_EQ(task->ptid, tid);
}

enum how { BY_CLONE, BY_CLONE3 };

static long start(struct task *task, enum how how)
{
	unsigned long flags = GO_FLAGS | CLONE_SETTLS | CLONE_PARENT_SETTID |
			      CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
	char *stack = stack_for(task);
	struct clone_args args = {
		.flags = flags, .tls = (uint64_t)task->block, .parent_tid = (uint64_t)&task->ptid,
		.child_tid = (uint64_t)&task->tid,
	};

	/* There before the child has run. */
	task->tid = -1;
	if (how == BY_CLONE)
		return raw_clone(flags, stack, &task->ptid, (int *)&task->tid, task->block);
	args.stack_size = STACK_SIZE - 16;
	args.stack = (uint64_t)stack - args.stack_size;
	return raw_clone3(&args, sizeof(args));
}

static void raw_threads(enum how how)
{
	unsigned long n = rounds(40);
	struct task *tasks[8];
	long tids[8];

	for (unsigned long i = 0; i < n; i++) {
		go = 0;
		for (int k = 0; k < 8; k++) {
			tasks[k] = task_new(i * 8 + k + 1);
			tids[k] = start(tasks[k], how);
			REQUIRE(tids[k] > 0);
			CHECK_EQ(tasks[k]->ptid, tids[k]);
		}
		go = 1;
		for (int k = 0; k < 8; k++) {
			wait_end(tasks[k]);
			judge(tasks[k], tids[k]);
		}
	}
}

static void go_clone(void)
{
	raw_threads(BY_CLONE);
}

static void go_clone3(void)
{
	raw_threads(BY_CLONE3);
}

/* --- what Linux refuses --- */

static void refused(void)
{
	static const unsigned long wrong[] = {
		CLONE_THREAD, CLONE_SIGHAND, CLONE_THREAD | CLONE_SIGHAND,
		CLONE_FS | CLONE_NEWNS, CLONE_SIGHAND | CLONE_VM | CLONE_CLEAR_SIGHAND,
	};
	struct clone_args args = { 0 };
	char stack[256];

	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		args.flags = wrong[i];
		CHECK_EQ(raw_clone3(&args, sizeof(args)), -EINVAL);
	}
	for (unsigned int i = 0; i < 3; i++)
		CHECK_EQ(raw_clone(wrong[i], stack + 128, NULL, NULL, NULL), -EINVAL);
	args.flags = 0;
	CHECK_EQ(raw_clone3(&args, 16), -EINVAL);
	CHECK_EQ(raw_clone3((void *)8, sizeof(args)), -EFAULT);
	args.exit_signal = 300;
	CHECK_EQ(raw_clone3(&args, sizeof(args)), -EINVAL);
	args.exit_signal = 0;
	args.stack_size = 4096;
	CHECK_EQ(raw_clone3(&args, sizeof(args)), -EINVAL);
}

/* --- processes that share memory --- */

static volatile int shared_value;

static int shares(void *arg)
{
	shared_value = (int)(long)arg;
	return 21;
}

static void shared_memory(void)
{
	char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	REQUIRE(stack != MAP_FAILED);
	/* Waited for: as posix_spawn(). */
	pid = clone(shares, stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | SIGCHLD, (void *)5);
	CHECK_EQ(shared_value, 5);
	CHECK_EQ(wait_status(pid), 21 << 8);
	/* Not waited for. */
	pid = clone(shares, stack + STACK_SIZE, CLONE_VM | SIGCHLD, (void *)6);
	CHECK_EQ(wait_status(pid), 21 << 8);
	CHECK_EQ(shared_value, 6);
	/* A copy of the memory on a stack of its own. */
	pid = clone(shares, stack + STACK_SIZE, SIGCHLD, (void *)7);
	CHECK_EQ(wait_status(pid), 21 << 8);
	CHECK_EQ(shared_value, 6);
	/* Another signal at its end, or none. */
	pid = clone(shares, stack + STACK_SIZE, SIGURG, (void *)8);
	CHECK_EQ(waitpid(pid, NULL, 0), -1);
	CHECK_EQ(errno, ECHILD);
	CHECK_EQ(waitpid(pid, NULL, __WCLONE), pid);
	/* A pidfd. */
	{
		int fd = -1;

		pid = clone(shares, stack + STACK_SIZE, CLONE_PIDFD | SIGCHLD, (void *)9, &fd);
		CHECK(fd >= 0);
		CHECK_EQ(wait_status(pid), 21 << 8);
		close(fd);
	}
}

const struct part clone_parts[] = {
	{ "go_clone", "threads by clone() without libc, CLONE_CHILD_CLEARTID", go_clone },
	{ "go_clone3", "the same by clone3()", go_clone3 },
	{ "clone_refused", "flags that Linux refuses", refused },
	{ "clone_shares", "clone() with and without CLONE_VM, CLONE_VFORK", shared_memory },
	{ NULL, NULL, NULL },
};
