/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * A guest that was entered with RFLAGS.IF=0 and spins must still be interrupted
 * by the host's timer (stock Bochs 3.0: never). Uses the kernel's own KVM:
 *   tools/vm/run --no-module --modules kvm_intel --timeout 60 -- \
 *     sh -c 'modprobe kvm_intel && build/.../kvm_if0_selftest'
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../emucount.h"

static void on_alarm(int sig)
{
	(void)sig;
}

int main(void)
{
	static struct emucount_snapshot a, b, sum;
	struct kvm_userspace_memory_region r = { 0, 0, 0x1000, 0x1000, 0 };
	struct sigaction sa;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	int kvm, vm, vcpu, ret, n = emucount_available() ? (int)emucount_nr_cpus() : 0, i;
	char *mem;

	kvm = open("/dev/kvm", O_RDWR);
	vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
	mem = mmap(NULL, 0x1000, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	r.userspace_addr = (unsigned long)mem;
	vcpu = vm < 0 || ioctl(vm, KVM_SET_USER_MEMORY_REGION, &r) ? -1 : ioctl(vm, KVM_CREATE_VCPU, 0);
	if (vcpu < 0 || mmap(NULL, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE,
			     MAP_SHARED, vcpu, 0) == MAP_FAILED) {
		printf("SKIP no KVM: %s\n", strerror(errno));
		return 77;
	}
	memcpy(mem, "\xeb\xfe", 2);		/* jmp to itself */
	ioctl(vcpu, KVM_GET_SREGS, &sregs);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	ioctl(vcpu, KVM_SET_SREGS, &sregs);
	memset(&regs, 0, sizeof(regs));
	regs.rip = 0x1000;
	regs.rflags = 2;			/* IF=0 */
	ioctl(vcpu, KVM_SET_REGS, &regs);

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = on_alarm;
	sigaction(SIGALRM, &sa, NULL);
	for (i = 0; i < n; i++) {
		emucount_snapshot(i, &b);
		emucount_add(&a, &b);
	}
	ualarm(200000, 0);
	ret = ioctl(vcpu, KVM_RUN, 0);
	printf("%s a spinning guest with IF=0 is interrupted\n",
	       ret < 0 && errno == EINTR ? "PASS" : "FAIL");
	for (i = 0; i < n; i++) {
		emucount_snapshot(i, &b);
		emucount_add(&sum, &b);
	}
	if (n) {
		emucount_diff(&sum, &a, &sum);
		emucount_print(stdout, &sum);
		if (!sum.v[EMU_VMEXIT] || sum.v[EMU_VMEXIT] != sum.v[EMU_VMENTRY] ||
		    !sum.v[EMU_EXIT(1)] || !sum.v[EMU_VMREAD])
			ret = 0, printf("FAIL the counters of VM entries and exits\n");
	}
	return !(ret < 0);
}
