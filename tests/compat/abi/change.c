// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Handlers change the registers of what they interrupted. */
#include "fault.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

static volatile int count;

/* --- the result of a system call; where it goes on --- */

static void after_call(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	count++;
	uc->uc_mcontext.gregs[REG_RAX] = 4711;
	uc->uc_mcontext.gregs[REG_RBX] = 1234567890123456789;
}

/* The call that sends it returns what the handler says. */
static void call_result(void)
{
	long pid = getpid(), tid = gettid(), ret, rbx = 5;

	handle(SIGUSR1, after_call, 0);
	asm volatile("syscall"
		     : "=a" (ret), "+b" (rbx)
		     : "a" (SYS_tgkill), "D" (pid), "S" (tid), "d" (SIGUSR1)
		     : "rcx", "r11", "memory");
	CHECK_EQ(count, 1);
	CHECK_EQ(ret, 4711);
	CHECK_EQ(rbx, 1234567890123456789);
}

/* What SYSCALL leaves in rcx and r11 is in the frame, too. */
static uint64_t frame_rcx, frame_r11, frame_rip, frame_flags, frame_rax;

static void look_at_call(int sig, siginfo_t *info, void *context)
{
	const greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;

	count++;
	frame_rcx = g[REG_RCX];
	frame_r11 = g[REG_R11];
	frame_rip = g[REG_RIP];
	frame_flags = g[REG_EFL];
	frame_rax = g[REG_RAX];
}

static void call_frame(void)
{
	long pid = getpid(), tid = gettid(), ret;
	uint64_t behind, rcx, r11;

	handle(SIGUSR1, look_at_call, 0);
	asm volatile("lea 1f(%%rip), %%r8\n\tsyscall\n1:\tmov %%rcx, %1\n\tmov %%r11, %2\n\tmov %%r8, %3"
		     : "=a" (ret), "=&b" (rcx), "=&r" (r11), "=&r" (behind)
		     : "a" (SYS_tgkill), "D" (pid), "S" (tid), "d" (SIGUSR1)
		     : "rcx", "r11", "r8", "memory");
	CHECK_EQ(count, 1);
	CHECK_EQ(ret, 0);
	CHECK_EQ(frame_rax, 0);
	CHECK_EQ(frame_rip, behind);
	CHECK_EQ(frame_rcx, behind);
	CHECK_EQ(frame_r11 & FLAGS_ALL, frame_flags & FLAGS_ALL);
	CHECK_EQ(rcx, frame_rcx);
	CHECK_EQ(r11, frame_r11);
}

/* --- another stack --- */

static char *other_stack;
static volatile uint64_t stack_seen;

static void on_other_stack(void)
{
	stack_seen = (uint64_t)__builtin_frame_address(0);
	asm volatile("jmp *%0" : : "r" (regs_done));
	__builtin_unreachable();
}

static void to_stack(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	count++;
	uc->uc_mcontext.gregs[REG_RSP] = (greg_t)(other_stack + 65536 - 8);
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)on_other_stack;
}

static void new_stack(void)
{
	other_stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(other_stack != MAP_FAILED);
	handle(SIGILL, to_stack, 0);
	regs_fill(1);
	regs_code = fault_ud2;
	regs_run();
	CHECK_EQ(count, 1);
	CHECK_IN(stack_seen, (uint64_t)other_stack + 65536 - 1024, (uint64_t)other_stack + 65536);
}

/* --- vector registers --- */

static unsigned char frame_xmm[16][16];

static void to_vectors(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	count++;
	for (int i = 0; i < 16; i++) {
		memcpy(frame_xmm[i], &uc->uc_mcontext.fpregs->_xmm[i], 16);
		memset(&uc->uc_mcontext.fpregs->_xmm[i], 0xa0 + i, 16);
	}
	uc->uc_mcontext.gregs[REG_RIP] += 2;
}

static void xmm(void)
{
	static unsigned char out[16][16];

	handle(SIGILL, to_vectors, 0);
	for (int i = 0; i < 16 * 16; i++)
		vectors_in[i] = i * 7 + 3;
	asm volatile(
		".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
		"movups vectors_in + \\n * 16(%%rip), %%xmm\\n\n\t.endr\n\t"
		"ud2\n\t"
		".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
		"movups %%xmm\\n, \\n * 16(%0)\n\t.endr\n\t"
		: : "r" (out)
		: "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
		  "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
	CHECK_EQ(count, 1);
	for (int i = 0; i < 16; i++) {
		CHECK(!memcmp(frame_xmm[i], vectors_in + i * 16, 16));
		for (int k = 0; k < 16; k++)
			CHECK_EQ(out[i][k], 0xa0 + i);
	}
}

/* The size that the frame says it has, and its marks. */
static uint64_t fp_at;
static uint32_t magic1, magic2, fp_size;

static void look_at_fp(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	const char *fp = (const char *)uc->uc_mcontext.fpregs;

	count++;
	fp_at = (uint64_t)fp;
	memcpy(&magic1, fp + 464, 4);
	memcpy(&fp_size, fp + 468, 4);
	if (fp_size >= 4 && fp_size < 65536)
		memcpy(&magic2, fp + fp_size - 4, 4);
}

static void fp_frame(void)
{
	handle(SIGUSR1, look_at_fp, 0);
	raise(SIGUSR1);
	CHECK_EQ(count, 1);
	CHECK_EQ(magic1, 0x46505853);
	CHECK_EQ(magic2, 0x46505845);
	CHECK_EQ(fp_at % 64, 0);
	CHECK(fp_size > 576);
}

/* --- many times --- */

static pthread_t main_thread;
static unsigned long storm_rounds;

static void add_one(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	uc->uc_mcontext.gregs[REG_R15]++;
	uc->uc_mcontext.gregs[REG_R12] ^= uc->uc_mcontext.gregs[REG_R15];
	__atomic_add_fetch(&count, 1, __ATOMIC_RELEASE);
}

static volatile int spinning;

static void *sender(void *arg)
{
	while (!spinning)
		sched_yield();
	for (unsigned long i = 0; i < storm_rounds; i++) {
		pthread_kill(main_thread, SIGUSR1);
		while (__atomic_load_n(&count, __ATOMIC_ACQUIRE) != (int)(i + 1))
			sched_yield();
	}
	return NULL;
}

static uint64_t xor_to(uint64_t n)
{
	uint64_t x = 0;

	for (uint64_t i = 1; i <= n; i++)
		x ^= i;
	return x;
}

static void first(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	if (uc->uc_mcontext.gregs[REG_RIP] >= (greg_t)spin_until &&
	    uc->uc_mcontext.gregs[REG_RIP] < (greg_t)spin_until + 16)
		spinning = 1;
}

/* No handler interrupts another: its register would count. */
static void handle_alone(int sig, handler_fn fn)
{
	struct sigaction sa = { .sa_sigaction = fn, .sa_flags = SA_SIGINFO };

	sigfillset(&sa.sa_mask);
	REQUIRE(!sigaction(sig, &sa, NULL));
}

/* The handler counts in a register of what it interrupts: not one is lost, none comes twice. */
static void change_storm(void)
{
	pthread_t thread;
	timer_t timer;
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2 };
	struct itimerspec often = { { 0, 1000000 }, { 0, 1000000 } };

	storm_rounds = rounds(100000);
	main_thread = pthread_self();
	handle_alone(SIGUSR1, add_one);
	handle_alone(SIGUSR2, first);
	REQUIRE(!pthread_create(&thread, NULL, sender, NULL));
	REQUIRE(!timer_create(CLOCK_MONOTONIC, &event, &timer));
	regs_fill(99);
	regs_in.r[R15] = 0;
	regs_in.r[R12] = 0;
	regs_in.r[R14] = storm_rounds;
	regs_code = spin_until;
	REQUIRE(!timer_settime(timer, 0, &often, NULL));
	regs_run();
	timer_delete(timer);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(count, storm_rounds);
	regs_in.r[R15] = storm_rounds;
	regs_in.r[R12] = xor_to(storm_rounds);
	/* CMP leaves those of equality. */
	regs_in.flags = 0x246;
	regs_same("storm", 0);
}

const struct part change_parts[] = {
	{ "call_result", "a handler changes what a system call returns", call_result },
	{ "call_frame", "the frame behind a system call", call_frame },
	{ "new_stack", "a handler gives another stack and another place", new_stack },
	{ "xmm", "a handler sees and changes vector registers", xmm },
	{ "fp_frame", "the marks of the frame's vector state", fp_frame },
	{ "change_storm", "a handler counts in a register, in a storm", change_storm },
	{ NULL, NULL, NULL },
};
