// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * CPUs go offline and come back while threads in Dune mode work on them.
 * Nothing may be lost, everybody goes on elsewhere, and a CPU that came back
 * takes vCPUs again; with a kvm_intel loaded too. VMX is on exactly where a CPU
 * is online and a vm lives.
 */
#include "test.h"
#include "kvmguest.h"
#include "machine.h"
#include "workers.h"

#include <sched.h>
#include <sys/mman.h>

static int some_cpu(uint64_t *seed)
{
	return 1 + rnd(seed) % (nr_present_cpus() - 1);
}

static void storm(void *unused)
{
	uint64_t seed = opt.seed;
	long offline = 0, online = 0;

	workers_start();
	for (long round = 0; round < opt.rounds; round++) {
		int cpu = some_cpu(&seed);

		CHECK_EQ(cpu_offline(cpu), 0);
		offline++;
		/* Another one, or the same back, before anybody rests. */
		if (rnd(&seed) % 2)
			workers_progress("an offlining");
		for (int c = 1; c < nr_present_cpus(); c++)
			if (!cpu_is_online(c) && rnd(&seed) % 4) {
				CHECK_EQ(cpu_online(c), 0);
				online++;
			}
		workers_progress("an onlining");
		if (!opt.native && round % 4 == 0)
			check_vmxe(nr_cpus(), "with a vm");
	}
	workers_stop();
	all_cpus_online();
	printf("%ld times offline, %ld times online, %d CPUs\n", offline,
	       online, nr_present_cpus());
}

static volatile int arrived;

static void stay(int cpu, void *unused)
{
	uint64_t entries = vcpu_stat(DUNE_VCPU_entries);

	pin_to(cpu);
	for (int i = 0; i < 20; i++) {
		char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		REQUIRE(p != MAP_FAILED);
		*p = i;
		CHECK_EQ(sched_getcpu(), cpu);
		munmap(p, 4096);
	}
	CHECK(opt.native || vcpu_stat(DUNE_VCPU_entries) > entries);
	__atomic_add_fetch(&arrived, 1, __ATOMIC_RELAXED);
}

/* Every CPU has been away by now, or goes away first; all take vCPUs. */
static void comes_back(void *unused)
{
	for (int cpu = 1; cpu < nr_present_cpus(); cpu++)
		CHECK_EQ(cpu_offline(cpu), 0);
	if (!opt.native)
		check_vmxe(1, "with one CPU");
	for (int cpu = 1; cpu < nr_present_cpus(); cpu++)
		CHECK_EQ(cpu_online(cpu), 0);
	run_threads(nr_cpus(), stay, NULL);
	CHECK_EQ(arrived, nr_cpus());
}

/* The vCPU last ran on a CPU that is gone when it is used, or given up. */
static void left_behind(void *unused)
{
	char *p;

	mode_enter();
	for (int i = 0; i < 6; i++) {
		pin_to(1);
		CHECK_EQ(sched_getcpu(), 1);
		mode_exit();
		pin_to(0);
		CHECK_EQ(cpu_offline(1), 0);
		if (i % 2)
			CHECK_EQ(cpu_online(1), 0);
		mode_enter();
		p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		REQUIRE(p != MAP_FAILED);
		*p = 1;
		munmap(p, 4096);
		if (!cpu_is_online(1))
			CHECK_EQ(cpu_online(1), 0);
	}
	pin_to(1);
	mode_exit();
	pin_to(0);
	CHECK_EQ(cpu_offline(1), 0);
	/* The vm is given up by the end of this process, CPU 1 being away. */
}

static void in_child(void (*fn)(void *))
{
	CHECK_EQ(run_child(120, fn, NULL), 0);
	all_cpus_online();
	check_vmxe(0, "without a vm");
}

static void part_storm(void) { in_child(storm); }
static void part_comes_back(void) { in_child(comes_back); }
static void part_left_behind(void) { in_child(left_behind); }

/* The storm again, with an idle kvm_intel that hears of each CPU too. */
static void beside_kvm(void)
{
	if (!kvm_load_idle()) {
		printf("no kvm_intel here\n");
		return;
	}
	CHECK_EQ(kvm_guest(), 0);
	in_child(storm);
	CHECK_EQ(kvm_guest(), 0);
	check_vmxe(0, "after the KVM guest");
	kvm_unload();
}

int main(int argc, char **argv)
{
	test_start_raw(argc, argv, (struct test_opts){
		.threads = 2 * WORKERS_JOBS, .rounds = 12 });
	if (nr_present_cpus() < 2)
		SKIP("needs 2 CPUs");
	if (cpu_online(1) == -EACCES || geteuid() != 0)
		SKIP("must be root");
	all_cpus_online();
	check_vmxe(0, "before");
	test_part("storm", part_storm);
	test_part("comes_back", part_comes_back);
	test_part("left_behind", part_left_behind);
	if (!opt.native)
		test_part("beside_kvm", beside_kvm);
	return test_end();
}
