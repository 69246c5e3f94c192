// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "meter.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/sysinfo.h>
#include <time.h>

#include "emucount.h"

static unsigned int counted_cpus;

void meter_init(void)
{
	if (emucount_available())
		counted_cpus = get_nprocs();
}

struct meter meter_read(void)
{
	struct meter m = { 0 };
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	m.ns = now.tv_sec * 1000000000ull + now.tv_nsec;
	for (unsigned int cpu = 0; cpu < counted_cpus; cpu++)
		m.instructions += emucount_read(cpu, EMU_INSN);
	return m;
}

struct meter meter_since(const struct meter *start)
{
	struct meter m = meter_read();

	m.instructions -= start->instructions;
	m.ns -= start->ns;
	return m;
}

void meter_print(const char *label, const struct meter *took, uint64_t units, const char *unit)
{
	if (!units)
		units = 1;
	if (took->instructions)
		fprintf(stderr, "  %-22s %" PRIu64 " instructions, %" PRIu64 " per %s\n", label,
			took->instructions, took->instructions / units, unit);
	else
		fprintf(stderr, "  %-22s %" PRIu64 " us, %" PRIu64 " ns per %s\n", label,
			took->ns / 1000, took->ns / units, unit);
}
