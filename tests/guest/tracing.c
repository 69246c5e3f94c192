// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The module's tracepoints: as many events as the counters say, with the right
 * fields, read from tracefs and by trace-cmd.
 */
#include "test.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define PAGE 4096ul
#define NR_PAGES 16
#define TRACEFS "/sys/kernel/tracing/"

static char *trace;		/* the last recording, as text */
static uint64_t vcpu_before[DUNE_NR_VCPU_COUNTERS];
static uint64_t vm_before[DUNE_NR_VM_COUNTERS];

static void put(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY | O_TRUNC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		FAIL("%s: cannot write '%s': %m", file, text);
	if (fd >= 0)
		close(fd);
}

static void read_trace(void)
{
	size_t size = 64 << 20, len = 0;
	int fd = open(TRACEFS "trace", O_RDONLY);
	ssize_t n;

	if (!trace)
		trace = mmap(NULL, size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	REQUIRE(fd >= 0 && trace != MAP_FAILED);
	while ((n = read(fd, trace + len, size - 1 - len)) > 0)
		len += n;
	trace[len] = '\0';
	close(fd);
	/* All in the buffer: else the counts below would mean nothing. */
	CHECK(!strstr(trace, "LOST"));
}

/* What the counters say happened since record_start(); this thread's own. */
static uint64_t counted(enum dune_vcpu_counter c)
{
	return vcpu_stat(c) - vcpu_before[c];
}

static uint64_t counted_vm(enum dune_vm_counter c)
{
	return vm_stat(c) - vm_before[c];
}

/* Lines of the recording that hold all of the (at most 3) strings. */
static long lines(const char *a, const char *b, const char *c)
{
	long n = 0;

	for (char *line = trace; *line; ) {
		char *end = strchrnul(line, '\n');
		char old = *end;

		*end = '\0';
		n += line[0] != '#' && strstr(line, a) && (!b || strstr(line, b)) &&
		     (!c || strstr(line, c));
		*end = old;
		line = end + (old != '\0');
	}
	return n;
}

static const char *field(const char *fmt, ...)
{
	static char text[4][64];
	static int i;
	va_list ap;

	i = (i + 1) % 4;
	va_start(ap, fmt);
	vsnprintf(text[i], sizeof(text[i]), fmt, ap);
	va_end(ap);
	return text[i];
}

static void record_start(void)
{
	struct dune_stats stats;

	put(TRACEFS "buffer_size_kb", "4096");
	put(TRACEFS "trace", "\n");
	put(TRACEFS "events/dune/enable", "1");
	REQUIRE(dune_stats(&stats) == 0);
	memcpy(vcpu_before, stats.vcpu, sizeof(vcpu_before));
	memcpy(vm_before, stats.vm, sizeof(vm_before));
	put(TRACEFS "tracing_on", "1");
}

static void record_stop(void)
{
	put(TRACEFS "tracing_on", "0");
	put(TRACEFS "events/dune/enable", "0");
	read_trace();
}

static void exits(void)
{
	unsigned int a, c, d, b;

	mode_enter();
	mode_exit();
	record_start();
	mode_enter();
	for (int i = 0; i < 50; i++) {
		uint64_t nr = DUNE_HC_NOP;

		asm volatile("vmcall" : "+a" (nr) : "D" (0) : "rcx", "r11", "memory");
	}
	for (int i = 0; i < 20; i++)
		asm volatile("cpuid" : "=a" (a), "=b" (b), "=c" (c), "=d" (d)
			     : "0" (0), "2" (0));
	mode_exit();
	record_stop();

	printf("    %ld entries, %ld exits\n", lines("dune_entry:", NULL, NULL),
	       lines("dune_exit:", NULL, NULL));
	CHECK_IN(counted(DUNE_VCPU_entries), 71, 10000);
	CHECK_EQ(lines("dune_entry:", NULL, NULL), counted(DUNE_VCPU_entries));
	CHECK_EQ(lines("dune_exit:", NULL, NULL), counted(DUNE_VCPU_entries));
	CHECK_EQ(lines("dune_exit:", "kind=CPUID ", "hw_reason=0xa "),
		 counted(DUNE_VCPU_cpuid));
	CHECK_EQ(lines("dune_exit:", "kind=HYPERCALL ", "hw_reason=0x12 "),
		 counted(DUNE_VCPU_hypercalls) + counted(DUNE_VCPU_syscalls));
	CHECK_EQ(lines("dune_exit:", "kind=EPT_VIOLATION ", NULL),
		 counted(DUNE_VCPU_ept_faults));
	CHECK_EQ(lines("dune_exit:", "kind=INTERRUPT ", "hw_reason=0x1 "),
		 counted(DUNE_VCPU_interrupts));
	/* The guest stands at this function's code when CPUID exits. */
	CHECK_EQ(lines("dune_exit:", "kind=CPUID ",
		       field("rip=%#lx", (long)exits >> 12)) +
		 lines("dune_exit:", "kind=CPUID ",
		       field("rip=%#lx", ((long)exits >> 12) + 1)), 20);
	CHECK_EQ(lines("dune_exit:", "rip=0x0", NULL), 0);
}

static void faults(void)
{
	char *area = mmap(NULL, NR_PAGES * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(area != MAP_FAILED);
	madvise(area, NR_PAGES * PAGE, MADV_NOHUGEPAGE);
	record_start();
	mode_enter();
	for (int i = 0; i < NR_PAGES; i++)
		((volatile char *)area)[i * PAGE] = 1;
	CHECK_EQ(madvise(area, NR_PAGES * PAGE, MADV_DONTNEED), 0);
	CHECK_EQ(munmap(area, NR_PAGES * PAGE), 0);
	mode_exit();
	record_stop();

	CHECK_EQ(lines("dune_fault:", NULL, NULL), counted(DUNE_VCPU_ept_faults));
	CHECK_EQ(lines("dune_fault:", "result=spurious", NULL),
		 counted(DUNE_VCPU_ept_spurious));
	for (int i = 0; i < NR_PAGES; i++)
		CHECK_EQ(lines("dune_fault:",
			       field("hva=%#lx access=read|write level=1 result=installed",
				     (long)area + i * PAGE), NULL) +
			 lines("dune_fault:",
			       field("hva=%#lx access=write level=1 result=installed",
				     (long)area + i * PAGE), NULL), 1);
	printf("    %ld faults, %ld shootdowns\n", lines("dune_fault:", NULL, NULL),
	       lines("dune_shootdown:", NULL, NULL));
	CHECK_IN(lines("dune_shootdown:", NULL, NULL), 1, 1000);
	CHECK_EQ(lines("dune_shootdown:", "how=now", NULL),
		 counted_vm(DUNE_VM_flushes));
	CHECK_EQ(lines("dune_shootdown:", "how=deferred", NULL),
		 counted_vm(DUNE_VM_deferred));
	CHECK_IN(lines("dune_shootdown:", field("vm=%d ", getpid()),
		       field("start=%#lx end=%#lx ", (long)area,
			     (long)area + NR_PAGES * PAGE)), 1, 2);
}

static void moves(void)
{
	record_start();
	mode_enter();
	for (int i = 0; i < 10; i++)
		pin_to(i & 1);
	mode_exit();
	record_stop();
	CHECK_IN(counted(DUNE_VCPU_migrated), 9, 100);
	CHECK_EQ(lines("dune_migrate:", NULL, NULL), counted(DUNE_VCPU_migrated));
	CHECK_IN(lines("[001]", "dune_migrate:", "from=0 to=1"), 4, 50);
	CHECK_IN(lines("[000]", "dune_migrate:", "from=1 to=0"), 4, 50);
}

static void fast_calls(void)
{
	long parent = getppid();

	record_start();
	mode_enter();
	for (int i = 0; i < 10; i++)
		CHECK_EQ(syscall(SYS_getppid), parent);
	mode_exit();
	record_stop();
	CHECK_EQ(lines("dune_syscall_fast:", NULL, NULL),
		 counted(DUNE_VCPU_fast_syscalls));
	if (counted(DUNE_VCPU_fast_syscalls))
		CHECK_EQ(lines("dune_syscall_fast:",
			       field("nr=%d ret=%ld", SYS_getppid, parent), NULL), 10);
}

/* Requests that a vCPU makes of itself, and kicks that find nobody. */
static void requests(void)
{
	struct dune_kick kick = { { ~0ull } };
	struct dune_vcpu_page *page;
	uint32_t vector;
	uint64_t nr;

	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, dune_vcpu_fd(), 0);
	REQUIRE(page != MAP_FAILED);
	record_start();
	mode_enter();
	vector = page->notify_vector;
	page->notify_vector = 2;	/* not one for interrupts */
	for (int i = 0; i < 10; i++) {
		__atomic_fetch_or(&page->requests, DUNE_REQ_FLUSH | DUNE_REQ_IRQ,
				  __ATOMIC_SEQ_CST);
		nr = DUNE_HC_KICK;
		asm volatile("vmcall" : "+a" (nr) : "D" (&kick) : "rcx", "r11", "memory");
		CHECK_EQ(nr, 0);
	}
	page->notify_vector = vector;
	mode_exit();
	record_stop();
	CHECK_EQ(counted(DUNE_VCPU_kick_calls), 10);
	CHECK_EQ(counted(DUNE_VCPU_guest_flushes), 10);
	CHECK_EQ(lines("dune_kick:", "kicks=0", field("vm=%d ", getpid())), 10);
	CHECK_EQ(lines("dune_guest_flush:", field("id=%u", page->id), NULL), 10);
	CHECK_EQ(lines("dune_irq:", "vector=0x2 ", "how=ignored"), 10);
	CHECK_EQ(lines("dune_irq:", NULL, NULL), 10);
	munmap(page, 4096);
}

static void switched_off(void)
{
	put(TRACEFS "trace", "\n");
	put(TRACEFS "tracing_on", "1");
	mode_enter();
	mode_exit();
	put(TRACEFS "tracing_on", "0");
	read_trace();
	CHECK_EQ(lines("dune_", NULL, NULL), 0);
}

/* Its output replaces the recording; its exit status. */
static int trace_cmd(const char *args)
{
	char line[256];
	size_t len = 0;
	FILE *f;

	snprintf(line, sizeof(line), "trace-cmd %s 2>/dev/null", args);
	f = popen(line, "r");
	REQUIRE(f);
	len = fread(trace, 1, (64 << 20) - 1, f);
	trace[len] = '\0';
	return pclose(f);
}

static void user_tools(void)
{
	if (system("trace-cmd --version >/dev/null 2>&1") == 127 << 8) {
		printf("    no trace-cmd here\n");
		return;
	}
	CHECK_EQ(trace_cmd("list -e dune"), 0);
	CHECK_EQ(lines("dune:dune_entry", NULL, NULL), 1);
	CHECK_EQ(lines("dune:dune_shootdown", NULL, NULL), 1);

	CHECK_EQ(trace_cmd("record -q -e dune -o /tmp/trace.dat "
			   "build/tests/guest/tracing --only workload"), 0);
	CHECK_EQ(trace_cmd("report -i /tmp/trace.dat"), 0);
	printf("    trace-cmd: %ld events\n", lines("dune_", NULL, NULL));
	CHECK_IN(lines("dune_exit:", "kind=CPUID ", NULL), 30, 1000);
	CHECK_EQ(lines("dune_entry:", NULL, NULL), lines("dune_exit:", NULL, NULL));
	CHECK_IN(lines("dune_fault:", "access=", "result=installed"), 1, 10000);
	CHECK_EQ(lines("FAILED TO PARSE", NULL, NULL), 0);
	unlink("/tmp/trace.dat");
}

/* For user_tools(), in a process of its own. */
static void workload(void)
{
	unsigned int a, b, c, d;

	mode_enter();
	for (int i = 0; i < 30; i++)
		asm volatile("cpuid" : "=a" (a), "=b" (b), "=c" (c), "=d" (d)
			     : "0" (0), "2" (0));
	mode_exit();
}

int main(int argc, char **argv)
{
	test_start(argc, argv, (struct test_opts){ 0 });
	if (opt.native)
		SKIP("nothing to trace in plain Linux mode");
	if (opt.only && !strcmp(opt.only, "workload")) {
		workload();
		return test_end();
	}
	if (access(TRACEFS "events/dune", F_OK) &&
	    mount("tracefs", TRACEFS, "tracefs", 0, NULL))
		SKIP("no tracefs: %m");
	put(TRACEFS "tracing_on", "0");
	test_part("exits", exits);
	test_part("faults", faults);
	if (nr_cpus() > 1)
		test_part("moves", moves);
	test_part("fast_calls", fast_calls);
	test_part("requests", requests);
	test_part("switched_off", switched_off);
	test_part("user_tools", user_tools);
	return test_end();
}
