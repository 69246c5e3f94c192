// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Quanta of guest time: DUNE_RUN returns after each, nothing is lost, they go
 * on over exits, and a scheduler in user space can be built on them.
 */
#include "test.h"
#include "rawvm.h"

#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define QUANTUM_US 1000
#define QUANTA 20

static struct rawvm vm;
static struct rawvcpu vcpu;

static bool supported(void)
{
	struct dune_info info;

	return ioctl(vm.fd, DUNE_GET_INFO, &info) == 0 &&
	       info.caps & DUNE_CAP_QUANTUM;
}

/* Counts in rbx; every other register holds a number it must keep. */
__attribute__((naked)) static void guest_spins(void *arg)
{
	asm volatile("xor %ebx, %ebx\n"
		     "mov $0x0123456789abcd00, %rax\n"
		     "lea 1(%rax), %rcx\n lea 2(%rax), %rdx\n lea 6(%rax), %rsi\n"
		     "lea 5(%rax), %rbp\n lea 8(%rax), %r8\n lea 9(%rax), %r9\n"
		     "lea 10(%rax), %r10\n lea 11(%rax), %r11\n lea 12(%rax), %r12\n"
		     "lea 13(%rax), %r13\n lea 14(%rax), %r14\n lea 15(%rax), %r15\n"
		     "1: inc %rbx\n jmp 1b\n");
}

/* Exits all the time: quanta must end all the same. */
static void guest_exits(void *arg)
{
	for (;;) {
		raw_vmcall(DUNE_HC_NOP, 0);
		raw_vmcall(DUNE_HC_SLOT, (uint64_t)arg);
		*(volatile uint64_t *)arg += 1;
	}
}

static void start(void (*fn)(void *), void *arg, uint32_t quantum_us)
{
	rawvm_create(&vm);
	if (!supported())
		SKIP("this CPU has no VMX-preemption timer");
	rawvcpu_create(&vm, &vcpu);
	rawvcpu_start(&vm, &vcpu, fn, arg);
	vcpu.page->quantum_us = quantum_us;
}

static void stop(void)
{
	rawvcpu_destroy(&vcpu);
	rawvm_destroy(&vm);
}

static uint64_t counter(enum dune_vcpu_counter c)
{
	return vcpu.page->counters[c];
}

/* Time in the guest for so many quanta, in TSC cycles. */
static uint64_t run_quanta(int n)
{
	uint64_t before, tsc;

	/* The first one, so that faults of the start are over. */
	CHECK_EQ(rawvcpu_run(&vcpu, 0, 100000), DUNE_EXIT_QUANTUM);
	before = counter(DUNE_VCPU_quanta);
	tsc = counter(DUNE_VCPU_guest_tsc);
	for (int i = 0; i < n; i++)
		CHECK_EQ(rawvcpu_run(&vcpu, 0, 100000), DUNE_EXIT_QUANTUM);
	CHECK_EQ(counter(DUNE_VCPU_quanta) - before, n);
	CHECK_EQ(vcpu.page->exit.kind, DUNE_EXIT_QUANTUM);
	return counter(DUNE_VCPU_guest_tsc) - tsc;
}

static void registers(void)
{
	const struct dune_regs *r;
	uint64_t last = 0;

	start(guest_spins, &vm, QUANTUM_US);
	r = &vcpu.page->regs;
	for (int i = 0; i < QUANTA; i++) {
		CHECK_EQ(rawvcpu_run(&vcpu, 0, 100000), DUNE_EXIT_QUANTUM);
		if (i)
			CHECK(r->rbx > last);
		last = r->rbx;
		for (int reg = 0; reg < 16; reg++)
			if (reg != 3 && reg != 4 && reg != 7)
				CHECK_EQ((&r->rax)[reg], 0x0123456789abcd00 + reg);
		CHECK_EQ(r->rdi, (uint64_t)&vm);
		CHECK_IN(r->rip - (uint64_t)guest_spins, 0, 256);
	}
	CHECK_EQ(counter(DUNE_VCPU_quanta), QUANTA);
	stop();
}

static void length(void)
{
	uint64_t one, four;

	start(guest_spins, &vm, QUANTUM_US);
	one = run_quanta(QUANTA);
	/* A change is taken at the next run. */
	vcpu.page->quantum_us = 4 * QUANTUM_US;
	four = run_quanta(QUANTA);
	printf("    %llu cycles a quantum, %llu for 4 times as long\n",
	       (unsigned long long)one / QUANTA, (unsigned long long)four / QUANTA);
	CHECK_IN(four * 10 / one, 30, 50);

	/* And off: the host's work and signals alone end a run. */
	vcpu.page->quantum_us = 0;
	one = counter(DUNE_VCPU_quanta);
	four = counter(DUNE_VCPU_guest_tsc) + four;
	for (int i = 0; i < 3; i++) {
		alarm(1);
		CHECK_EQ(raw_run(vcpu.fd, 0), DUNE_EXIT_RETRY);
	}
	CHECK_EQ(counter(DUNE_VCPU_quanta), one);
	stop();
}

static void over_exits(void)
{
	static uint64_t rounds;
	uint64_t spinning, exiting;

	start(guest_spins, &rounds, QUANTUM_US);
	spinning = run_quanta(QUANTA);
	stop();
	start(guest_exits, &rounds, QUANTUM_US);
	exiting = run_quanta(QUANTA);
	printf("    %llu exits in %llu cycles\n",
	       (unsigned long long)counter(DUNE_VCPU_entries),
	       (unsigned long long)exiting);
	CHECK_IN(counter(DUNE_VCPU_entries), 10 * QUANTA, 100000000);
	/*
	 * The timer runs in the guest; guest_tsc has the inner exits too, so
	 * much more of it goes by until a quantum is over.
	 */
	CHECK_IN(exiting, spinning / 2, 1000 * spinning);
	stop();
}

static void bad_values(void)
{
	static const uint32_t bad[] = { 1, DUNE_QUANTUM_MIN_US - 1,
					DUNE_QUANTUM_MAX_US + 1, ~0u };

	start(guest_spins, &vm, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		vcpu.page->quantum_us = bad[i];
		CHECK_EQ(raw_run(vcpu.fd, 0), -EINVAL);
		CHECK_EQ(vcpu.page->sync, DUNE_SYNC_REGS | DUNE_SYNC_SREGS);
	}
	vcpu.page->quantum_us = DUNE_QUANTUM_MIN_US;
	CHECK_EQ(rawvcpu_run(&vcpu, 0, 100000), DUNE_EXIT_QUANTUM);
	stop();
}

/* ---- libdune ---- */

static int calls;

/* Ruins what libdune has to keep for the guest. */
static void count_call(struct dune_regs *regs, void *arg)
{
	CHECK(!dune_inside());
	CHECK_EQ(arg, &calls);
	CHECK(regs->rip != 0);
	asm volatile("pcmpeqb %%xmm0, %%xmm0\n movdqa %%xmm0, %%xmm7\n"
		     "movdqa %%xmm0, %%xmm15" : : : "xmm0", "xmm7", "xmm15");
	calls++;
}

static double series(long n)
{
	double sum = 0;

	for (long i = 1; i <= n; i++)
		sum += 1.0 / i - 1.0 / (i + 3.5);
	return sum;
}

static void handler(void)
{
	double expected = series(400000), got;
	uint64_t quanta;

	CHECK_EQ(dune_set_quantum(QUANTUM_US, count_call, &calls), -EINVAL);
	mode_enter();
	CHECK_EQ(dune_set_quantum(1, count_call, &calls), -EINVAL);
	quanta = vcpu_stat(DUNE_VCPU_quanta);
	CHECK_EQ(dune_set_quantum(QUANTUM_US, count_call, &calls), 0);
	got = series(400000);
	CHECK_EQ(dune_set_quantum(0, NULL, NULL), 0);
	quanta = vcpu_stat(DUNE_VCPU_quanta) - quanta;
	CHECK(got == expected);
	CHECK_IN(calls, 5, 100000);
	CHECK_EQ(calls, quanta);
	got = series(400000);
	CHECK_EQ(calls, quanta);
	CHECK(got == expected);
	mode_exit();
	printf("    %d quanta\n", calls);
}

/*
 * Two contexts on one thread, in loops that never yield; the handler gives the
 * thread to the other one, and to main's when both have done enough.
 */
#define ENOUGH 20

static struct dune_regs contexts[2], main_context;
static volatile uint64_t progress[2];
static int running, switches;
static volatile int back;

static void endless(void *arg)
{
	for (;;)
		*(volatile uint64_t *)arg += 1;
}

static void schedule(struct dune_regs *regs, void *arg)
{
	if (running < 0) {
		main_context = *regs;
		running = 0;
	} else {
		contexts[running] = *regs;
		running ^= 1;
	}
	*regs = contexts[running];
	if (++switches > ENOUGH) {
		*regs = main_context;
		back = 1;
		running = -1;
		dune_set_quantum(0, NULL, NULL);
	}
}

static void scheduler(void)
{
	uint64_t seen[2];

	for (int i = 0; i < 2; i++) {
		char *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		REQUIRE(stack != MAP_FAILED);
		memset(stack, 0, 65536);
		contexts[i] = (struct dune_regs){
			.rip = (uint64_t)endless, .rdi = (uint64_t)&progress[i],
			.rsp = (uint64_t)stack + 65536 - 8, .rflags = 0x202,
		};
	}
	running = -1;
	mode_enter();
	CHECK_EQ(dune_set_quantum(QUANTUM_US, schedule, NULL), 0);
	while (!back)
		;
	for (int i = 0; i < 2; i++)
		seen[i] = progress[i];
	spin(100000);
	mode_exit();
	CHECK_EQ(switches, ENOUGH + 1);
	printf("    contexts counted to %llu and %llu\n",
	       (unsigned long long)seen[0], (unsigned long long)seen[1]);
	CHECK_IN(seen[0], 1000, 1ll << 40);
	CHECK_IN(seen[1], 1000, 1ll << 40);
	CHECK_EQ(progress[0], seen[0]);
	CHECK_EQ(progress[1], seen[1]);
}

static void on_alarm(int sig)
{
}

int main(int argc, char **argv)
{
	test_start_raw(argc, argv, (struct test_opts){ 0 });
	if (opt.native)
		SKIP("no quanta in plain Linux mode");
	signal(SIGALRM, on_alarm);
	test_part("registers", registers);
	test_part("length", length);
	test_part("over_exits", over_exits);
	test_part("bad_values", bad_values);
	REQUIRE(!dune_init());
	test_part("handler", handler);
	test_part("scheduler", scheduler);
	return test_end();
}
