// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Suspend and resume while threads in Dune mode work: they go on afterwards as
 * if nothing had been, and VMX is on again exactly while a vm lives. "deep" is
 * suspend to RAM, which takes the power off the CPUs, VMX operation and all;
 * pm_test goes the way there in steps, on kernels that have it.
 */
#include "test.h"
#include "kvmguest.h"
#include "machine.h"
#include "workers.h"

#include <string.h>

#define STATE "/sys/power/state"
#define DEEP "/sys/power/mem_sleep"
#define PM_TEST "/sys/power/pm_test"
#define PM_TEST_DELAY "/sys/module/suspend/parameters/pm_test_delay"
#define STATS "/sys/power/suspend_stats/success"

static int vmxe_with_vm(void)
{
	return opt.native ? 0 : nr_cpus();
}

/* Asleep and awake again; the kernel has counted one more success. */
static void sleep_once(const char *state, const char *what)
{
	long before = read_number(STATS);
	int err = write_text(STATE, state);

	if (!CHECK_EQ(err, 0))
		printf("%s: %s\n", what, strerror(-err));
	if (before >= 0)
		CHECK_EQ(read_number(STATS), before + 1);
	CHECK_EQ(nr_cpus(), nr_present_cpus());
}

static void deep_cycles(void *unused)
{
	workers_start();
	for (long i = 0; i < opt.rounds; i++) {
		sleep_once("mem", "suspend to RAM");
		check_vmxe(vmxe_with_vm(), "with a vm, after suspend to RAM");
		workers_progress("suspend to RAM");
	}
	workers_stop();
}

/* A CPU that was offline all the time finds VMX in order when it comes. */
static void deep_with_cpu_less(void *unused)
{
	workers_start();
	CHECK_EQ(cpu_offline(1), 0);
	CHECK_EQ(write_text(STATE, "mem"), 0);
	check_vmxe(opt.native ? 0 : nr_present_cpus() - 1, "with a CPU less");
	CHECK_EQ(cpu_online(1), 0);
	check_vmxe(vmxe_with_vm(), "with a CPU more");
	workers_progress("suspend to RAM with a CPU less");
	workers_stop();
}

static void in_child(void (*fn)(void *))
{
	CHECK_EQ(run_child(120, fn, NULL), 0);
	all_cpus_online();
	check_vmxe(0, "without a vm");
}

static void deep(void)
{
	in_child(deep_cycles);
}

static void deep_cpu_less(void)
{
	if (nr_present_cpus() > 1)
		in_child(deep_with_cpu_less);
}

static void work(void *unused)
{
	workers_start();
	workers_progress("nothing");
	workers_stop();
}

/* No vm: VMX stays off, and a vm after it finds everything in order. */
static void deep_idle(void)
{
	sleep_once("mem", "suspend to RAM");
	check_vmxe(0, "after suspend to RAM without a vm");
	in_child(work);
}

static void deep_beside_kvm(void)
{
	if (!kvm_load_idle()) {
		printf("no kvm_intel here\n");
		return;
	}
	in_child(deep_cycles);
	CHECK_EQ(kvm_guest(), 0);
	check_vmxe(0, "after the KVM guest");
	kvm_unload();
}

static const struct {
	const char *level, *state;
} steps[] = {
	{ "freezer", "mem" }, { "devices", "mem" }, { "platform", "mem" },
	{ "processors", "mem" }, { "core", "mem" },
	/* Suspend to idle keeps all CPUs, and VMX, on. */
	{ "freezer", "freeze" }, { "devices", "freeze" },
	{ "platform", "freeze" },
};

static void pm_test_steps(void *unused)
{
	char what[64];

	workers_start();
	for (unsigned int i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		snprintf(what, sizeof(what), "pm_test %s, %s", steps[i].level,
			 steps[i].state);
		CHECK_EQ(write_text(PM_TEST, steps[i].level), 0);
		sleep_once(steps[i].state, what);
		check_vmxe(vmxe_with_vm(), what);
		workers_progress(what);
	}
	workers_stop();
}

static void pm_test(void)
{
	if (access(PM_TEST, F_OK)) {
		if (opt.only)
			SKIP("this kernel has no pm_test (CONFIG_PM_DEBUG)");
		return;
	}
	CHECK_EQ(write_text(PM_TEST_DELAY, "0"), 0);
	in_child(pm_test_steps);
	CHECK_EQ(write_text(PM_TEST, "none"), 0);
}

int main(int argc, char **argv)
{
	char text[64];

	test_start_raw(argc, argv, (struct test_opts){
		.threads = 2 * WORKERS_JOBS, .rounds = 4 });
	if (geteuid() != 0)
		SKIP("must be root");
	check_vmxe(0, "before");
	test_part("pm_test", pm_test);
	if (!read_text(DEEP, text, sizeof(text)) || !strstr(text, "[deep]")) {
		printf("no suspend to RAM on this machine: %s\n", text);
		return test_end();
	}
	test_part("deep", deep);
	test_part("deep_cpu_less", deep_cpu_less);
	test_part("deep_idle", deep_idle);
	if (!opt.native)
		test_part("deep_beside_kvm", deep_beside_kvm);
	return test_end();
}
