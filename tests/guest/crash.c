// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Exceptions nobody handles: the thread gets the signal Linux would have sent,
 * or the crash record where the program asked for it; a triple fault ends the
 * thread's guest and nothing else.
 */
#include "test.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void divide(void)
{
	volatile int zero = 0;

	asm volatile("idivl %1" : : "a"(1), "m"(zero), "d"(0) : "cc");
}

static void undefined(void)
{
	asm volatile("ud2");
}

static void breakpoint(void)
{
	asm volatile("int3");
}

static void protection(void)
{
	asm volatile("mov (%0), %%al" : : "r"(0x8000000000000000ul) : "rax");
}

static void bad_pointer(void)
{
	volatile uintptr_t address = 0x10;

	*(volatile int *)address = 1;
}

static void simd(void)
{
	float one = 1, zero = 0;
	uint32_t csr = 0x1f80 & ~0x200;		/* divide by zero unmasked */

	asm volatile("ldmxcsr %0; movss %1, %%xmm0; divss %2, %%xmm0"
		     : : "m"(csr), "m"(one), "m"(zero) : "xmm0");
}

static void x87(void)
{
	uint16_t cw = 0x37f & ~4;

	asm volatile("fninit; fldcw %0; fldz; fld1; fdivp; fwait" : : "m"(cw));
}

static void triple(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none = { 0, 0 };

	asm volatile("lidt %0; ud2" : : "m"(none));
}

static const struct fault {
	const char *name;
	void (*fn)(void);
	int signo, vector, code;
} faults[] = {
	{ "divide", divide, SIGFPE, 0, FPE_INTDIV },
	{ "breakpoint", breakpoint, SIGTRAP, 3, SI_KERNEL },
	{ "undefined", undefined, SIGILL, 6, ILL_ILLOPN },
	{ "protection", protection, SIGSEGV, 13, SI_KERNEL },
	{ "bad_pointer", bad_pointer, SIGSEGV, -1, SEGV_MAPERR },
	{ "simd", simd, SIGFPE, 19, FPE_FLTDIV },
	{ "x87", x87, SIGFPE, 16, FPE_FLTDIV },
};
#define NR_FAULTS (sizeof(faults) / sizeof(*faults))

static void do_fault(void *arg)
{
	mode_enter();
	((const struct fault *)arg)->fn();
	_exit(9);
}

/* Without a handler the process dies of the right signal. */
static void deadly(void)
{
	for (size_t i = 0; i < NR_FAULTS; i++) {
		int status = run_child(60, do_fault, (void *)&faults[i]);

		if (!WIFSIGNALED(status) || WTERMSIG(status) != faults[i].signo)
			FAIL("%s: status 0x%x, want signal %d", faults[i].name,
			     status, faults[i].signo);
		else
			check_count++;
	}
}

static sigjmp_buf jump;
static siginfo_t got;

static void on_signal(int sig, siginfo_t *info, void *ucontext)
{
	got = *info;
	mode_abandon();
	siglongjmp(jump, 1);
}

/* With a handler the thread goes on. */
static void handled(void)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };

	for (volatile size_t i = 0; i < NR_FAULTS; i++) {
		REQUIRE(sigaction(faults[i].signo, &sa, NULL) == 0);
		memset(&got, 0, sizeof(got));
		if (sigsetjmp(jump, 1) == 0) {
			mode_enter();
			faults[i].fn();
			FAIL("%s: nothing happened", faults[i].name);
		}
		asm volatile("fninit; ldmxcsr %0" : : "m"((uint32_t){ 0x1f80 }));
		if (got.si_signo != faults[i].signo || got.si_code != faults[i].code)
			FAIL("%s: signal %d code %d, want %d code %d",
			     faults[i].name, got.si_signo, got.si_code,
			     faults[i].signo, faults[i].code);
		else
			check_count++;
		signal(faults[i].signo, SIG_DFL);
	}
	mode_enter();
	CHECK_EQ(syscall(SYS_getpid), getpid());
	mode_exit();
}

static struct dune_crash record;
static volatile int records;

static void on_crash(const struct dune_crash *crash, void *arg)
{
	record = *crash;
	records++;
	CHECK_EQ(dune_inside(), 0);
	CHECK(arg == &records);
	dune_exit();
	siglongjmp(jump, 1);
}

/* With dune_on_crash() the program sees what happened. */
static void recorded(void)
{
	if (opt.native)
		return;
	dune_on_crash(on_crash, (void *)&records);
	for (volatile size_t i = 0; i < NR_FAULTS; i++) {
		memset(&record, 0, sizeof(record));
		records = 0;
		if (sigsetjmp(jump, 1) == 0) {
			mode_enter();
			faults[i].fn();
			FAIL("%s: nothing happened", faults[i].name);
		}
		asm volatile("fninit; ldmxcsr %0" : : "m"((uint32_t){ 0x1f80 }));
		CHECK_EQ(records, 1);
		if (faults[i].vector >= 0) {
			CHECK_EQ(record.kind, DUNE_CRASH_TRAP);
			CHECK_EQ(record.vector, faults[i].vector);
		} else if (record.kind == DUNE_EXIT_FAULT) {
			CHECK_EQ(record.fault_addr, 0x10);
		} else {
			CHECK_EQ(record.kind, DUNE_CRASH_TRAP);
			CHECK_EQ(record.vector, 14);
			CHECK_EQ(record.fault_addr, 0x10);
		}
		CHECK(record.regs.rip >= (uint64_t)(uintptr_t)faults[i].fn &&
		      record.regs.rip < (uint64_t)(uintptr_t)faults[i].fn + 128);
		CHECK(record.regs.rsp != 0);
	}
	dune_on_crash(NULL, NULL);
}

static void do_triple(void *arg)
{
	mode_enter();
	triple();
	_exit(9);
}

static void do_triple_recorded(void *arg)
{
	dune_on_crash(on_crash, (void *)&records);
	if (sigsetjmp(jump, 1) == 0) {
		mode_enter();
		triple();
		_exit(9);
	}
	CHECK_EQ(record.kind, DUNE_EXIT_CRASH);
	/* A plain Linux thread again. */
	CHECK_EQ(dune_inside(), 0);
	CHECK_EQ(syscall(SYS_getpid), getpid());
}

static volatile int laps, stop;

static void bystander(int index, void *arg)
{
	while (!stop) {
		spin(100);
		__atomic_add_fetch(&laps, 1, __ATOMIC_RELEASE);
	}
}

static void *bystander_main(void *arg)
{
	run_threads(1, bystander, NULL);
	return NULL;
}

/* Another thread of the same process is not disturbed. */
static void do_triple_beside(void *arg)
{
	pthread_t thread;
	int from;

	stop = 0;
	REQUIRE(pthread_create(&thread, NULL, bystander_main, NULL) == 0);
	while (!laps)
		sched_yield();
	do_triple_recorded(NULL);
	from = laps;
	for (uint64_t end = deadline(20); laps == from && now_ns() < end;)
		sched_yield();
	CHECK(laps != from);
	stop = 1;
	pthread_join(thread, NULL);
}

static void triple_fault(void)
{
	int status;

	if (opt.native)
		return;
	status = run_child(60, do_triple, NULL);
	printf("    without a handler: %s\n",
	       WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "no signal");
	CHECK(WIFSIGNALED(status) &&
	      (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGILL ||
	       WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGABRT));
	CHECK_EQ(run_child(60, do_triple_recorded, NULL), 0);
	CHECK_EQ(run_child(60, do_triple_beside, NULL), 0);
}

int main(int argc, char **argv)
{
	test_start(argc, argv, (struct test_opts){ 0 });
	test_part("deadly", deadly);
	test_part("handled", handled);
	test_part("recorded", recorded);
	test_part("triple_fault", triple_fault);
	mode_enter();
	CHECK_EQ(syscall(SYS_getpid), getpid());
	mode_exit();
	return test_end();
}
