// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Signals that come anywhere change nothing. */
#include "fault.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/time.h>

static volatile int count, bad_flags;

static void dirty(int sig, siginfo_t *info, void *context)
{
	unsigned long flags;

	asm volatile("pushfq\n\tpopq %0" : "=r" (flags));
	/* DF and TF are clear in a handler. */
	if (flags & 0x500)
		bad_flags++;
	asm volatile("xorps %%xmm0, %%xmm0\n\tpcmpeqd %%xmm1, %%xmm1\n\tpxor %%xmm7, %%xmm7\n\t"
		     "pcmpeqd %%xmm15, %%xmm15\n\tfld1" : : : "xmm0", "xmm1", "xmm7", "xmm15");
	asm volatile("fstp %%st(0)" : : );
	count++;
}

#define STACK_SIZE	(256 << 10)
#define RED_ZONE	128

static char *stack;

static void timer_start(int which, int flags)
{
	static const struct itimerval often = { { 0, 1000 }, { 0, 1000 } };

	stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(stack != MAP_FAILED);
	handle(which == ITIMER_PROF ? SIGPROF : SIGALRM, dirty, flags);
	REQUIRE(!setitimer(which, &often, NULL));
}

static void timer_stop(int which)
{
	static const struct itimerval never;

	REQUIRE(!setitimer(which, &never, NULL));
}

static void red_zone_fill(uint64_t seed)
{
	uint64_t state = seed * 2 + 3;

	regs_in.r[RSP] = (uint64_t)stack + STACK_SIZE - 64 - seed % 16 * 8;
	for (int i = 1; i <= RED_ZONE / 8; i++)
		((uint64_t *)regs_in.r[RSP])[-i] = rnd(&state);
}

static void red_zone_same(uint64_t seed)
{
	uint64_t state = seed * 2 + 3;

	for (int i = 1; i <= RED_ZONE / 8; i++)
		CHECK_EQ(((uint64_t *)regs_in.r[RSP])[-i], rnd(&state));
}

static void one_spin(const void *code, uint64_t seed, uint64_t counter)
{
	regs_fill(seed);
	red_zone_fill(seed);
	/* Every flag is set in some rounds and clear in others. */
	regs_in.flags = FLAGS_USUAL | ((seed * 0x9e3779b9) >> 3 & FLAGS_ALL);
	if (counter)
		regs_in.r[RCX] = counter;
	regs_code = code;
	regs_run();
	if (counter)
		regs_in.r[RCX] = 0;
	regs_same("spin", 0);
	red_zone_same(seed);
}

/* So many signals must have come, and so much work been done. */
static void spin_under(int which, int flags)
{
	unsigned long n = rounds(60);
	int signals = n > 200 ? 200 : (int)n;

	timer_start(which, flags);
	for (unsigned long i = 0; i < n || count < signals; i++) {
		one_spin(spin_straight, i, 0);
		one_spin(spin_loop, i + 7, 20000);
		if (i > 1000000)
			break;
	}
	timer_stop(which);
	CHECK(count >= signals);
	CHECK_EQ(bad_flags, 0);
}

static void spin_real(void)
{
	spin_under(ITIMER_REAL, 0);
}

static void spin_prof(void)
{
	spin_under(ITIMER_PROF, SA_RESTART);
}

static void spin_altstack(void)
{
	static char alternate[64 << 10];
	const stack_t ss = { .ss_sp = alternate, .ss_size = sizeof(alternate) };

	REQUIRE(!sigaltstack(&ss, NULL));
	spin_under(ITIMER_REAL, SA_ONSTACK);
}

/* --- vector registers --- */

static void vectors_fill(uint64_t seed)
{
	uint64_t state = seed * 2 + 1;

	for (unsigned int i = 0; i < sizeof(vectors_in); i += 8) {
		uint64_t value = rnd(&state);

		memcpy(vectors_in + i, &value, 8);
	}
	memset(vectors_out, 0, sizeof(vectors_out));
}

static void vectors(void)
{
	unsigned long n = rounds(60);
	int signals = n > 200 ? 200 : (int)n;
	bool has_zmm;
	int size;

	__builtin_cpu_init();
	if (!__builtin_cpu_supports("avx2"))
		SKIP("no AVX2");
	has_zmm = __builtin_cpu_supports("avx512f");
	timer_start(ITIMER_REAL, 0);
	for (unsigned long i = 0; i < n || count < signals; i++) {
		vectors_fill(i);
		one_spin(has_zmm ? spin_zmm : spin_ymm, i, 20000);
		size = has_zmm ? 64 : 32;
		for (int k = 0; k < (has_zmm ? 32 : 16); k++)
			if (!CHECK(!memcmp(vectors_in + k * 64, vectors_out + k * 64, size)))
				FAIL("vector register %d", k);
		if (has_zmm)
			CHECK(!memcmp(vectors_in + 32 * 64, vectors_out + 32 * 64, 16));
	}
	timer_stop(ITIMER_REAL);
	CHECK(count >= signals);
}

/* --- while system calls are made --- */

/* rbx counts; r12 collects what getppid() returned otherwise. */
static void calls(void)
{
	unsigned long n = rounds(60);
	int signals = n > 200 ? 200 : (int)n;

	timer_start(ITIMER_REAL, SA_RESTART);
	for (unsigned long i = 0; i < n || count < signals; i++) {
		regs_fill(i);
		red_zone_fill(i);
		regs_in.r[RBX] = 1000;
		regs_in.r[R12] = 0;
		regs_in.r[R13] = getppid();
		regs_code = spin_calls;
		regs_run();
		CHECK_EQ(regs_out.r[R12], 0);
		regs_in.r[RBX] = 0;
		regs_in.flags = regs_out.flags;
		regs_same("calls", 1u << RAX | 1u << RCX | 1u << R11);
		red_zone_same(i);
	}
	timer_stop(ITIMER_REAL);
	CHECK(count >= signals);
}

/* --- the same in several threads at once --- */

static void *thread_spins(void *arg)
{
	unsigned long n = rounds(100);
	uint64_t seed = (uint64_t)arg;

	for (unsigned long i = 0; i < n || count < 20; i++) {
		uint64_t a = seed, b = ~seed, c = seed * 3, d = seed ^ 0x5555, k = 20000;

		asm volatile("1:	nop\n\tdec %4\n\tjnz 1b"
			     : "+r" (a), "+r" (b), "+r" (c), "+r" (d), "+r" (k));
		CHECK_EQ(a, seed);
		CHECK_EQ(b, ~seed);
		CHECK_EQ(c, seed * 3);
		CHECK_EQ(d, seed ^ 0x5555);
	}
	return NULL;
}

static void threads_spin(void)
{
	pthread_t threads[4];

	timer_start(ITIMER_PROF, SA_RESTART);
	for (long i = 0; i < 4; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, thread_spins, (void *)(i * 0x123456789abcdef + 1)));
	for (long i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	timer_stop(ITIMER_PROF);
	CHECK(count > 0);
	CHECK_EQ(bad_flags, 0);
}

const struct part async_parts[] = {
	{ "spin_real", "all registers, flags and the red zone under ITIMER_REAL", spin_real },
	{ "spin_prof", "the same under ITIMER_PROF", spin_prof },
	{ "spin_altstack", "the same with handlers on the alternate stack", spin_altstack },
	{ "vectors", "ymm, or zmm and masks", vectors },
	{ "spin_calls", "getppid() without end", calls },
	{ "threads_spin", "four threads under ITIMER_PROF", threads_spin },
	{ NULL, NULL, NULL },
};
