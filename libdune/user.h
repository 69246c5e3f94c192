/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Ring 3, between user.c (plain), user_trap.c (guest) and user_entry.S. */
#ifndef DUNE_USER_INTERNAL_H
#define DUNE_USER_INTERNAL_H

#include "internal.h"

/*
 * Ring 3 runs with IOPL 1, which gives it nothing, and which it cannot change;
 * ring 0 has 0. So SYSCALL knows whose it is by r11.
 */
#define FLAGS_IOPL_1	0x1000ull

#pragma GCC visibility push(hidden)
/* user_entry.S: with t->stay; returns when dune_user_leave() has been called. */
void dune_user_enter(struct dune_thread *t);
_Noreturn void dune_user_leave(struct dune_thread *t);
/* entry.S: behind the INT by which SYSCALL of ring 3 is told. */
extern const char dune_syscall_told[];

/* user_trap.c, for user_entry.S */
void dune_user_load(struct dune_thread *t);
void dune_user_start(struct dune_thread *t);
void dune_user_save(struct dune_thread *t);
#pragma GCC visibility pop

#endif /* DUNE_USER_INTERNAL_H */
