// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The module's own count of VMREADs and VMWRITEs by exit (DEBUG_VMCS=1) is the
 * emulator's. Brings the counting module in place of the other one, unless it
 * is loaded already.
 */
#include "test.h"
#include "machine.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "emucount.h"

#define COUNTS "/sys/kernel/debug/dune/vmcs"
#define MODULE_FILE "/lib/dune/dune.ko"
#define PAGE 4096ul
#define NR_REASONS 80		/* rows of exit reasons; behind them: others */
#define NR_ROWS 82
#define BURST 1000
#define WARM_UP 10		/* calls until re-issue has its short way */

/* What any of these exits may cost. */
#define READS_MAX 2
#define WRITES_MAX 1

enum { CPUID = 10, VMCALL = 18, RDMSR = 31 };

struct row {
	unsigned long long exits, reads, writes;
};

struct counts {
	struct row row[NR_ROWS];
	struct row module;		/* sums */
	unsigned long long emu[EMU_NR];	/* of all CPUs */
};

/* Nobody is in Dune mode or on the way. */
static void counts_now(struct counts *c)
{
	char line[128], name[64];
	unsigned int row;
	struct row r;
	FILE *f = fopen(COUNTS, "r");

	REQUIRE(f);
	memset(c, 0, sizeof(*c));
	REQUIRE(fgets(line, sizeof(line), f) && line[0] == '#');
	while (fgets(line, sizeof(line), f)) {
		REQUIRE(sscanf(line, "%u %63s %llu %llu %llu", &row, name,
			       &r.exits, &r.reads, &r.writes) == 5);
		REQUIRE(row < NR_ROWS);
		c->row[row] = r;
		c->module.reads += r.reads;
		c->module.writes += r.writes;
	}
	fclose(f);
	for (unsigned int cpu = 0; cpu < emucount_nr_cpus(); cpu++)
		for (int i = 0; i < EMU_NR; i++)
			if (i < EMU_NR_NAMED || i >= EMU_EXIT_BASE)
				c->emu[i] += emucount_read(cpu, i);
}

static void counts_since(struct counts *c, const struct counts *before)
{
	counts_now(c);
	c->module.reads -= before->module.reads;
	c->module.writes -= before->module.writes;
	for (int i = 0; i < NR_ROWS; i++) {
		c->row[i].exits -= before->row[i].exits;
		c->row[i].reads -= before->row[i].reads;
		c->row[i].writes -= before->row[i].writes;
	}
	for (int i = 0; i < EMU_NR; i++)
		c->emu[i] -= before->emu[i];
}

static void check_equal(const struct counts *c)
{
	CHECK(c->module.reads > 0);
	CHECK_EQ(c->module.reads, c->emu[EMU_VMREAD]);
	CHECK_EQ(c->module.writes, c->emu[EMU_VMWRITE]);
	CHECK_EQ(c->row[NR_ROWS - 1].exits, c->emu[EMU_VMPTRLD]);
	for (int i = 0; i < NR_REASONS; i++)
		if (c->row[i].exits != c->emu[EMU_EXIT(i)])
			FAIL("reason %d: %llu exits, the emulator has %llu", i,
			     c->row[i].exits, c->emu[EMU_EXIT(i)]);
}

/* ---- one kind of exit ---- */

static void op_cpuid(void)
{
	unsigned int a = 0, b, c = 0, d;

	asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
}

static void op_hypercall(void)
{
	unsigned long rax = DUNE_HC_NOP;

	asm volatile("vmcall" : "+a"(rax) : : "memory");
}

static void op_rdmsr(void)
{
	unsigned int lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(0x10));
}

/* By the SYSCALL instruction: made inside the kernel. */
static void op_getppid(void)
{
	syscall(SYS_getppid);
}

/* Not on the list of those: by the thread itself, in user mode. */
static void op_reissued(void)
{
	syscall(SYS_sched_get_priority_max, 0);
}

/* What one costs when no interrupt is near; then BURST of them. */
struct burst {
	void (*op)(void);
	unsigned long long reads, writes;
};

static void burst_body(int index, void *arg)
{
	struct burst *b = arg;

	for (int i = 0; i < WARM_UP; i++)
		b->op();
	for (int quiet = 0; quiet < 3;) {
		unsigned long long irqs = emucount_read(EMUCOUNT_SELF, EMU_EXTINT);

		b->reads = emucount_read(EMUCOUNT_SELF, EMU_VMREAD);
		b->writes = emucount_read(EMUCOUNT_SELF, EMU_VMWRITE);
		b->op();
		b->reads = emucount_read(EMUCOUNT_SELF, EMU_VMREAD) - b->reads;
		b->writes = emucount_read(EMUCOUNT_SELF, EMU_VMWRITE) - b->writes;
		quiet += emucount_read(EMUCOUNT_SELF, EMU_EXTINT) == irqs;
	}
	for (int i = 0; i < BURST; i++)
		b->op();
}

static void one_kind(const char *name, int reason, void (*op)(void))
{
	struct burst b = { .op = op };
	struct counts before, c;
	unsigned long long exits, irqs;

	counts_now(&before);
	run_threads(1, burst_body, &b);
	counts_since(&c, &before);
	check_equal(&c);
	exits = c.row[reason].exits;
	irqs = c.emu[EMU_EXTINT];
	printf("    %s: %llu VMREAD, %llu VMWRITE; %llu exits took %llu and %llu\n",
	       name, b.reads, b.writes, exits, c.row[reason].reads,
	       c.row[reason].writes);
	CHECK(b.reads <= READS_MAX);
	CHECK(b.writes <= WRITES_MAX);
	CHECK(exits >= BURST);
	/*
	 * An exit whose way back an interrupt crosses, or which is an entry's
	 * or a thread's first, does more; and so do other hypercalls.
	 */
	CHECK_IN(c.row[reason].reads, exits * b.reads,
		 exits * b.reads + 12 * (irqs + 5));
	CHECK_IN(c.row[reason].writes, exits * b.writes - (irqs + 5),
		 exits * b.writes + 12 * (irqs + 5));
}

static void kinds(void)
{
	one_kind("CPUID", CPUID, op_cpuid);
	one_kind("hypercall", VMCALL, op_hypercall);
	one_kind("getppid", VMCALL, op_getppid);
	one_kind("re-issued call", VMCALL, op_reissued);
}

/* ---- all there is ---- */

static volatile int caught;

static void on_signal(int sig)
{
	caught++;
}

static void mix_body(int index, void *arg)
{
	size_t size = 64 * PAGE;

	for (int i = 0; i < 20; i++) {
		char *area = mmap(NULL, size, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		CHECK(area != MAP_FAILED);
		for (size_t at = 0; at < size; at += PAGE)
			area[at] = 1;
		CHECK_EQ(munmap(area, size), 0);
		op_cpuid();
		op_hypercall();
		op_rdmsr();
		CHECK(getppid() > 0);
		pin_to((index + i) % nr_cpus());
		CHECK_EQ(raise(SIGUSR1), 0);
		spin(20000);
		mode_exit();
		mode_enter();
	}
}

static void mix(void)
{
	struct counts before, c;

	signal(SIGUSR1, on_signal);
	counts_now(&before);
	run_threads(opt.threads, mix_body, NULL);
	counts_since(&c, &before);
	CHECK_EQ(caught, opt.threads * 20);
	check_equal(&c);
	printf("    %llu VMREAD and %llu VMWRITE in %llu exits\n",
	       c.module.reads, c.module.writes, c.emu[EMU_VMEXIT]);
}

static void all_parts(void *unused)
{
	test_part("kinds", kinds);
	test_part("mix", mix);
}

int main(int argc, char **argv)
{
	bool loaded = access(COUNTS, F_OK) == 0;
	int err;

	test_start_raw(argc, argv, (struct test_opts){ .threads = 3 });
	if (opt.native || !emucount_available())
		SKIP("needs Dune mode and the emulator's counters");
	if (geteuid() != 0 || access(MODULE_FILE, R_OK))
		SKIP("no " MODULE_FILE);
	if (!loaded) {
		REQUIRE(module_unload("dune") == 0);
		err = module_load_for_test("dune-vmcs");
		if (err == -ENOENT) {
			REQUIRE(module_load(MODULE_FILE, "") == 0);
			SKIP("no counting module: make module-vmcs-KERNEL");
		}
		REQUIRE(err == 0);
	}
	CHECK_EQ(run_child(60, all_parts, NULL), 0);
	if (!loaded) {
		uint64_t end = deadline(5);

		/* What a process leaves behind goes a moment after it. */
		while ((err = module_unload("dune")) == -EWOULDBLOCK &&
		       now_ns() < end)
			usleep(1000);
		CHECK_EQ(err, 0);
		CHECK_EQ(module_load(MODULE_FILE, ""), 0);
	}
	return test_end();
}
