/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Threads in Dune mode that compute, make system calls, sleep in them, fault
 * pages in and unmap them, while something happens to the machine. Each checks
 * its own results all the time.
 */
#ifndef TESTS_WORKERS_H
#define TESTS_WORKERS_H

#define WORKERS_MAX 16
#define WORKERS_JOBS 4		/* kinds of work; threads take turns */

/*
 * opt.threads of them, at most WORKERS_MAX; returns when all are at work. Every
 * second one changes its CPU now and then. Once per process, before others.
 */
void workers_start(void);
/* Everybody does some more work from here on; FAIL after a time limit. */
void workers_progress(const char *when);
/* They end, each still in Dune mode. */
void workers_stop(void);

#endif /* TESTS_WORKERS_H */
