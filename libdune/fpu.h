/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Saving and restoring all vector registers. For code that uses none itself:
 * kinds "host" and "guest" of internal.h.
 */
#ifndef DUNE_FPU_H
#define DUNE_FPU_H

#include "internal.h"

#define XSAVE_HEADER	512	/* offset; the legacy part is before it */
#define XSAVE_ALIGN	64ul
#define FPU_FCW		0x37f	/* as Linux starts a program */
#define FPU_MXCSR	0x1f80
#define XSAVE_PKRU	(1 << 9)	/* component: protection keys */

static inline unsigned int fpu_size(void)
{
	return dune_vm.xsave_size ? dune_vm.xsave_size : XSAVE_HEADER;
}

/* An aligned area, and more bytes, on the caller's stack until it returns. */
#define fpu_alloca(more) \
	((void *)(((uint64_t)__builtin_alloca(fpu_size() + (more) + XSAVE_ALIGN) + \
		   XSAVE_ALIGN - 1) & ~(XSAVE_ALIGN - 1)))

static inline void fpu_save(void *area)
{
	volatile uint64_t *header = (uint64_t *)((char *)area + XSAVE_HEADER);
	unsigned int i;

	if (!dune_vm.xsave_size) {
		asm volatile("fxsave64 (%0)" : : "r" (area) : "memory");
		return;
	}
	/* XSAVE writes its first word alone, XRSTOR wants the others 0. */
	for (i = 0; i < 8; i++)
		header[i] = 0;
	asm volatile("xsave64 (%0)" : : "r" (area), "a" (-1), "d" (-1) : "memory");
}

static inline void fpu_restore(const void *area)
{
	if (dune_vm.xsave_size)
		asm volatile("xrstor64 (%0)" : : "r" (area), "a" (-1), "d" (-1) : "memory");
	else
		asm volatile("fxrstor64 (%0)" : : "r" (area) : "memory");
}

#endif /* DUNE_FPU_H */
