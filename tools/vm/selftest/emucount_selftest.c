/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The emulator's counters, seen from a program: exact repeats, privileged
 * events of system calls, other CPUs. "not here" (status 77) on other machines.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../emucount.h"

static int failed;

static void check(int ok, const char *what)
{
	printf("%s %s\n", ok ? "PASS" : "FAIL", what);
	failed |= !ok;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* Instructions of n loop iterations (2 each), measured on this CPU; the smallest of some tries. */
static unsigned long long loop_cost(unsigned long n)
{
	unsigned long long best = ~0ull, a, b;
	unsigned long k;
	int i;

	for (i = 0; i < 20; i++) {
		k = n;
		a = emucount_read(EMUCOUNT_SELF, EMU_INSN);
		__asm__ volatile("1: dec %0\n\tjnz 1b" : "+r"(k) : : "cc");
		b = emucount_read(EMUCOUNT_SELF, EMU_INSN);
		if (b - a < best)
			best = b - a;
	}
	return best;
}

int main(void)
{
	static struct emucount_snapshot a, b;
	unsigned long long x, y;
	unsigned int cpu, ncpus;
	char *page;
	int i;

	if (!emucount_available()) {
		printf("SKIP not the project's emulator build\n");
		return 77;
	}
	ncpus = emucount_nr_cpus();
	check(ncpus == (unsigned int)sysconf(_SC_NPROCESSORS_ONLN), "number of CPUs");
	pin(0);
	check(loop_cost(2000) - loop_cost(1000) == 2000, "1000 more iterations are 2000 more instructions");

	emucount_snapshot(0, &a);
	for (i = 0; i < 100; i++)
		__asm__ volatile("cpuid" : : "a"(0), "c"(0) : "ebx", "edx", "memory");
	emucount_snapshot(0, &b);
	emucount_diff(&b, &a, &b);
	check(b.v[EMU_CPUID] == 100, "100 cpuid");
	check(b.v[EMU_INSN] > 0, "instructions advance");

	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	emucount_snapshot(0, &a);
	for (i = 0; i < 10; i++) {
		page[0] = 1;
		madvise(page, 4096, MADV_DONTNEED);
	}
	emucount_snapshot(0, &b);
	emucount_diff(&b, &a, &b);
	check(b.v[EMU_EXCEPTION] >= 10, "10 page faults are at least 10 exceptions");
	check(b.v[EMU_INVLPG] + b.v[EMU_MOV_CR3] + b.v[EMU_INVPCID] >= 10, "10 flushes");

	x = y = 0;
	for (cpu = 0; cpu < ncpus; cpu++)
		x += emucount_read(cpu, EMU_EXTINT);
	usleep(50000);
	for (cpu = 0; cpu < ncpus; cpu++)
		y += emucount_read(cpu, EMU_EXTINT);
	check(y > x, "timer interrupts are counted");

	if (ncpus > 1) {
		pin(1);
		x = emucount_read(1, EMU_INSN);
		y = emucount_read(EMUCOUNT_SELF, EMU_INSN);
		check(y > x && y - x < 100, "CPU 1 by number and as self agree");
		x = emucount_read(0, EMU_IPI) + emucount_read(1, EMU_IPI);
		for (i = 0; i < 10; i++)
			pin(i & 1);
		y = emucount_read(0, EMU_IPI) + emucount_read(1, EMU_IPI);
		check(y > x, "migrating a thread sends IPIs");
	}
	emucount_snapshot(0, &a);
	printf("CPU 0 since power-on:\n");
	emucount_print(stdout, &a);
	return failed;
}
