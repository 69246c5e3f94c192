// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Leaf functions may use the 128 bytes below the stack pointer. In ring 0 an
 * exception on the same stack would overwrite them: the red zone must live
 * through host interrupts, page faults of the guest page table (first touch
 * of a 1 GiB region), EPT faults, exceptions that become signals, and the
 * signals' frames.
 */
#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>

/*
 * Fill the red zone with rdi-derived values, spin rsi rounds while touching
 * *rdx each round (rdx += rcx), verify; the number of wrong words.
 */
uint64_t red_zone_leaf(uint64_t salt, uint64_t rounds, char *touch,
		       uint64_t step);
asm(".text\n"
    ".globl red_zone_leaf\n"
    ".type red_zone_leaf, @function\n"
    "red_zone_leaf:\n"
    "	mov $-16, %r8\n"
    "1:	lea (%rdi,%r8), %r9\n"
    "	mov %r9, (%rsp,%r8,8)\n"
    "	inc %r8\n"
    "	jnz 1b\n"
    "2:	movb $1, (%rdx)\n"
    "	add %rcx, %rdx\n"
    "	mov $50, %r10d\n"
    "3:	dec %r10d\n"
    "	jnz 3b\n"
    "	dec %rsi\n"
    "	jnz 2b\n"
    "	xor %eax, %eax\n"
    "	mov $-16, %r8\n"
    "4:	lea (%rdi,%r8), %r9\n"
    "	cmp %r9, (%rsp,%r8,8)\n"
    "	setne %r10b\n"
    "	movzbl %r10b, %r10d\n"
    "	add %r10, %rax\n"
    "	inc %r8\n"
    "	jnz 4b\n"
    "	ret\n"
    ".size red_zone_leaf, . - red_zone_leaf\n");

static volatile long alarms;

static void on_alarm(int sig)
{
	char noise[512];

	memset(noise, 0xa5, sizeof(noise));
	asm volatile("" : : "r"(noise) : "memory");
	alarms++;
}

static void storm(int index, void *arg)
{
	static __thread char mine;
	uint64_t bad = 0;

	for (long i = 0; i < opt.rounds; i++)
		bad += red_zone_leaf(i * 0x123456789abcdefull + index, 300,
				     &mine, 0);
	CHECK_EQ(bad, 0);
}

static void interrupts_and_signals(void)
{
	struct itimerval it = { { 0, 1000 }, { 0, 1000 } };
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };

	REQUIRE(sigaction(SIGALRM, &sa, NULL) == 0);
	alarms = 0;
	REQUIRE(setitimer(ITIMER_REAL, &it, NULL) == 0);
	run_threads(opt.threads, storm, NULL);
	memset(&it, 0, sizeof(it));
	setitimer(ITIMER_REAL, &it, NULL);
	printf("    %ld signals\n", alarms);
	CHECK(alarms > 0);
}

/* Each round touches a page that no table has yet. */
static void fresh(int index, void *arg)
{
	char *p = (char *)arg + index * (1024 * 4096ul);

	CHECK_EQ(red_zone_leaf(77, 1024, p, 4096), 0);
}

static void ept_faults(void)
{
	size_t size = opt.threads * 1024 * 4096ul;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	madvise(p, size, MADV_NOHUGEPAGE);
	run_threads(opt.threads, fresh, p);
	munmap(p, size);
}

#define REGIONS 48

static void new_slots(void)
{
	size_t size = (size_t)REGIONS << 30;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	REQUIRE(p != MAP_FAILED);
	mode_enter();
	CHECK_EQ(red_zone_leaf(99, REGIONS, p, 1ul << 30), 0);
	mode_exit();
	munmap(p, size);
}

static char *lazy;

static void on_segv(int sig, siginfo_t *info, void *ucontext)
{
	char *page = (char *)((uintptr_t)info->si_addr & ~4095ul);

	if (page < lazy || page >= lazy + 64 * 4096)
		_exit(3);
	mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

/* A page's first write is a SIGSEGV whose handler allows it. */
static void faults_as_signals(void)
{
	struct sigaction sa = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO };

	lazy = mmap(NULL, 64 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(lazy != MAP_FAILED);
	REQUIRE(sigaction(SIGSEGV, &sa, NULL) == 0);
	mode_enter();
	CHECK_EQ(red_zone_leaf(55, 64, lazy, 4096), 0);
	mode_exit();
	signal(SIGSEGV, SIG_DFL);
}

int main(int argc, char **argv)
{
	test_start(argc, argv, (struct test_opts){ .rounds = 1000, .threads = 4 });
	test_part("interrupts_and_signals", interrupts_and_signals);
	test_part("ept_faults", ept_faults);
	test_part("new_slots", new_slots);
	test_part("faults_as_signals", faults_as_signals);
	return test_end();
}
