/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Fault injection: an operation is done with its n-th allocation (or copy from
 * and to user memory) failing, for n = 1, 2, ... until it gets by without a
 * fault. Each time it must succeed or fail with an errno that is its to give,
 * leave nothing behind, and succeed when it is done again.
 */
#ifndef FAIL_NTH_H
#define FAIL_NTH_H

#include <stdbool.h>

#include "rawvm.h"
#include "test.h"

#define MAX_ERRNOS 5

struct op {
	const char *name;
	/* What it needs, without a fault; may be NULL. */
	void (*prepare)(void);
	/* A value, or -errno. */
	long (*run)(void);
	/* ret is what run() returned: is the world as it should be? May be NULL. */
	void (*check)(long ret);
	/* Undo prepare() and, where it succeeded, run(). */
	void (*undo)(long ret);
	/* Beside success. */
	int errnos[MAX_ERRNOS];
	/* At least so many faults must have been possible. */
	int at_least;
};

/* false: this kernel cannot; why is printed as a SKIP by the caller. */
bool inject_setup(void);
/* Of the calling thread; open_self() first in each thread and process. */
void inject_open_self(void);
void inject_arm(int n);
/* What is left of n: 0 when a fault was injected. */
int inject_disarm(void);
void inject_all(const struct op *ops, int n);

extern const struct op ioctl_ops[], guest_ops[], mm_ops[];
extern const int nr_ioctl_ops, nr_guest_ops, nr_mm_ops;
/* Ends of threads and processes, and libdune: not of the same shape. */
void ends(void);
void library(void);

/* Live vms and vCPUs of this user, when they have settled at the wanted ones. */
void expect_alive(unsigned int vms, unsigned int vcpus);

/* The vm that guest_ops and mm_ops use. */
extern struct rawvm vm;
extern struct rawvcpu vcpu;
void vm_make(void);
void vm_end(void);
/* The guest calls fn(arg) and exits; what DUNE_RUN returned at the end. */
long guest_call(void (*fn)(void *arg), void *arg);

#endif /* FAIL_NTH_H */
