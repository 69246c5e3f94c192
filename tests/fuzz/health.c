// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The oracle: is the machine as well as before the first case? The kernel log
 * has no report, the kernel is not tainted, no vm or vCPU is left behind, the
 * parent's own vm runs, and so does one in a fresh process.
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>

#include "kernel_reports.h"
#include "machine.h"
#include "test.h"

int health_vm_fd, health_vcpu_fd;
static struct rawvm vm;
static struct rawvcpu vcpu;
static int kmsg = -1, stat_fd = -1;
static long taint;
static volatile int count;

struct reply {
	struct dune_stat_header header;
	uint64_t vcpu[DUNE_NR_VCPU_COUNTERS], vm[DUNE_NR_VM_COUNTERS];
};

static bool sick(const char *what, long long value)
{
	printf("health: FAILED: %s (%lld)\n", what, value);
	return false;
}

static void guest_code(void *arg)
{
	*(volatile int *)arg += 1;
	raw_vmcall(DUNE_HC_EXIT, 0);
}

static bool runs(struct rawvm *v, struct rawvcpu *c)
{
	int before = count;

	rawvcpu_start(v, c, guest_code, (void *)&count);
	return rawvcpu_run(c, 0, 10000) == DUNE_EXIT_HYPERCALL &&
	       count == before + 1;
}

static void in_fresh_process(void *arg)
{
	struct rawvcpu c;
	struct rawvm v;

	rawvm_create(&v);
	rawvcpu_create(&v, &c);
	_exit(runs(&v, &c) ? 0 : 1);
}

static void with_libdune(void *arg)
{
	if (dune_init() || dune_enter() || getppid() <= 0 || !dune_inside() ||
	    dune_exit())
		_exit(1);
	_exit(0);
}

static bool child_is_well(void (*fn)(void *arg))
{
	return run_child(60, fn, NULL) == 0;
}

static bool log_is_clean(void)
{
	static char record[8192];
	bool clean = true;
	ssize_t n;

	while ((n = read(kmsg, record, sizeof(record) - 1)) > 0 ||
	       (n < 0 && errno == EPIPE)) {
		char *text;

		if (n < 0)
			continue;	/* the ring overran us: messages are lost */
		record[n] = '\0';
		text = strchr(record, ';');
		text = text ? text + 1 : record;
		text[strcspn(text, "\n")] = '\0';
		if (!kernel_is_report(text))
			continue;
		printf("kernel: FAILED: %s\n", text);
		clean = false;
	}
	return clean;
}

static bool read_stats(struct reply *r)
{
	return read(stat_fd, r, sizeof(*r)) == (ssize_t)sizeof(*r);
}

/* All that is left is the parent's own vm and vCPU. */
static bool all_is_gone(void)
{
	uint64_t end = deadline(10);
	struct reply r;

	do {
		if (!read_stats(&r))
			return sick("the stat fd cannot be read", errno);
		if (r.header.nr_vms == 1 && r.header.nr_vcpus == 1 &&
		    r.vm[DUNE_VM_vcpus] == 1)
			return true;
		usleep(1000);
	} while (now_ns() < end);
	sick("vms alive", r.header.nr_vms);
	sick("vCPU objects", r.header.nr_vcpus);
	return sick("vCPUs alive", r.vm[DUNE_VM_vcpus]);
}

void health_start(void)
{
	struct dune_stat_open req = { .scope = DUNE_STAT_USER };

	opt.native = true;	/* run_child() leaves dune_init() to the child */
	rawvm_create(&vm);
	rawvcpu_create(&vm, &vcpu);
	health_vm_fd = vm.fd;
	health_vcpu_fd = vcpu.fd;
	stat_fd = ioctl(vm.fd, DUNE_STAT_OPEN, &req);
	REQUIRE(stat_fd >= 0);
	kmsg = kernel_log_open();
	REQUIRE(kmsg >= 0);
	taint = read_number("/proc/sys/kernel/tainted");
	REQUIRE(runs(&vm, &vcpu));
	REQUIRE(all_is_gone());
}

bool health_check(void)
{
	long now = read_number("/proc/sys/kernel/tainted");

	if (!log_is_clean())
		return false;
	if (now != taint)
		return sick("the kernel is tainted", now);
	if (!all_is_gone())
		return false;
	if (!runs(&vm, &vcpu))
		return sick("the parent's vm does not run", 0);
	if (!child_is_well(in_fresh_process))
		return sick("a vm in a fresh process does not run", 0);
	return all_is_gone();
}

bool health_check_all(void)
{
	if (!health_check())
		return false;
	if (!child_is_well(with_libdune))
		return sick("libdune in a fresh process does not work", 0);
	return all_is_gone();
}
