/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* System calls without libc: no errno, no cancellation, no PLT. */
#ifndef DUNE_RAWSYS_H
#define DUNE_RAWSYS_H

#include <sys/syscall.h>

#include "asm.h"

#define RAW_CALL6(name, insn)							\
static inline long name(long nr, long a1, long a2, long a3, long a4, long a5,	\
			long a6)						\
{										\
	register long r10 asm("r10") = a4;					\
	register long r8 asm("r8") = a5;					\
	register long r9 asm("r9") = a6;					\
	long ret;								\
										\
	asm volatile(insn							\
		     : "=a" (ret)						\
		     : "a" ((unsigned long)(unsigned int)nr), "D" (a1),		\
		       "S" (a2), "d" (a3), "r" (r10),				\
		       "r" (r8), "r" (r9)					\
		     : "rcx", "r11", "memory");					\
	return ret;								\
}

RAW_CALL6(raw_syscall6, "syscall")
/* In the guest; the registers are the same. */
RAW_CALL6(raw_vmcall6, VMCALL_STR)

static inline long raw_syscall4(long nr, long a1, long a2, long a3, long a4)
{
	return raw_syscall6(nr, a1, a2, a3, a4, 0, 0);
}

static inline long raw_syscall3(long nr, long a1, long a2, long a3)
{
	return raw_syscall6(nr, a1, a2, a3, 0, 0, 0);
}

/* struct sigaction of the kernel */
struct kernel_sigaction {
	unsigned long handler, flags, restorer, mask;
};

#endif /* DUNE_RAWSYS_H */
