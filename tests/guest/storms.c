// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A guest that raises exceptions for ever holds neither the CPU nor itself
 * back from SIGKILL. Each storm runs in a child on the CPU where the parent
 * waits for it to rage, and then ends it.
 */
#include "test.h"
#include "rawidt.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK 16384
#define ENOUGH 500		/* exceptions */
#define LIMIT 5		/* seconds, for each */

#define RFLAGS_TF 0x100
#define RFLAGS_AC 0x40000
#define CR0_AM 0x40000

static struct rawidt tables;
static char handler_stack[STACK] __attribute__((aligned(16)));
static char user_stack[STACK] __attribute__((aligned(16)));
static volatile uint64_t *raging;	/* shared with the parent */
uint64_t storm_counter;			/* address of *raging, for the handler */

/* Counts and returns to the same state, whatever the exception was. */
asm(".globl storm_handler, storm_handler_error\n"
    "storm_handler_error: add $8, %rsp\n"
    "storm_handler: push %rax; mov storm_counter(%rip), %rax; incq (%rax)\n"
    "	pop %rax; iretq\n");
extern char storm_handler[], storm_handler_error[];

static void build_tables(void)
{
	rawidt_build(&tables, handler_stack + STACK);
	rawidt_gate(&tables, 1, storm_handler);
	rawidt_gate(&tables, 6, storm_handler);
	rawidt_gate(&tables, 17, storm_handler_error);
}

/* ---- guest code ---- */

/* A #DB after each instruction. */
static void single_step(void *unused)
{
	asm volatile("pushfq; orl %0, (%%rsp); popfq; 1: jmp 1b" : : "i"(RFLAGS_TF));
}

/* A #DB that is an instruction's own. */
static void int1(void *unused)
{
	asm volatile("1: .byte 0xf1; jmp 1b");
}

/* A fault, tried again and again without an exit. */
static void ud2(void *unused)
{
	asm volatile("1: ud2; jmp 1b");
}

/* #AC, which only CPL 3 can get. */
static void unaligned(void *unused)
{
	asm volatile("mov %%cr0, %%rax; or %0, %%eax; mov %%rax, %%cr0\n\t"
		     "push %1; push %2; push %3; push %4\n\t"
		     "lea 1f(%%rip), %%rax; push %%rax\n\t"
		     "iretq\n\t"
		     "1: mov 1(%%rsp), %%eax; jmp 1b"
		     : : "i"(CR0_AM), "i"(RAWIDT_USER_SS), "r"(user_stack + STACK - 64),
			 "i"(RFLAGS_AC | 0x202), "i"(RAWIDT_USER_CS) : "rax", "memory");
}

/* ---- the child ---- */

struct storm {
	void (*fn)(void *);
	enum dune_vcpu_counter exits;	/* that it causes; or exceptions in vain */
};

static void rage(const struct storm *storm)
{
	struct rawvcpu vcpu;
	struct rawvm vm;
	long kind;

	rawvm_create(&vm);
	rawvcpu_create(&vm, &vcpu);
	build_tables();
	storm_counter = (uint64_t)raging;
	rawvm_map(&vm, (void *)raging);
	rawvcpu_start(&vm, &vcpu, storm->fn, &tables);
	rawidt_use(&tables, &vm, &vcpu);
	do {
		kind = rawvcpu_run(&vcpu, 0, 1);
		raging[1] = vcpu.page->counters[DUNE_VCPU_exceptions];
	} while (kind == DUNE_EXIT_RETRY);
	/* Not reached: a storm does not end by itself. */
	printf("ended: kind %ld, reason %u, rip %llx\n", kind,
	       vcpu.page->exit.hw_reason, vcpu.page->regs.rip);
	_exit(1);
}

static void interrupted(int sig)
{
}

static void storm(const struct storm *storm)
{
	uint64_t end = deadline(LIMIT), before;
	int status = 0;
	pid_t pid;

	raging[0] = raging[1] = 0;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		signal(SIGUSR1, interrupted);
		rage(storm);
	}
	REQUIRE(pid > 0);
	while (raging[0] < ENOUGH && now_ns() < end &&
	       waitpid(pid, &status, WNOHANG) == 0)
		usleep(1000);
	CHECK(raging[0] >= ENOUGH);
	/* It goes on after a signal, and the module counts what exits. */
	before = raging[0];
	CHECK_EQ(kill(pid, SIGUSR1), 0);
	while ((raging[0] == before || (storm->exits && !raging[1])) &&
	       now_ns() < end)
		usleep(1000);
	CHECK(raging[0] > before);
	if (storm->exits)
		CHECK(raging[1] >= ENOUGH);
	CHECK_EQ(kill(pid, SIGKILL), 0);
	while (waitpid(pid, &status, WNOHANG) == 0 && now_ns() < end)
		usleep(1000);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void storm_of_steps(void)
{
	storm(&(struct storm){ single_step, DUNE_VCPU_exceptions });
}

static void storm_of_int1(void)
{
	storm(&(struct storm){ int1, DUNE_VCPU_exceptions });
}

static void storm_of_alignment(void)
{
	storm(&(struct storm){ unaligned, DUNE_VCPU_exceptions });
}

static void storm_of_faults(void)
{
	storm(&(struct storm){ ud2, 0 });
}

int main(int argc, char **argv)
{
	test_start_raw(argc, argv, (struct test_opts){ 0 });
	if (opt.native)
		SKIP("there is no native twin");
	raging = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(raging != MAP_FAILED);
	pin_to(0);
	test_part("single_step", storm_of_steps);
	test_part("int1", storm_of_int1);
	test_part("unaligned", storm_of_alignment);
	test_part("faults", storm_of_faults);
	return test_end();
}
