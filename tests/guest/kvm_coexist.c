// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * KVM and Dune share the CPUs' VMX operation by turns. Loaded and idle, each
 * leaves the other alone; while one has a vm, the other is refused with EBUSY
 * and works again afterwards. kvm_intel is loaded and unloaded here, with and
 * without a Dune process around.
 */
#include "test.h"
#include "kvmguest.h"
#include "machine.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define IDLE_PARAM "/sys/module/kvm/parameters/enable_virt_at_load"

static bool can_be_greedy;	/* KVM knows to keep VMX on from its loading */

/* Loading takes an emulated machine seconds: it stays from part to part. */
static void load_idle(void)
{
	CHECK(kvm_load_idle());
	can_be_greedy = access(IDLE_PARAM, F_OK) == 0;
}

/* Threads in Dune mode that compute, fault and unmap. */
static void worker(int index, void *unused)
{
	for (int i = 0; i < 20; i++) {
		long *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		REQUIRE(p != MAP_FAILED);
		p[index] = i;
		p[5000 + index] = i;
		CHECK_EQ(p[index] + p[5000 + index], 2 * i);
		munmap(p, 65536);
	}
}

static void dune_works(void *unused)
{
	run_threads(opt.threads, worker, NULL);
}

static void check_dune(void)
{
	CHECK_EQ(run_child(30, dune_works, NULL), 0);
}

/* A device fd with a vm, or -errno. */
static int dune_vm_create(void)
{
	struct dune_create_vm create = { 0 };
	int fd = open(DUNE_DEVICE_PATH, O_RDWR | O_CLOEXEC), err;

	REQUIRE(fd >= 0);
	if (ioctl(fd, DUNE_CREATE_VM, &create) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* 6.1 says EBUSY; 6.12 says EIO, and why in its log. */
static void check_kvm_refused(void)
{
	int vm = kvm_vm_create();

	CHECK(vm == -EBUSY || vm == -EIO);
	if (vm >= 0)
		close(vm);
}

static void close_vm(int fd)
{
	if (CHECK(fd >= 0))
		close(fd);
}

static void idle(void)
{
	load_idle();
	check_vmxe(0, "with both idle");
	CHECK_EQ(kvm_guest(), 0);
	check_vmxe(0, "after the KVM guest");
	check_dune();
	check_vmxe(0, "after Dune");
	CHECK_EQ(kvm_guest(), 0);
	for (int i = 0; i < opt.rounds; i++) {
		CHECK_EQ(kvm_guest(), 0);
		check_dune();
	}
}

static void kvm_first(void)
{
	int log = kernel_log_open(), vm, err;

	load_idle();
	vm = kvm_vm_create();
	REQUIRE(vm >= 0);
	check_vmxe(nr_cpus(), "with a KVM vm");
	CHECK_EQ(dune_vm_create(), -EBUSY);
	CHECK(kernel_log_has(log, "another hypervisor holds VT-x"));
	err = dune_init();
	CHECK_EQ(err, -EBUSY);
	CHECK(strstr(dune_why(), "hypervisor"));
	printf("dune_why(): %s\n", dune_why());
	check_vmxe(nr_cpus(), "after the refusal");
	/* The refusal took nothing from KVM. */
	CHECK_EQ(kvm_vm_run(vm), 0);
	close(vm);
	check_vmxe(0, "after the KVM vm");
	check_dune();
	CHECK_EQ(kvm_guest(), 0);
	close(log);
}

static void dune_first(void)
{
	int vm;

	load_idle();
	vm = dune_vm_create();
	REQUIRE(vm >= 0);
	check_vmxe(nr_cpus(), "with a Dune vm");
	for (int i = 0; i < 3; i++)
		check_kvm_refused();
	check_vmxe(nr_cpus(), "after KVM's refusal");
	check_dune();			/* beside it, another vm */
	close_vm(vm);
	check_vmxe(0, "after the Dune vm");
	CHECK_EQ(kvm_guest(), 0);
	check_dune();
}

/* kvm_intel comes and goes while a vm lives: nothing in the kernel log. */
static void kvm_comes_later(void)
{
	int vm;

	load_idle();
	vm = dune_vm_create();
	REQUIRE(vm >= 0);
	kvm_unload();
	check_dune();
	load_idle();
	check_kvm_refused();
	check_dune();
	close_vm(vm);
	check_vmxe(0, "after the Dune vm");
	CHECK_EQ(kvm_guest(), 0);
	check_dune();
	check_vmxe(0, "at the end");
}

/* From 6.12 on KVM keeps VMX on from its loading, unless told otherwise. */
static void kvm_greedy(void)
{
	int vm, log = kernel_log_open();

	load_idle();
	if (!can_be_greedy) {
		printf("this KVM turns VMX on with its first vm\n");
		return;
	}
	kvm_unload();
	CHECK_EQ(kvm_modprobe("kvm", "enable_virt_at_load=1"), 0);
	CHECK_EQ(kvm_modprobe("kvm_intel", NULL), 0);
	check_vmxe(nr_cpus(), "with an idle KVM");
	CHECK_EQ(dune_vm_create(), -EBUSY);
	CHECK(kernel_log_has(log, "enable_virt_at_load"));
	CHECK_EQ(kvm_guest(), 0);
	kvm_unload();
	check_vmxe(0, "without KVM");

	/* A vm lives: then kvm_intel cannot be loaded, which harms nobody. */
	vm = dune_vm_create();
	REQUIRE(vm >= 0);
	CHECK_EQ(kvm_modprobe("kvm", "enable_virt_at_load=1"), 0);
	CHECK(kvm_modprobe("kvm_intel", NULL) != 0);
	CHECK(!module_is_loaded("kvm_intel"));
	check_vmxe(nr_cpus(), "after KVM's failure");
	check_dune();
	close_vm(vm);
	check_vmxe(0, "after the Dune vm");
	CHECK_EQ(kvm_modprobe("kvm_intel", NULL), 0);
	CHECK_EQ(kvm_guest(), 0);
	kvm_unload();
	check_dune();
	close(log);
}

/* CPUs come and go while KVM is loaded and one of the two is at work. */
static void with_hotplug(void)
{
	int vm;

	if (nr_present_cpus() < 2)
		return;
	load_idle();
	vm = dune_vm_create();
	REQUIRE(vm >= 0);
	CHECK_EQ(cpu_offline(1), 0);
	check_kvm_refused();
	CHECK_EQ(cpu_online(1), 0);
	check_vmxe(nr_cpus(), "with a Dune vm and a new CPU");
	check_dune();
	close_vm(vm);

	vm = kvm_vm_create();
	REQUIRE(vm >= 0);
	CHECK_EQ(cpu_offline(1), 0);
	CHECK_EQ(dune_vm_create(), -EBUSY);
	CHECK_EQ(cpu_online(1), 0);
	CHECK_EQ(dune_vm_create(), -EBUSY);
	CHECK_EQ(kvm_vm_run(vm), 0);
	close(vm);
	check_dune();
	check_vmxe(0, "at the end");
}

int main(int argc, char **argv)
{
	test_start_raw(argc, argv, (struct test_opts){
		.threads = 4, .rounds = 3 });
	if (opt.native)
		SKIP("there is no native twin");
	if (geteuid() != 0)
		SKIP("must be root");
	if (module_is_loaded("kvm_intel"))
		SKIP("kvm_intel is loaded already");
	check_vmxe(0, "before");
	if (!kvm_load_idle())
		SKIP("no kvm_intel here (mod:kvm_intel in cases.tbl)");
	test_part("idle", idle);
	test_part("kvm_first", kvm_first);
	test_part("dune_first", dune_first);
	test_part("kvm_comes_later", kvm_comes_later);
	test_part("with_hotplug", with_hotplug);
	test_part("kvm_greedy", kvm_greedy);
	if (module_is_loaded("kvm_intel"))
		kvm_unload();
	check_vmxe(0, "without KVM");
	return test_end();
}
