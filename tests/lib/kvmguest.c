// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "kvmguest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "machine.h"
#include "test.h"

#define GUEST_PAGE 0x1000

int kvm_modprobe(const char *module, const char *param)
{
	const char *argv[] = { "modprobe", module, param, NULL };

	return run_program_quietly(argv);
}

bool kvm_load_idle(void)
{
	if (module_is_loaded("kvm_intel"))
		return true;
	/* 6.1 does not know the parameter, and says so in its log. */
	return !kvm_modprobe("kvm", "enable_virt_at_load=0") &&
	       !kvm_modprobe("kvm_intel", NULL) &&
	       module_is_loaded("kvm_intel");
}

void kvm_unload(void)
{
	uint64_t end = deadline(5);

	while (module_is_loaded("kvm_intel") && module_unload("kvm_intel") &&
	       now_ns() < end)
		usleep(1000);
	CHECK(!module_is_loaded("kvm_intel"));
	CHECK_EQ(module_unload("kvm"), 0);
}

int kvm_vm_create(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm;

	if (kvm < 0)
		return -errno;
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0)
		vm = -errno;
	close(kvm);
	return vm;
}

static int run_size(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), size;

	size = kvm < 0 ? -1 : ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	close(kvm);
	return size;
}

/* Real mode at GUEST_PAGE: ax = 2 + 3, stored behind the code; HLT. */
static const unsigned char code[] = {
	0xb8, 0x02, 0x00,		/* mov $2, %ax */
	0x05, 0x03, 0x00,		/* add $3, %ax */
	0xa3, 0x00, 0x18,		/* mov %ax, 0x1800 */
	0xf4,				/* hlt */
};

static int start(int vcpu)
{
	struct kvm_regs regs = { .rip = GUEST_PAGE, .rflags = 2 };
	struct kvm_sregs sregs;

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs))
		return -errno;
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) ||
	    ioctl(vcpu, KVM_SET_REGS, &regs))
		return -errno;
	return ioctl(vcpu, KVM_RUN, 0) ? -errno : 0;
}

int kvm_vm_run(int vm)
{
	struct kvm_userspace_memory_region region = {
		.guest_phys_addr = GUEST_PAGE, .memory_size = 4096,
	};
	struct kvm_run *run = MAP_FAILED;
	int size = run_size(), err = 0, vcpu;
	unsigned char *page;

	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(page != MAP_FAILED);
	memcpy(page, code, sizeof(code));
	region.userspace_addr = (unsigned long)page;
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region))
		return -errno;
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (vcpu < 0)
		return -errno;
	if (size > 0)
		run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			   vcpu, 0);
	if (run == MAP_FAILED) {
		err = -errno;
	} else {
		err = start(vcpu);
		if (!err && (run->exit_reason != KVM_EXIT_HLT ||
			     *(unsigned short *)(page + 0x800) != 5))
			err = -EIO;
		munmap(run, size);
	}
	close(vcpu);
	munmap(page, 4096);
	return err;
}

int kvm_guest(void)
{
	int vm = kvm_vm_create(), err;

	if (vm < 0)
		return vm;
	err = kvm_vm_run(vm);
	close(vm);
	return err;
}
