/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Frame of a guest test: options, modes, threads, counters, child processes.
 *
 * Every test takes --native (all threads stay in plain Linux mode: proves the
 * test itself right), --threads N, --rounds N, --seconds N, --seed N, --only NAME,
 * and --no-rseq (start again without glibc's rseq: with it Linux sends a thread
 * through user mode after every preemption, which hides what the module fails
 * to do by itself), --reissue (DUNE_SYSCALLS=reissue: no call is made inside
 * the kernel), and --placement TEXT (DUNE_NUMA: dune_set_placement()).
 */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "check.h"
#include "dune.h"

struct test_opts {
	bool native;
	int threads;
	long rounds;
	int seconds;		/* of work, for tests that are measured in time */
	uint64_t seed;
	const char *only;	/* name of the one part to run, or NULL */
};
extern struct test_opts opt;

/*
 * Parse the options over the defaults, print the seed, and unless --native
 * call dune_init(); SKIP where there is no /dev/dune.
 */
void test_start(int argc, char **argv, struct test_opts defaults);
/* As test_start(), without dune_init(): for tests of the raw ABI. */
void test_start_raw(int argc, char **argv, struct test_opts defaults);
/* Print the summary; the value for main() to return. */
int test_end(void);

/* One named part of a test; obeys --only and prints what it takes. */
void test_part(const char *name, void (*fn)(void));

/* Dune mode on and off for this thread; nothing in --native. */
void mode_enter(void);
void mode_exit(void);
/* In a signal handler, before siglongjmp(): forget the interrupted guest. */
void mode_abandon(void);
/* After such a siglongjmp(): back into the mode the test runs in. */
void mode_reenter(void);

/* fn(index, arg) on n threads, each in Dune mode; returns when all are done. */
typedef void (*thread_fn)(int index, void *arg);
void run_threads(int n, thread_fn fn, void *arg);

/*
 * fn(arg) in a forked child, which does dune_init() itself unless --native;
 * the value is that of waitpid(). A child that outlives the limit (seconds)
 * is killed by SIGKILL and reported as a failure.
 */
int run_child(int limit, void (*fn)(void *), void *arg);
/* Child of fork(): dune_init() anew, and forget the parent's check counts. */
void child_init(void);

/* Counters: of the vm, of this thread. Zero in --native. */
uint64_t vm_stat(enum dune_vm_counter i);
uint64_t vcpu_stat(enum dune_vcpu_counter i);

/* xorshift64: deterministic, one state per thread. */
uint64_t rnd(uint64_t *state);

uint64_t now_ns(void);
/* The time, as now_ns(), in so many seconds of a machine at full speed. */
uint64_t deadline(int seconds);
/* Busy work of about n simple instructions; the compiler cannot drop it. */
void spin(unsigned long n);
/*
 * Wait for *p == value, yielding; false (and a failure) after the limit in
 * seconds. The wait of every handshake: never sleeps for a fixed time.
 */
bool wait_for(volatile int *p, int value, int limit);
/* First number in a file such as /sys/module/dune/refcnt; -1 when unreadable. */
long read_number(const char *path);
/* The same way back; the test ends when it cannot. */
void write_number(const char *path, long value);
/*
 * Memory that is available, in kB. Freed pages of any size stay in lists per
 * CPU, tens of megabytes of huge pages: they count here, which MemAvailable
 * does not do.
 */
long available_kb(void);
int nr_cpus(void);
/* Bind this thread to one CPU. */
void pin_to(int cpu);

#endif /* TESTS_TEST_H */
