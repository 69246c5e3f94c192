// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Limits of scale: many vCPUs in one process, at once and one after the other, many
 * processes, much memory; and what each of them takes. --rounds: lifetimes.
 */
#include "test.h"

#include "scale.h"

/* In a process of its own, whose memory is that of nothing else. */
static void child(void *fn)
{
	((void (*)(void))fn)();
}

static void in_child(void (*fn)(void))
{
	CHECK_EQ(run_child(3000, child, (void *)fn), 0);
}

static void part_cpus(void)
{
	in_child(every_cpu);
}

static void part_vcpus(void)
{
	in_child(vcpus_at_once);
}

static void part_idle(void)
{
	in_child(vcpus_idle);
}

static void part_lifetimes(void)
{
	in_child(vcpu_lifetimes);
}

int main(int argc, char **argv)
{
	test_start_raw(argc, argv, (struct test_opts){ .rounds = 1000 });
	test_part("cpus", part_cpus);
	test_part("vcpus", part_vcpus);
	test_part("idle", part_idle);
	test_part("lifetimes", part_lifetimes);
	test_part("processes", processes_at_once);
	test_part("sparse", sparse_memory);
	if (!opt.native)
		test_part("tables", tables_per_gib);
	return test_end();
}
