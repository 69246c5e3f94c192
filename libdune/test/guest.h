/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What the unit tests' guest code shares. */
#ifndef GUEST_H
#define GUEST_H

#include "../internal.h"
#include "fake_cpu.h"
#include "test.h"

#define FLAG_DF		0x400
#define REDZONE_BROKEN	(-99999)

/*
 * What a leaf function with a full red zone sees of SYSCALL with these flags:
 * the result, or REDZONE_BROKEN. guest_flags is RFLAGS afterwards.
 */
long guest_syscall(long nr, long a1, long a2, long flags);
extern uint64_t guest_flags;

/* Dune mode on and off, checked. */
void enter(void);
void leave(void);

/* fault_test.c */
extern const struct test_case fault_cases[];
extern const struct test_case area_cases[];
extern const unsigned int nr_fault_cases;
extern const unsigned int nr_area_cases;

#endif /* GUEST_H */
