// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Each mitigation at VM entry and exit, forced by the module's parameter: the
 * emulator's counters show that it happens at each exit, and exits are right
 * with it. What happens without being forced is the kernel's choice and no
 * business of this test; tests/unit/mitigate_test.c has the decisions.
 *
 * The numbers are of kmod/vmx/entry.S: it changes, they change.
 */
#include "test.h"
#include "emucount.h"
#include "machine.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MODULE_FILE "/lib/dune/dune.ko"	/* where the emulated machine has it */
#define PARAM "/sys/module/dune/parameters/mitigations"
#define REPS 50
#define PAGE 4096ul

/* Of one way out of the guest and back: least of REPS, after one for nothing. */
enum { INSNS, CPUIDS, VERWS, SPEC_CTRLS, IBPBS, FLUSHES, NR_WATCHED };
static const enum emucount_id watched[NR_WATCHED] = {
	[INSNS] = EMU_INSN,
	[CPUIDS] = EMU_CPUID,
	[VERWS] = EMU_VERW,
	[SPEC_CTRLS] = EMU_SPEC_CTRL,
	[IBPBS] = EMU_IBPB,
	[FLUSHES] = EMU_L1D_FLUSH,
};

struct cost {
	uint64_t of[NR_WATCHED];
};

struct costs {
	struct cost hypercall, cpuid, fault, call;
};

static struct costs *shared;	/* filled by a child */

/* ---- in Dune mode ---- */

static void op_hypercall(volatile char *page)
{
	unsigned long rax = DUNE_HC_NOP;

	asm volatile("vmcall" : "+a"(rax) : : "memory");
}

static void op_cpuid(volatile char *page)
{
	unsigned int a = 0, b, c = 0, d;

	asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
}

static void op_fault(volatile char *page)
{
	*page = 1;
}

static void op_call(volatile char *page)
{
	(void)syscall(SYS_getpgrp);	/* leaves the inner loop */
}

static void count(struct cost *cost)
{
	for (int i = NR_WATCHED - 1; i >= 0; i--)
		cost->of[i] = emucount_read(EMUCOUNT_SELF, watched[i]);
}

static void count_end(struct cost *cost, const struct cost *begin)
{
	for (int i = 0; i < NR_WATCHED; i++)
		cost->of[i] = emucount_read(EMUCOUNT_SELF, watched[i]) - begin->of[i];
}

static void measure(struct cost *cost, void (*op)(volatile char *),
		    volatile char *area)
{
	struct cost begin, one;

	for (int rep = 0; rep <= REPS; rep++) {
		count(&begin);
		op(area + rep * PAGE);
		count_end(&one, &begin);
		for (int i = 0; i < NR_WATCHED; i++)
			if (rep <= 1 || one.of[i] < cost->of[i])
				cost->of[i] = one.of[i];
	}
}

/* Every register but rax and rsp comes back as it was. */
static bool registers_survive(void)
{
	uint64_t rax = DUNE_HC_NOP, wrong;

	asm volatile("push %%rbp\n\t"
		     ".irp r, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15\n\t"
		     "lea pattern_\\r, %%\\r\n\t"
		     ".endr\n\t"
		     "vmcall\n\t"
		     "mov $0, %%eax\n\t"
		     ".irp r, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15\n\t"
		     "sub $pattern_\\r, %%\\r\n\t"
		     "or %%\\r, %%rax\n\t"
		     ".endr\n\t"
		     "pop %%rbp\n\t"
		     ".set pattern_rbx, 0x11111101\n\t"
		     ".set pattern_rcx, 0x11111102\n\t"
		     ".set pattern_rdx, 0x11111103\n\t"
		     ".set pattern_rsi, 0x11111104\n\t"
		     ".set pattern_rdi, 0x11111105\n\t"
		     ".set pattern_rbp, 0x11111106\n\t"
		     ".set pattern_r8,  0x11111108\n\t"
		     ".set pattern_r9,  0x11111109\n\t"
		     ".set pattern_r10, 0x1111110a\n\t"
		     ".set pattern_r11, 0x1111110b\n\t"
		     ".set pattern_r12, 0x1111110c\n\t"
		     ".set pattern_r13, 0x1111110d\n\t"
		     ".set pattern_r14, 0x1111110e\n\t"
		     ".set pattern_r15, 0x1111110f\n\t"
		     : "+a"(rax)
		     : : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10",
			 "r11", "r12", "r13", "r14", "r15", "memory", "cc");
	wrong = rax;
	return !wrong;
}

static void exits(void *unused)
{
	char *area = mmap(NULL, (REPS + 1) * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	pid_t parent = getppid();

	REQUIRE(area != MAP_FAILED);
	pin_to(0);
	mode_enter();
	measure(&shared->hypercall, op_hypercall, area);
	measure(&shared->cpuid, op_cpuid, area);
	measure(&shared->fault, op_fault, area);
	measure(&shared->call, op_call, area);
	CHECK(registers_survive());
	CHECK_EQ(getppid(), parent);
	CHECK(dune_inside());
	mode_exit();
	for (int i = 0; i <= REPS; i++)
		CHECK_EQ(area[i * PAGE], 1);
	munmap(area, (REPS + 1) * PAGE);
}

/* ---- outside ---- */

static void unload(void)
{
	uint64_t end = deadline(5);
	int err;

	/* What a process leaves behind goes a moment after it. */
	while ((err = module_unload("dune")) == -EWOULDBLOCK && now_ns() < end)
		usleep(1000);
	CHECK_EQ(err, 0);
}

/* The module with these mitigations. 0 or -errno; then there is none. */
static int load(const char *words)
{
	char param[160];

	snprintf(param, sizeof(param), "mitigations=%s", words);
	unload();
	return module_load(MODULE_FILE, param);
}

static void check_param(const char *words)
{
	char text[160] = "";

	CHECK(read_text(PARAM, text, sizeof(text)));
	text[strcspn(text, "\n")] = '\0';
	if (!CHECK(!strcmp(text, words)))
		printf("in force: %s, not %s\n", text, words);
}

/* Forces words, of which shown is what is in force, and looks at the exits. */
static struct costs with(const char *words, const char *shown)
{
	CHECK_EQ(load(words), 0);
	check_param(shown);
	memset(shared, 0, sizeof(*shared));
	CHECK_EQ(run_child(60, exits, NULL), 0);
	printf("%-24s instructions: hypercall %lu, cpuid %lu, fault %lu, call %lu\n",
	       words, shared->hypercall.of[INSNS], shared->cpuid.of[INSNS],
	       shared->fault.of[INSNS], shared->call.of[INSNS]);
	return *shared;
}

/* So many instructions more, at the exits of both kinds. */
static void check_more(const struct costs *costs, const struct costs *base, int more)
{
	CHECK_EQ(costs->hypercall.of[INSNS] - base->hypercall.of[INSNS], more);
	CHECK_EQ(costs->cpuid.of[INSNS] - base->cpuid.of[INSNS], more);
}

/* ZERO_GPRS instead of 7, the result in ebx, and seven keys that are off. */
#define GPRS_INSNS	(7 + 1 + 7)
#define VERW_INSNS	1
/*
 * __FILL_RETURN_BUFFER: 16 turns of 5, one before and one after; 6.12 has
 * another for its tracking of call depth.
 */
#define RSB_LEAST	(1 + 16 * 5 + 1)
#define RSB_MOST	(RSB_LEAST + 1)
#define RSB_LITE_INSNS	3
/* Linux' loop: at least 5 * 5 branches, which is what it is for. */
#define BHB_LEAST	(5 * 5 * 3)
#define BHB_MOST	300
/* 64 KiB by lines, and by pages before. */
#define L1D_LEAST	(2 * (1024 + 16))

static struct costs gprs;

static uint64_t flushes(const struct cost *cost)
{
	/* By command, or by reading: the CPUID between its two passes. */
	return cost->of[FLUSHES] + cost->of[CPUIDS];
}

/* None of the events that the other parts require. */
static void check_quiet(const struct cost *cost)
{
	for (int i = CPUIDS; i < NR_WATCHED; i++)
		CHECK_EQ(cost->of[i], 0);
}

static void registers(void)
{
	struct costs off = with("off", "off");

	check_quiet(&off.hypercall);
	gprs = with("gprs", "gprs");
	check_quiet(&gprs.hypercall);
	check_more(&gprs, &off, GPRS_INSNS);
}

static void verw(void)
{
	struct costs costs = with("verw", "gprs,verw");

	check_more(&costs, &gprs, VERW_INSNS);
	CHECK_EQ(costs.hypercall.of[VERWS], 1);
	CHECK_EQ(costs.cpuid.of[VERWS], 1);
	CHECK(costs.fault.of[VERWS] >= 1);
	CHECK(costs.call.of[VERWS] >= 1);
}

static void rsb(void)
{
	struct costs costs = with("rsb", "gprs,rsb");
	int more = costs.hypercall.of[INSNS] - gprs.hypercall.of[INSNS];

	CHECK(more >= RSB_LEAST && more <= RSB_MOST);
	check_more(&costs, &gprs, more);
	costs = with("rsb-lite", "gprs,rsb-lite");
	check_more(&costs, &gprs, RSB_LITE_INSNS);
}

static void bhb(void)
{
	struct costs costs = with("bhb", "gprs,bhb");
	int more = costs.hypercall.of[INSNS] - gprs.hypercall.of[INSNS];

	CHECK(more >= BHB_LEAST && more <= BHB_MOST);
	check_more(&costs, &gprs, more);
}

static void l1d(void)
{
	struct costs costs = with("l1d", "gprs,l1d");

	CHECK_EQ(flushes(&costs.hypercall), 1);
	/* The guest's own CPUID is made twice: by it, and for it. */
	CHECK_EQ(flushes(&costs.cpuid), flushes(&gprs.cpuid) + 1);
	if (!costs.hypercall.of[FLUSHES])
		CHECK(costs.hypercall.of[INSNS] - gprs.hypercall.of[INSNS] >= L1D_LEAST);

	/* Of the host's work are the fault and the call; not the others. */
	costs = with("l1d-cond", "gprs,l1d-cond");
	CHECK(costs.hypercall.of[INSNS] - gprs.hypercall.of[INSNS] < 50);
	CHECK_EQ(flushes(&costs.hypercall), 0);
	CHECK_EQ(flushes(&costs.fault), 1);
	CHECK_EQ(flushes(&costs.call), 1);
}

static void together(void)
{
	struct costs rsb_only = with("rsb", "gprs,rsb");
	struct costs bhb_only = with("bhb", "gprs,bhb");
	struct costs all = with("verw,bhb,rsb", "gprs,rsb,bhb,verw");

	check_more(&all, &bhb_only, VERW_INSNS + rsb_only.hypercall.of[INSNS] -
				    gprs.hypercall.of[INSNS]);
}

/* What needs MSRs that not every CPU has: then a clear no. */
static bool cpu_can(const char *word)
{
	char param[64];

	if (load(word) == 0)
		return true;
	printf("not on this CPU: %s (tools/vm/run --microcode)\n", word);
	snprintf(param, sizeof(param), "mitigations=%s", word);
	CHECK_EQ(module_load(MODULE_FILE, param), -EOPNOTSUPP);
	CHECK_EQ(module_load(MODULE_FILE, ""), 0);
	return false;
}

static void ibrs(void)
{
	struct costs costs;

	if (!cpu_can("ibrs"))
		return;
	costs = with("ibrs", "gprs,rsb,ibrs");
	CHECK_EQ(costs.hypercall.of[SPEC_CTRLS], 2);
	CHECK_EQ(costs.cpuid.of[SPEC_CTRLS], 2);
	CHECK_EQ(costs.fault.of[SPEC_CTRLS], 2);
}

/* ---- barriers between processes ---- */

#define TURNS 50

struct table {
	int ball[2][2];		/* pipes */
	uint64_t barriers;	/* on CPU 0, while they played */
};

static struct table *table;	/* shared */

/* In Dune mode. */
static void play(int player)
{
	uint64_t before;
	char ball = 0;

	pin_to(0);
	before = emucount_read(0, EMU_IBPB);
	for (int i = 0; i < TURNS; i++) {
		if (player == 0)
			CHECK_EQ(write(table->ball[1][1], &ball, 1), 1);
		CHECK_EQ(read(table->ball[player][0], &ball, 1), 1);
		if (player == 1)
			CHECK_EQ(write(table->ball[0][1], &ball, 1), 1);
	}
	if (player == 0)
		table->barriers = emucount_read(0, EMU_IBPB) - before;
}

static void play_alone(int player)
{
	mode_enter();
	play(player);
	mode_exit();
}

static void play_thread(int index, void *unused)
{
	play(index);
}

static void two_threads(void *unused)
{
	run_threads(2, play_thread, NULL);
}

static void two_processes(void *unused)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		child_init();
		play_alone(1);
		_exit(check_failures != 0);
	}
	REQUIRE(pid > 0);
	play_alone(0);
	REQUIRE(waitpid(pid, &status, 0) == pid);
	CHECK_EQ(status, 0);
}

static void ibpb(void)
{
	if (!cpu_can("ibpb"))
		return;
	CHECK_EQ(load("ibpb"), 0);
	check_param("ibpb");
	CHECK(pipe(table->ball[0]) == 0 && pipe(table->ball[1]) == 0);
	CHECK_EQ(run_child(60, two_processes, NULL), 0);
	printf("%lu barriers between two processes", table->barriers);
	CHECK(table->barriers >= 2 * TURNS - 2);
	CHECK_EQ(run_child(60, two_threads, NULL), 0);
	printf(", %lu between threads of one, %d turns\n", table->barriers, TURNS);
	CHECK(table->barriers <= 4);
}

static void refused(void)
{
	unload();
	CHECK_EQ(module_load(MODULE_FILE, "mitigations=rsb,nonsense"), -EINVAL);
	CHECK_EQ(module_load(MODULE_FILE, "mitigations="), -EINVAL);
	CHECK_EQ(module_load(MODULE_FILE, "mitigations=off,rsb"), -EINVAL);
	CHECK_EQ(module_load(MODULE_FILE, ""), 0);
}

int main(int argc, char **argv)
{
	test_start_raw(argc, argv, (struct test_opts){ 0 });
	if (opt.native)
		SKIP("there is no native twin");
	if (geteuid() != 0 || access(MODULE_FILE, R_OK))
		SKIP("needs root and " MODULE_FILE);
	if (!emucount_available())
		SKIP("only the project's emulator counts instructions");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	table = mmap(NULL, sizeof(*table), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(shared != MAP_FAILED && table != MAP_FAILED);
	test_part("registers", registers);
	if (!gprs.hypercall.of[INSNS])
		gprs = with("gprs", "gprs");
	test_part("verw", verw);
	test_part("rsb", rsb);
	test_part("bhb", bhb);
	test_part("l1d", l1d);
	test_part("together", together);
	test_part("ibrs", ibrs);
	test_part("ibpb", ibpb);
	test_part("refused", refused);
	unload();
	CHECK_EQ(module_load(MODULE_FILE, ""), 0);
	return test_end();
}
