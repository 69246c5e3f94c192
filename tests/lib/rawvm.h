/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The ABI without libdune: a vm, its vCPUs, a minimal guest page table and a
 * way to call DUNE_RUN whatever it does to the registers.
 */
#ifndef TESTS_RAWVM_H
#define TESTS_RAWVM_H

#include <stdint.h>

#include "uapi/dune.h"

struct rawvm {
	int fd;
	uint64_t syscall_entry;
	uint64_t *pml4;		/* one page each, filled by rawvm_map() */
	uint64_t *pdpt[4];
	int pdpt_index[4];	/* PML4 index of each pdpt[] */
	uint64_t cr3;
};

struct rawvcpu {
	int fd;
	struct dune_vcpu_page *page;
	void *stack;
};

/* Open the device and create the vm; exits the process on failure. */
void rawvm_create(struct rawvm *vm);
/* Guest physical address of addr, or 0 with errno set. */
uint64_t rawvm_gpa(struct rawvm *vm, const void *addr);
/* Map the 1 GiB around addr in the guest page table. */
void rawvm_map(struct rawvm *vm, const void *addr);
void rawvm_destroy(struct rawvm *vm);

/* A vCPU of this thread with its page mapped. */
void rawvcpu_create(struct rawvm *vm, struct rawvcpu *vcpu);
/* Set the state so that the next run calls fn(arg) with records only. */
void rawvcpu_start(struct rawvm *vm, struct rawvcpu *vcpu, void (*fn)(void *),
		   void *arg);
void rawvcpu_destroy(struct rawvcpu *vcpu);

/*
 * ioctl(fd, DUNE_RUN, result) that survives any register content on return:
 * an exit kind, or -errno.
 */
long raw_run(int fd, uint64_t result);
/* raw_run() until something else than RETRY comes; at most limit times. */
long rawvcpu_run(struct rawvcpu *vcpu, uint64_t result, int limit);

/*
 * The way libdune's stub does it: the thread makes the guest's system calls
 * itself, with live registers. vcpu->page->syscall_ip must be raw_live_ip.
 */
struct rawlive {
	uint64_t fd;		/* of the vCPU */
	uint64_t sp;		/* raw_live()'s own */
	uint64_t one_call;	/* if not 0: return RAWLIVE_CALLED after a call */
};
#define RAWLIVE_CALLED	1000
extern const char raw_live_ip[];
/*
 * Run until something else than RETRY or a system call comes: an exit kind, or
 * -errno. result: what DUNE_RUN is given at first; *result after a call.
 */
long raw_live(struct rawlive *live, uint64_t *result);

/* VMCALL, for guest code. */
static inline uint64_t raw_vmcall(uint64_t nr, uint64_t arg)
{
	asm volatile("vmcall" : "+a"(nr) : "D"(arg) : "rcx", "r11", "memory");
	return nr;
}

#endif /* TESTS_RAWVM_H */
