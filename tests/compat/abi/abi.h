/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The ABI of Linux, as a program sees it: parts that check themselves and come to
 * the same natively and under dune-run. Nothing here knows of Dune. Parts print
 * nothing that differs between two runs: no ids, addresses, times.
 */
#ifndef COMPAT_ABI_H
#define COMPAT_ABI_H

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "check.h"

struct part {
	const char *name, *text;
	void (*run)(void);
};

/* What the program does when it is executed as "abi --role NAME ARGUMENTS". */
struct role {
	const char *name;
	int (*run)(int argc, char **argv);
};

/* Each ends with a name NULL. */
extern const struct part start_parts[], stack_parts[], tls_parts[], cancel_parts[],
	clone_parts[], fork_parts[], exec_parts[], wait_parts[], catch_parts[], fault_parts[],
	change_parts[], window_parts[], stack_signal_parts[], mask_parts[], async_parts[],
	restart_parts[], core_parts[], memory_parts[], fd_parts[], kernel_parts[],
	uring_parts[], pages_parts[], userfault_parts[], device_parts[], outside_parts[];
extern const struct role start_roles[], stack_roles[], exec_roles[];

extern int abi_argc;
extern char **abi_argv, **abi_envp;

/* --rounds, or what this part does without. */
unsigned long rounds(unsigned long usual);
/* This program's file. */
const char *self_path(void);

/* fn(arg) in a forked child; its checks count here, too. waitpid()'s status. */
typedef void (*child_fn)(void *arg);
int status_of(child_fn fn, void *arg);
/* It must end well. */
void in_child(child_fn fn, void *arg);
int wait_status(pid_t pid);

/* "abi --role NAME ARGS...": NULL ends args. Its output, malloc()ed; *status. */
char *role_output(const char *const args[], int *status);
/* What is behind "KEY:" in /proc/self/status, as a number. */
long proc_status(const char *key);
/* The same of a file with one number; -1: unreadable. */
long number_in(const char *path);

/* A line of /proc/self/maps. */
struct map {
	uint64_t start, end;
	char rights[5], name[256];
};
/* The one that has the address; false: none. */
bool map_at(const void *address, struct map *map);

/* "KEY:" of the mapping that has the address in /proc/self/smaps; -1: none. */
long smaps(const void *address, const char *key);

#define PAGE	4096ul
/* Private and anonymous. */
char *map_any(size_t size, int prot, int flags);
/* 0: the access (one byte; 1 is written) succeeds; else the signal's code. One thread. */
enum access { READ, WRITE };
int fault_code(volatile char *p, enum access access);
/* Which it was, last. */
extern volatile int fault_signal;

/* Words that follow from the seed. The size is a multiple of 8. */
void bytes_fill(void *to, size_t size, uint64_t seed);
bool bytes_are(const void *from, size_t size, uint64_t seed);

/* Wait until a thread sleeps; false, and a failure, when it takes for ever. */
bool wait_asleep(pid_t tid);
/* Wait for *p == value, yielding; false, and a failure, when it takes for ever. */
bool wait_for(volatile int *p, int value);
bool wait_above(volatile int *p, int value);
uint64_t rnd(uint64_t *state);
/* A handler with SA_SIGINFO. */
typedef void (*handler_fn)(int sig, siginfo_t *info, void *context);
void handle(int sig, handler_fn fn, int flags);
/* Without libc, which keeps some signals for itself. */
long raw_sigaction(int sig, handler_fn fn, unsigned long flags, uint64_t mask);
sigset_t set_of(int sig);

/* --- regs.S: known registers around some code --- */

/* As the CPU numbers them. */
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, NR_REGS };

struct regs {
	uint64_t r[NR_REGS], flags;
};
extern struct regs regs_in, regs_out;
extern const void *regs_code;
/*
 * Load regs_in, go to *regs_code, which ends at regs_done: store regs_out. rsp is
 * regs_in's when that is not 0. One thread at a time.
 */
void regs_run(void);
extern const char regs_done[];

#endif /* COMPAT_ABI_H */
