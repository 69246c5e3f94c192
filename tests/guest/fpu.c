// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * SSE, AVX and AVX-512 registers and the control words live through system
 * calls, page faults, signals whose handlers use them, and migration. The
 * state is loaded by XRSTOR from a pattern, the loop is one piece of assembly
 * that touches no vector register, and XSAVE must give the pattern back.
 */
#include "test.h"

#include <cpuid.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>

#define AREA_SIZE 8192

static uint64_t mask;		/* user state components under test */
static struct {
	unsigned int offset, size;
} component[8];

static void find_components(void)
{
	unsigned int a, b, c, d, xcr0_low, xcr0_high;

	__cpuid(1, a, b, c, d);
	if (!(c & bit_OSXSAVE))
		SKIP("no XSAVE on this CPU");
	asm volatile("xgetbv" : "=a"(xcr0_low), "=d"(xcr0_high) : "c"(0));
	mask = xcr0_low & 0xe6;		/* SSE, AVX, AVX-512 */
	component[1].offset = 160;	/* XMM registers in the legacy part */
	component[1].size = 256;
	for (int i = 2; i < 8; i++) {
		if (!(mask & (1u << i)))
			continue;
		__cpuid_count(0xd, i, a, b, c, d);
		component[i].size = a;
		component[i].offset = b;
	}
	printf("    components 0x%llx\n", (unsigned long long)mask);
}

enum work { SPIN, CALLS, TOUCH };

/* Load, work, save. No compiled code in between. */
static void load_work_save(const void *in, void *out, enum work work,
			   long n, char *touch)
{
	uint32_t low = mask, high = 0;

	asm volatile("mov %[low], %%eax\n"
		     "xor %%edx, %%edx\n"
		     "xrstor64 (%[in])\n"
		     "cmp $1, %[work]\n"
		     "je 3f\n"
		     "ja 5f\n"
		     "1:	mov $200, %%ecx\n"
		     "2:	dec %%ecx\n"
		     "	jnz 2b\n"
		     "	dec %[n]\n"
		     "	jnz 1b\n"
		     "	jmp 9f\n"
		     "3:	mov %[nr], %%eax\n"
		     "	syscall\n"
		     "	dec %[n]\n"
		     "	jnz 3b\n"
		     "	jmp 9f\n"
		     "5:	movb $1, (%[touch])\n"
		     "	add $4096, %[touch]\n"
		     "	dec %[n]\n"
		     "	jnz 5b\n"
		     "9:	mov %[low], %%eax\n"
		     "	xor %%edx, %%edx\n"
		     "	xsave64 (%[out])\n"
		     : [n] "+&r"(n), [touch] "+&r"(touch)
		     : [in] "r"(in), [out] "r"(out), [work] "r"(work),
		       [low] "r"(low), [nr] "i"(SYS_sched_yield), "m"(high)
		     : "rax", "rcx", "rdx", "r11", "cc", "memory");
}

static void fill(char *area, uint64_t *seed)
{
	memset(area, 0, AREA_SIZE);
	for (int i = 1; i < 8; i++)
		for (unsigned int k = 0; k < component[i].size; k++)
			area[component[i].offset + k] = rnd(seed) >> 13;
	*(uint16_t *)area = 0x37f;
	*(uint32_t *)(area + 24) = 0x1f80 | 0x6000 | 0x8040;	/* MXCSR */
	*(uint64_t *)(area + 512) = mask;
}

static bool compare(const char *in, const char *out)
{
	for (int i = 1; i < 8; i++) {
		if (!component[i].size)
			continue;
		if (memcmp(in + component[i].offset, out + component[i].offset,
			   component[i].size)) {
			FAIL("state component %d changed", i);
			return false;
		}
	}
	return CHECK_EQ(*(uint32_t *)(out + 24), *(uint32_t *)(in + 24));
}

static volatile long handled;

/* A handler that spoils what it may. */
static void on_signal(int sig)
{
	asm volatile("pcmpeqd %%xmm0, %%xmm0\n"
		     "pcmpeqd %%xmm7, %%xmm7\n"
		     "pcmpeqd %%xmm15, %%xmm15\n" : : : "xmm0", "xmm7", "xmm15");
	handled++;
}

static void load(int index, void *arg)
{
	char *areas = aligned_alloc(64, 2 * AREA_SIZE);
	char *in = areas, *out = areas + AREA_SIZE;
	uint64_t seed = opt.seed * (index + 3) | 1;
	enum work work = *(enum work *)arg;
	char *pages = NULL;

	REQUIRE(areas);
	for (long i = 0; i < opt.rounds; i++) {
		long n = work == SPIN ? 300 : work == CALLS ? 20 : 16;

		if (work == TOUCH) {
			pages = mmap(NULL, 16 * 4096, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			REQUIRE(pages != MAP_FAILED);
		}
		fill(in, &seed);
		memset(out, 0, AREA_SIZE);
		load_work_save(in, out, work, n, pages);
		asm volatile("ldmxcsr %0" : : "m"((uint32_t){ 0x1f80 }));
		if (work == TOUCH)
			munmap(pages, 16 * 4096);
		if (!compare(in, out))
			break;
	}
	free(areas);
}

static volatile int stop;

/* Moves every thread of the process around. */
static void *mover(void *arg)
{
	uint64_t seed = opt.seed | 1;
	int n = nr_cpus();

	while (!stop) {
		for (long tid = getpid(); tid < getpid() + 64; tid++) {
			cpu_set_t set;

			CPU_ZERO(&set);
			CPU_SET(rnd(&seed) % n, &set);
			sched_setaffinity(tid, sizeof(set), &set);
		}
		sched_yield();
	}
	return NULL;
}

static void storm(enum work work)
{
	struct itimerval it = { { 0, 2000 }, { 0, 2000 } };
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	pthread_t thread;

	stop = 0;
	REQUIRE(sigaction(SIGALRM, &sa, NULL) == 0);
	REQUIRE(pthread_create(&thread, NULL, mover, NULL) == 0);
	setitimer(ITIMER_REAL, &it, NULL);
	run_threads(opt.threads, load, &work);
	memset(&it, 0, sizeof(it));
	setitimer(ITIMER_REAL, &it, NULL);
	stop = 1;
	pthread_join(thread, NULL);
}

static void spinning(void)
{
	storm(SPIN);
}

static void system_calls(void)
{
	storm(CALLS);
}

static void page_faults(void)
{
	storm(TOUCH);
}

int main(int argc, char **argv)
{
	test_start(argc, argv, (struct test_opts){ .rounds = 150, .threads = 3 });
	find_components();
	test_part("spinning", spinning);
	test_part("system_calls", system_calls);
	test_part("page_faults", page_faults);
	printf("    %ld signals\n", handled);
	return test_end();
}
