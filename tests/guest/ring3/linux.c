// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Linux meanwhile: signals that arrive in ring 3, preemption, other CPUs, quanta. */
#include "ring3.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "asm.h"

static __thread struct world w;
/* What a signal's handler has to find, whatever ring 3 has in rsp and FS. */
static __thread uintptr_t stack_low, stack_high, area;
static __thread uint64_t tls;
static __thread int stop;
static __thread volatile bool armed;	/* the thread is in Dune mode */
static __thread long signals, bad_stack, bad_tls, bad_mode;

/* What libdune's asm.h says of the stacks on which a thread takes traps. */
static uintptr_t area_of(uintptr_t sp)
{
	return (sp & -GROUP_SIZE) + (sp >> THREAD_SHIFT & THREAD_MASK);
}

static void mark_area(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) gdt;

	const uint64_t *desc;
	uint64_t tss, ist;

	asm volatile("sgdt %0" : "=m"(gdt));
	desc = (const uint64_t *)gdt.base + DUNE_GUEST_TR / 8;
	tss = (desc[0] >> 16 & 0xffffff) | desc[0] >> 56 << 24 | desc[1] << 32;
	memcpy(&ist, (const char *)tss + THREAD_IST_PF - THREAD_TSS, sizeof(ist));
	area = area_of(ist - 1);
}

static void mark_stack(void)
{
	pthread_attr_t attr;
	void *low;
	size_t size;

	REQUIRE(pthread_getattr_np(pthread_self(), &attr) == 0);
	REQUIRE(pthread_attr_getstack(&attr, &low, &size) == 0);
	pthread_attr_destroy(&attr);
	stack_low = (uintptr_t)low;
	stack_high = stack_low + size;
	tls = 0x1234cafe;
}

static void on_signal(int sig)
{
	char noise[512];
	uintptr_t here = (uintptr_t)noise;

	memset(noise, 0xa5, sizeof(noise));
	asm volatile("" : : "r"(noise) : "memory");
	signals++;
	bad_tls += tls != 0x1234cafe;
	bad_mode += dune_inside() || (armed && dune_enter() != -EBUSY);
	/* Ring 0's, or that on which it takes traps. */
	bad_stack += (here < stack_low || here >= stack_high) &&
		     area_of(here) != area;
	if (signals % 50 == 0)
		stop = 1;
}

/* The main thread only waits: others shall have the signals. */
static void take_signals(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	REQUIRE(pthread_sigmask(how, &set, NULL) == 0);
}

static void check_signals(const char *what)
{
	if (bad_tls || bad_mode || bad_stack)
		FAIL("%s: of %ld signals %ld on a wrong stack, %ld with wrong TLS, %ld in a wrong mode",
		     what, signals, bad_stack, bad_tls, bad_mode);
	check_count++;
}

static void timer(long us)
{
	struct itimerval it = { { 0, us }, { 0, us } };
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	REQUIRE(sigaction(SIGALRM, &sa, NULL) == 0);
	REQUIRE(setitimer(ITIMER_REAL, &it, NULL) == 0);
}

/* Ring 3 computes with a stack and bases that are no use to anybody. */
void part_signals(void)
{
	static const uint64_t stacks[] = { 0, NOWHERE, NOT_CANONICAL, 0x1000 };
	struct dune_regs in;

	mark_stack();
	mode_enter();
	/* Signals only now: from here on their stacks are known. */
	mark_area();
	armed = true;
	timer(1000);
	own_set();
	for (size_t i = 0; i < ARRAY_SIZE(stacks); i++) {
		stop = 0;
		world_init(&w, code_spin, opt.seed + i);
		w.u.regs.rdi = (uintptr_t)&stop;
		w.u.regs.rsp = stacks[i];
		in = w.u.regs;
		expect(&w, DUNE_USER_SYSCALL, "spinning");
		regs_equal(&w.u.regs, &in, "spinning");
		CHECK_EQ(w.u.regs.rsp, in.rsp);
		CHECK_EQ(w.u.fs_base, 0x123456789000);
		CHECK_EQ(w.u.gs_base, 0xffff987654321000);
		own_check("spinning");
	}
	armed = false;
	mode_exit();
	timer(0);
	printf("    %ld signals\n", signals);
	CHECK(signals > 0);
	check_signals("spinning");
}

static enum dune_user_action again(struct dune_user *u, void *arg)
{
	long *left = arg;

	return --*left ? DUNE_USER_CONTINUE : DUNE_USER_RETURN;
}

/* Wherever the signal comes on the way in and out. */
static void storm(int index, void *arg)
{
	/* Memory that must stay as it is, with ring 3's rsp in it. */
	uint64_t *target = mmap(NULL, 64 << 10, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long left;

	mark_stack();
	mark_area();
	armed = true;
	take_signals(SIG_UNBLOCK);
	own_set();
	memset(target, 0x3c, 64 << 10);
	for (int i = 0; i < opt.rounds; i++) {
		bool trap = i & 1;

		world_init(&w, trap ? code_storm_trap : code_storm, opt.seed + index);
		w.u.regs.rdi = (uintptr_t)(target + 4096);
		w.u.regs.rsi = 0x666000;
		w.u.syscall = again;
		left = 100;
		w.u.arg = &left;
		if (!trap) {
			expect(&w, DUNE_USER_SYSCALL, "storm");
			CHECK_EQ(left, 0);
		}
		for (int k = 0; trap && k < 100; k++) {
			expect(&w, DUNE_USER_TRAP, "storm of traps");
			w.u.regs.rip += 2;
		}
		CHECK_EQ(w.u.regs.rsp, (uintptr_t)(target + 4096));
		CHECK_EQ(w.u.fs_base, 0x666000);
		own_check("storm");
	}
	for (int i = 0; i < 8192; i++)
		CHECK(target[i] == 0x3c3c3c3c3c3c3c3c);
	take_signals(SIG_BLOCK);
	armed = false;
	check_signals("storm");
	__atomic_add_fetch((long *)arg, signals, __ATOMIC_RELAXED);
	munmap(target, 64 << 10);
}

void part_signal_storm(void)
{
	long all = 0;

	take_signals(SIG_BLOCK);
	timer(700);
	run_threads(opt.threads, storm, &all);
	timer(0);
	take_signals(SIG_UNBLOCK);
	printf("    %ld signals\n", all);
	CHECK(all > 0);
}

static sigjmp_buf jump;

static void on_signal_jump(int sig)
{
	CHECK_EQ(dune_exit(), 0);
	siglongjmp(jump, 1);
}

/* A signal's handler gives ring 3 up: the thread is as it was, in ring 0. */
void part_signal_leaves(void)
{
	struct sigaction sa = { .sa_handler = on_signal_jump, .sa_flags = SA_NODEFER };
	static int never;

	mark_stack();
	/* The first time takes longer than the timer. */
	mode_enter();
	mode_exit();
	for (volatile int i = 0; i < 5; i++) {
		REQUIRE(sigaction(SIGALRM, &sa, NULL) == 0);
		if (!sigsetjmp(jump, 1)) {
			struct itimerval it = { { 0, 0 }, { 0, 2000 } };

			REQUIRE(setitimer(ITIMER_REAL, &it, NULL) == 0);
			mode_enter();
			own_set();
			world_init(&w, code_spin, opt.seed);
			w.u.regs.rdi = (uintptr_t)&never;
			dune_user_run(&w.u);
			FAIL("ring 3 came back");
		}
		CHECK(!dune_inside());
		CHECK_EQ(syscall(SYS_getpid), getpid());
		CHECK_EQ(tls, 0x1234cafe);
		mode_enter();
		CHECK(dune_inside());
		own_set();
		CHECK_EQ(syscall(SYS_getpid), getpid());
		world_init(&w, code_syscall, opt.seed);
		expect(&w, DUNE_USER_SYSCALL, "after it");
		own_check("after it");
		mode_exit();
	}
	signal(SIGALRM, SIG_DFL);
}

static volatile pid_t movers[16];
static volatile int moved_out;

static void *mover(void *arg)
{
	uint64_t seed = opt.seed;

	while (!moved_out) {
		for (int i = 0; i < opt.threads; i++) {
			cpu_set_t set;

			CPU_ZERO(&set);
			CPU_SET(rnd(&seed) % nr_cpus(), &set);
			if (movers[i])
				sched_setaffinity(movers[i], sizeof(set), &set);
		}
		usleep(200);
	}
	return NULL;
}

static void moving(int index, void *arg)
{
	own_set();
	movers[index] = syscall(SYS_gettid);
	for (int i = 0; i < opt.rounds; i++) {
		world_init(&w, code_registers, opt.seed + index);
		w.u.regs.rdi = 3000;
		w.u.regs.rdx = opt.seed * (i + 1) + index;
		expect(&w, DUNE_USER_SYSCALL, "moving");
		CHECK_EQ(w.u.regs.rax, 0);
		CHECK_EQ(w.u.fs_base, 0x123456789000);
		own_check("moving");
	}
	movers[index] = 0;
}

/* More threads than CPUs, pushed around while they are in ring 3. */
void part_moves(void)
{
	pthread_t thread;
	cpu_set_t all;

	sched_getaffinity(0, sizeof(all), &all);
	moved_out = 0;
	REQUIRE(opt.threads <= 16);
	REQUIRE(pthread_create(&thread, NULL, mover, NULL) == 0);
	run_threads(opt.threads, moving, NULL);
	moved_out = 1;
	pthread_join(thread, NULL);
	sched_setaffinity(0, sizeof(all), &all);
}

static volatile int quanta, in_ring3;

static void on_quantum(struct dune_regs *regs, void *arg)
{
	quanta++;
	in_ring3 += regs->rip >= (uintptr_t)code_registers &&
		    regs->rip < (uintptr_t)code_registers_end;
	regs->rflags ^= 1;
	regs->rflags ^= 1;
}

/* Quanta end in ring 3 as well; its registers no scheduler gets. */
void part_quantum(void)
{
	uint64_t before;

	mode_enter();
	own_set();
	if (dune_set_quantum(100, on_quantum, NULL)) {
		mode_exit();
		printf("    no quanta here\n");
		return;
	}
	before = vcpu_stat(DUNE_VCPU_quanta);
	for (int i = 0; i < 20; i++) {
		world_init(&w, code_registers, opt.seed);
		w.u.regs.rdi = 3000;
		expect(&w, DUNE_USER_SYSCALL, "quantum");
		CHECK_EQ(w.u.regs.rax, 0);
		own_check("quantum");
	}
	CHECK(vcpu_stat(DUNE_VCPU_quanta) > before);
	CHECK_EQ(in_ring3, 0);
	CHECK_EQ(dune_set_quantum(0, NULL, NULL), 0);
	mode_exit();
}
