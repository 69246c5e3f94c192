/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The smallest KVM guest: one page, a few instructions, HLT. */
#ifndef TESTS_KVMGUEST_H
#define TESTS_KVMGUEST_H

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
