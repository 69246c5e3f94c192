// SPDX-License-Identifier: GPL-2.0 OR MIT
/* System calls, new tasks, other modes and Linux' signals inside handlers. */
#include "traps.h"

#include <pthread.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

static int pipe_fd[2];

static enum dune_trap_action makes_calls(struct dune_trap *trap, void *arg)
{
	char byte = 0;
	char *p;

	for (int i = 0; i < 20; i++) {
		CHECK_EQ(syscall(SYS_getpid), getpid());
		CHECK_EQ(dune_syscall(SYS_getppid, 0, 0, 0, 0, 0, 0), getppid());
		CHECK_EQ(write(pipe_fd[1], "x", 1), 1);
		CHECK_EQ(read(pipe_fd[0], &byte, 1), 1);
		CHECK_EQ(byte, 'x');
	}
	p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED);
	memset(p, 7, 1 << 20);
	CHECK_EQ(munmap(p, 1 << 20), 0);
	CHECK(dune_inside());
	CHECK_ERRNO(read(-1, &byte, 1), EBADF);
	++*(int *)arg;
	return DUNE_TRAP_RESUME;
}

void part_calls(void)
{
	static const unsigned int vectors[] = { DUNE_VECTOR_UD, DUNE_VECTOR_PF, 0x80 };
	int calls = 0;

	REQUIRE(pipe(pipe_fd) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		CHECK_EQ(dune_trap_register(vectors[i], makes_calls, &calls, 0), 0);
		mode_enter();
		int_n(vectors[i]);
		mode_exit();
		dune_trap_unregister(vectors[i]);
	}
	CHECK_EQ(calls, 3);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

static void *other_thread(void *arg)
{
	int err = dune_enter();

	if (!err) {
		*(int *)arg = dune_inside();
		dune_exit();
	}
	return NULL;
}

static pid_t forked;

static enum dune_trap_action makes_tasks(struct dune_trap *trap, void *arg)
{
	pthread_t thread;
	int inside = 0;

	CHECK_EQ(pthread_create(&thread, NULL, other_thread, &inside), 0);
	pthread_join(thread, NULL);
	CHECK_EQ(inside, 1);
	trap->rbx = 0x1122334455667788;
	forked = fork();
	return DUNE_TRAP_RESUME;
}

/* The child returns from the handler too: in plain mode, to the same code. */
void part_fork(void)
{
	uint64_t rbx = 1;
	int status = -1;

	CHECK_EQ(dune_trap_register(0x80, makes_tasks, NULL, 0), 0);
	mode_enter();
	asm volatile("int $0x80" : "+b"(rbx) : : "memory");
	if (!forked)
		_exit(!dune_inside() && rbx == 0x1122334455667788 ? 42 : 43);
	CHECK(dune_inside());
	CHECK_EQ(rbx, 0x1122334455667788);
	mode_exit();
	CHECK_EQ(waitpid(forked, &status, 0), forked);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);
	dune_trap_unregister(0x80);
}

static enum dune_trap_action changes_mode(struct dune_trap *trap, void *arg)
{
	CHECK_EQ(dune_exit(), -EBUSY);
	CHECK_EQ(dune_enter(), -EBUSY);
	CHECK_EQ(dune_trap_sync(), -EBUSY);
	CHECK(dune_inside());
	++*(int *)arg;
	return DUNE_TRAP_RESUME;
}

/* The mode cannot be left in a handler. */
void part_modes(void)
{
	int calls = 0;

	CHECK_EQ(dune_trap_register(DUNE_VECTOR_UD, changes_mode, &calls, 0), 0);
	mode_enter();
	int_n(DUNE_VECTOR_UD);
	mode_exit();
	CHECK_EQ(calls, 1);
	dune_trap_unregister(DUNE_VECTOR_UD);
}

static struct {
	int calls, inside, entered;
	uintptr_t sp;
} got;

static void on_signal(int sig)
{
	char here;

	got.calls++;
	got.inside += dune_inside();
	got.entered += dune_enter() == -EBUSY;
	got.sp = (uintptr_t)&here;
}

static enum dune_trap_action raises(struct dune_trap *trap, void *arg)
{
	volatile uint64_t canary[32];
	uintptr_t sp = (uintptr_t)&canary;

	for (int i = 0; i < 32; i++)
		canary[i] = i * 77;
	for (int i = 0; i < 10; i++)
		CHECK_EQ(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1), 0);
	for (int i = 0; i < 32; i++)
		CHECK(canary[i] == i * 77u);
	/* On the handler's stack, not on the interrupted one. */
	CHECK(got.sp < sp && got.sp > sp - 0x10000);
	CHECK(trap->rsp < sp - 0x100000 || trap->rsp > sp + 0x100000);
	CHECK(dune_inside());
	trap->rip = (uintptr_t)arg;
	return DUNE_TRAP_RESUME;
}

void part_signals(void)
{
	const struct site *site = site_named("undefined");
	struct sigaction sa = { .sa_handler = on_signal };
	uint64_t seed = opt.seed;
	struct dune_regs in, out;

	memset(&got, 0, sizeof(got));
	regs_fill(&in, &seed);
	REQUIRE(sigaction(SIGUSR1, &sa, NULL) == 0);
	CHECK_EQ(dune_trap_register(DUNE_VECTOR_UD, raises, (void *)site->end, 0), 0);
	mode_enter();
	CHECK_EQ(site->fn(&in, &out), 0);
	mode_exit();
	regs_check("signals", &out, &in);
	CHECK_EQ(got.calls, 10);
	CHECK_EQ(got.inside, 0);
	CHECK_EQ(got.entered, 10);
	dune_trap_unregister(DUNE_VECTOR_UD);
}

static volatile long alarms;

static void on_alarm(int sig)
{
	char noise[512];

	memset(noise, 0xa5, sizeof(noise));
	asm volatile("" : : "r"(noise) : "memory");
	alarms++;
}

/* Wherever the signal comes: site, entry, handler, way back. */
static enum dune_trap_action busy(struct dune_trap *trap, void *arg)
{
	volatile double x = trap->rbx;

	for (int i = 0; i < 50; i++)
		x = x * 1.5 + 1;
	trap->rip += 2;
	return DUNE_TRAP_RESUME;
}

/* ud2 in a loop, with a full red zone and live registers; wrong words. */
long storm_leaf(uint64_t salt, long rounds);
asm(".text\n"
    "storm_leaf:\n"
    "	mov	$-16, %rcx\n"
    "1:	lea	(%rdi,%rcx), %rax\n"
    "	mov	%rax, (%rsp,%rcx,8)\n"
    "	inc	%rcx\n"
    "	jnz	1b\n"
    "	movq	%rdi, %xmm3\n"
    "	xor	%r8d, %r8d\n"
    "2:	lea	7(%rdi), %r9\n"
    "	ud2\n"
    "	lea	7(%rdi), %rax\n"
    "	cmp	%r9, %rax\n"
    "	setne	%al\n"
    "	movzbl	%al, %eax\n"
    "	add	%rax, %r8\n"
    "	movq	%xmm3, %rax\n"
    "	cmp	%rdi, %rax\n"
    "	setne	%al\n"
    "	movzbl	%al, %eax\n"
    "	add	%rax, %r8\n"
    "	dec	%rsi\n"
    "	jnz	2b\n"
    "	mov	$-16, %rcx\n"
    "3:	lea	(%rdi,%rcx), %rax\n"
    "	cmp	%rax, (%rsp,%rcx,8)\n"
    "	setne	%al\n"
    "	movzbl	%al, %eax\n"
    "	add	%rax, %r8\n"
    "	inc	%rcx\n"
    "	jnz	3b\n"
    "	mov	%r8, %rax\n"
    "	ret\n");

static void storm(int index, void *arg)
{
	long bad = 0;

	for (long i = 0; i < opt.rounds; i++)
		bad += storm_leaf(i * 0x123456789abcdefull + index, 100);
	CHECK_EQ(bad, 0);
}

void part_signal_storm(void)
{
	struct itimerval it = { { 0, 1000 }, { 0, 1000 } };
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };

	REQUIRE(sigaction(SIGALRM, &sa, NULL) == 0);
	CHECK_EQ(dune_trap_register(DUNE_VECTOR_UD, busy, NULL, 0), 0);
	alarms = 0;
	REQUIRE(setitimer(ITIMER_REAL, &it, NULL) == 0);
	run_threads(opt.threads, storm, NULL);
	memset(&it, 0, sizeof(it));
	setitimer(ITIMER_REAL, &it, NULL);
	printf("    %ld signals\n", alarms);
	CHECK(alarms > 0);
	dune_trap_unregister(DUNE_VECTOR_UD);
}

static sigjmp_buf jump;

static void on_signal_jump(int sig)
{
	CHECK_EQ(dune_exit(), 0);
	CHECK_EQ(dune_enter(), -EBUSY);		/* not on this stack */
	siglongjmp(jump, 1);
}

/* Recursive, to leave from any depth. */
static enum dune_trap_action leaves_by_signal(struct dune_trap *trap, void *arg)
{
	int *depth = arg;

	if (--*depth)
		int_n(DUNE_VECTOR_UD);
	syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR2);
	FAIL("the signal came back");
	return DUNE_TRAP_RESUME;
}

static enum dune_trap_action deep(struct dune_trap *trap, void *arg)
{
	int *depth = arg;

	if (++*depth < DUNE_TRAP_NESTING)
		int_n(DUNE_VECTOR_UD);
	return DUNE_TRAP_RESUME;
}

/* After a signal's handler gave a trap's up, all levels are there again. */
void part_signal_leaves(void)
{
	struct sigaction sa = { .sa_handler = on_signal_jump };
	int depth;

	REQUIRE(sigaction(SIGUSR2, &sa, NULL) == 0);
	for (volatile int i = 1; i <= DUNE_TRAP_NESTING; i++) {
		depth = i;
		CHECK_EQ(dune_trap_register(DUNE_VECTOR_UD, leaves_by_signal, &depth, 0), 0);
		if (!sigsetjmp(jump, 1)) {
			mode_enter();
			int_n(DUNE_VECTOR_UD);
		}
		CHECK(!dune_inside());
		CHECK_EQ(dune_trap_sync(), 0);
		depth = 0;
		CHECK_EQ(dune_trap_register(DUNE_VECTOR_UD, deep, &depth, 0), 0);
		mode_enter();
		int_n(DUNE_VECTOR_UD);
		CHECK_EQ(depth, DUNE_TRAP_NESTING);
		mode_exit();
	}
	dune_trap_unregister(DUNE_VECTOR_UD);
}
