// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The module in and out, again and again, with vms in between; beside a
 * kvm_intel too, where the machine has one. It is loaded again at the end.
 */
#include "test.h"
#include "kvmguest.h"
#include "machine.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#define MODULE_FILE "/lib/dune/dune.ko"	/* where the emulated machine has it */

static int with_vm(void)
{
	struct dune_create_vm create = { 0 };
	int fd = open(DUNE_DEVICE_PATH, O_RDWR | O_CLOEXEC);

	if (!CHECK(fd >= 0))
		return -1;
	CHECK_EQ(ioctl(fd, DUNE_CREATE_VM, &create), 0);
	CHECK_EQ(module_unload("dune"), -EWOULDBLOCK);
	return fd;
}

static void work(void *unused)
{
	mode_enter();
	CHECK(getppid() > 0);
	mode_exit();
}

static void unload(void)
{
	uint64_t end = deadline(5);
	int err;

	/* What a process leaves behind goes a moment after it. */
	while ((err = module_unload("dune")) == -EWOULDBLOCK && now_ns() < end)
		usleep(1000);
	CHECK_EQ(err, 0);
	CHECK(access(DUNE_DEVICE_PATH, F_OK) != 0);
}

static void reload(long rounds)
{
	for (long i = 0; i < rounds && !check_failures; i++) {
		unload();
		check_vmxe(0, "unloaded");
		CHECK_EQ(module_load(MODULE_FILE, ""), 0);
		if (i % 3 == 0)
			close(with_vm());
		if (i % 10 == 1)
			CHECK_EQ(run_child(30, work, NULL), 0);
	}
	check_vmxe(0, "at the end");
}

static void alone(void)
{
	reload(opt.rounds);
}

static void beside_kvm(void)
{
	const char *kvm[] = { "modprobe", "kvm", "enable_virt_at_load=0", NULL };
	const char *intel[] = { "modprobe", "kvm_intel", NULL };
	int fd;

	if (run_program_quietly(kvm) || run_program_quietly(intel)) {
		printf("no kvm_intel here\n");
		return;
	}
	reload(opt.rounds / 2);
	CHECK_EQ(kvm_guest(), 0);
	/* Loaded before KVM, gone before it; and the other way round. */
	fd = with_vm();
	CHECK_EQ(module_unload("kvm_intel"), 0);
	close(fd);
	reload(opt.rounds / 2);
	CHECK_EQ(module_unload("kvm"), 0);
}

int main(int argc, char **argv)
{
	test_start_raw(argc, argv, (struct test_opts){ .rounds = 50 });
	if (opt.native)
		SKIP("there is no native twin");
	if (geteuid() != 0 || access(MODULE_FILE, R_OK))
		SKIP("no " MODULE_FILE);
	test_part("alone", alone);
	test_part("beside_kvm", beside_kvm);
	return test_end();
}
