/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The smallest KVM guest: one page, a few instructions, HLT; and KVM's modules. */
#ifndef TESTS_KVMGUEST_H
#define TESTS_KVMGUEST_H

#include <stdbool.h>

/*
 * kvm_intel loaded, as 6.1 does by itself: VMX is off without a KVM vm. False
 * where there is none (mod:kvm_intel in cases.tbl); nothing when it is loaded.
 */
bool kvm_load_idle(void);
/* kvm_intel and kvm out; waits for a vm that was just closed. */
void kvm_unload(void);
/* modprobe MODULE [PARAM], quietly; its exit status. */
int kvm_modprobe(const char *module, const char *param);

/* A KVM vm's fd (its /dev/kvm is closed again), or -errno. */
int kvm_vm_create(void);
/*
 * Run a guest in it that adds up and halts: 0 when that came out right, or
 * -errno of the call that failed. Once per vm.
 */
int kvm_vm_run(int vm);
/* Both, and close it. */
int kvm_guest(void);

#endif /* TESTS_KVMGUEST_H */
