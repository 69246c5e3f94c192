/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What the scaling programs share: options, one child process per scenario,
 * raw system calls, results in memory that children and parent share, and the
 * lines they are printed as (README.md explains them).
 */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "dune.h"
#include "emucount.h"

#define PAGE 4096ul
#define MIB (1ul << 20)
#define GIB (1ul << 30)
#define TIB (1ul << 40)
#define BENCH_SKIP 77

/* Ends the process: a benchmark that goes on after a failure lies. */
#define MUST(cond)                                                        \
	do {                                                              \
		if (!(cond)) {                                            \
			fprintf(stderr, "%s:%d: failed: %s: %m\n",        \
				__FILE__, __LINE__, #cond);               \
			exit(1);                                          \
		}                                                         \
	} while (0)

enum mode { NATIVE, DUNE, KVM };
const char *mode_name(enum mode mode);

struct options {
	int reps;		/* of each measurement */
	int max_vcpus;		/* end of the sweep; at most the CPUs */
	const char *only;	/* parts whose name contains this, or NULL */
	bool check;		/* judge the limits */
	bool native_only;	/* no Dune phase */
};
extern struct options options;

/* Facts about this machine, filled by bench_start(). */
extern bool have_emucount;	/* costs are instructions, else ns */
extern int nr_cpus;
const char *kernel_release(void);
bool mitigations_off(void);	/* by the kernel's command line */

/*
 * Parse the options, find the facts, print the header line. Skips (status 77)
 * when there is no /dev/dune, unless --native.
 */
void bench_start(int argc, char **argv, const char *about);
/* With --only: is this part wanted? */
bool wanted(const char *part);

/*
 * Worker i runs at place i: places.h. place_cpu() is its CPU's number, for what
 * counts by CPU.
 */
void pin_to(int place);
int place_cpu(int place);
void dune_on(void);		/* dune_init(), or the end of the process */
void guest_enter(void);
void guest_leave(void);

/*
 * fn(arg) in a child: a fresh mm that only ever ran on the caller's CPU, so
 * that Linux' own flushes go nowhere else. Ends the process when it fails.
 */
void in_child(void (*fn)(const void *arg), const void *arg);

/* Anonymous memory in small pages, anywhere or (at) there and nowhere else. */
char *map_area_at(char *at, size_t size);
void *map_at(char *at, size_t size, int prot);
static inline void touch(volatile char *page)
{
	*page = 1;
}

/* No libc in what is measured: its wrappers' cost is not the kernel's. */
static inline long sys3(long nr, long a, long b, long c)
{
	long ret;

	asm volatile("syscall"
		     : "=a"(ret)
		     : "a"(nr), "D"(a), "S"(b), "d"(c)
		     : "rcx", "r11", "memory");
	return ret;
}

static inline long sys_madvise(void *p, size_t size, int advice)
{
	return sys3(SYS_madvise, (long)p, (long)size, advice);
}

static inline long sys_mprotect(void *p, size_t size, int prot)
{
	return sys3(SYS_mprotect, (long)p, (long)size, prot);
}

/* Private anonymous memory, to read and write. */
static inline long sys_mmap_anon(void *at, size_t size, int flags)
{
	register long r10 asm("r10") = flags | 0x22; /* MAP_PRIVATE | MAP_ANONYMOUS */
	register long r8 asm("r8") = -1;
	register long r9 asm("r9") = 0;
	long ret;

	asm volatile("syscall"
		     : "=a"(ret)
		     : "a"(SYS_mmap), "D"(at), "S"(size), "d"(3), "r"(r10), "r"(r8), "r"(r9)
		     : "rcx", "r11", "memory");
	return ret;
}

static inline long sys_munmap(void *p, size_t size)
{
	return sys3(SYS_munmap, (long)p, (long)size, 0);
}

uint64_t clock_ns(void);

/* Instructions of this CPU, or ns where nothing counts them. */
static inline uint64_t cost_now(void)
{
	if (__builtin_expect(have_emucount, 1))
		return emucount_read(EMUCOUNT_SELF, EMU_INSN);
	return clock_ns();
}

/* That this CPU took, in the guest too; 0 where nothing counts them. */
static inline uint64_t interrupts_now(void)
{
	if (!have_emucount)
		return 0;
	return emucount_read(EMUCOUNT_SELF, EMU_EXTINT) +
	       emucount_read(EMUCOUNT_SELF, EMU_EXIT(1));
}

#endif /* BENCH_COMMON_H */
