// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The module cannot be unloaded while anyone uses it: an open device, a vm, a
 * vCPU whose other fds are closed, a mapping alone.
 */
#include "test.h"
#include "rawvm.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static long unload(void)
{
	return syscall(SYS_delete_module, "dune", O_NONBLOCK);
}

static void check_busy(const char *who)
{
	long ret = unload();

	if (ret == 0) {
		printf("the module was unloaded under %s\n", who);
		exit(1);
	}
	CHECK(errno == EBUSY || errno == EWOULDBLOCK);
}

int main(int argc, char **argv)
{
	struct dune_create_vcpu create = { 0 };
	struct dune_create_vm create_vm = { 0 };
	void *vcpu_page, *vm_page;
	int fd, vcpu;

	test_start_raw(argc, argv, (struct test_opts){ 0 });
	if (opt.native)
		SKIP("there is no native twin");
	if (geteuid() != 0)
		SKIP("must be root");
	fd = open(DUNE_DEVICE_PATH, O_RDWR);
	REQUIRE(fd >= 0);
	check_busy("an open device");
	if (errno == ENOSYS || read_number("/sys/module/dune/refcnt") < 0)
		SKIP("this kernel cannot unload modules");
	CHECK(read_number("/sys/module/dune/refcnt") >= 1);
	REQUIRE(ioctl(fd, DUNE_CREATE_VM, &create_vm) == 0);
	check_busy("a vm");
	vcpu = ioctl(fd, DUNE_CREATE_VCPU, &create);
	REQUIRE(vcpu >= 0);
	check_busy("a vCPU");
	vcpu_page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, vcpu, 0);
	vm_page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, DUNE_MMAP_VM_PAGE);
	REQUIRE(vcpu_page != MAP_FAILED && vm_page != MAP_FAILED);
	close(fd);
	check_busy("a vCPU fd");
	close(vcpu);
	check_busy("mappings");
	munmap(vm_page, 4096);
	check_busy("a vCPU page");
	munmap(vcpu_page, 4096);
	/* Free now, but other tests want it: only look. */
	CHECK_EQ(read_number("/sys/module/dune/refcnt"), 0);
	return test_end();
}
