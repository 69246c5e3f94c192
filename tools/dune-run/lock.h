/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * run_lock: one thread at a time makes tasks, hides descriptors, forks.
 *
 * Protects thread.c's ended[], fds.c, our libc's state over a fork.
 * Order: before any lock of libdune and of our libc.
 * Context: plain code, all signals blocked.
 */
#ifndef DUNE_RUN_LOCK_H
#define DUNE_RUN_LOCK_H

#pragma GCC visibility push(hidden)
void run_lock(void);
void run_unlock(void);
/* In a forked child of who has it. */
void run_lock_forget(void);
#pragma GCC visibility pop

#endif /* DUNE_RUN_LOCK_H */
