// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The vDSO works in Dune mode: time and CPU number are right, and getting them
 * needs no exit where it needs no system call natively.
 */
#include "test.h"

#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

static bool vdso_clock(void)
{
	char name[32] = "";
	FILE *f = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "r");

	if (f) {
		if (!fgets(name, sizeof(name), f))
			name[0] = '\0';
		fclose(f);
	}
	printf("    clocksource %s", name);
	return !strncmp(name, "tsc", 3);
}

static int64_t ns_of(struct timespec ts)
{
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static void clocks(void)
{
	static const clockid_t ids[] = { CLOCK_REALTIME, CLOCK_MONOTONIC,
					 CLOCK_MONOTONIC_COARSE,
					 CLOCK_REALTIME_COARSE,
					 CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME,
					 CLOCK_TAI };
	struct timespec before, in, after, last;
	struct timeval tv;

	for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
		syscall(SYS_clock_gettime, ids[i], &before);
		mode_enter();
		CHECK_EQ(clock_gettime(ids[i], &in), 0);
		for (int k = 0; k < 200; k++) {
			last = in;
			clock_gettime(ids[i], &in);
			if (ns_of(in) < ns_of(last)) {
				FAIL("clock %d went back", ids[i]);
				break;
			}
		}
		mode_exit();
		syscall(SYS_clock_gettime, ids[i], &after);
		CHECK(ns_of(in) >= ns_of(before));
		CHECK(ns_of(in) <= ns_of(after));
	}
	mode_enter();
	CHECK_EQ(gettimeofday(&tv, NULL), 0);
	/* time() reads the coarse clock, which may be a tick behind. */
	CHECK_IN(time(NULL) - tv.tv_sec, -1, 1);
	mode_exit();
	CHECK_IN(time(NULL) - tv.tv_sec, -1, 2);
}

static void without_exits(void)
{
	struct timespec ts;
	uint64_t calls;
	bool exitless = vdso_clock();

	mode_enter();
	clock_gettime(CLOCK_MONOTONIC, &ts);
	calls = vcpu_stat(DUNE_VCPU_syscalls);
	for (int i = 0; i < 1000; i++)
		clock_gettime(CLOCK_MONOTONIC, &ts);
	calls = vcpu_stat(DUNE_VCPU_syscalls) - calls;
	mode_exit();
	printf(", %llu system calls for 1000 clock_gettime()\n",
	       (unsigned long long)calls);
	if (exitless && !opt.native)
		CHECK_IN(calls, 0, 20);
}

static void cpu_number(void)
{
	unsigned int cpu, node, real_cpu, real_node;

	for (int c = 0; c < nr_cpus(); c++) {
		pin_to(c);
		mode_enter();
		CHECK_EQ(syscall(SYS_getcpu, &real_cpu, &real_node, NULL), 0);
		CHECK_EQ(getcpu(&cpu, &node), 0);
		CHECK_EQ(sched_getcpu(), c);
		mode_exit();
		CHECK_EQ(real_cpu, c);
		CHECK_EQ(cpu, c);
		CHECK_EQ(node, real_node);
	}
}

int main(int argc, char **argv)
{
	test_start(argc, argv, (struct test_opts){ 0 });
	test_part("clocks", clocks);
	test_part("without_exits", without_exits);
	test_part("cpu_number", cpu_number);
	return test_end();
}
