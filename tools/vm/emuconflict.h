/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The conflict detector of the project's build of the emulator: which cache
 * lines one CPU writes and another touches while each makes an operation.
 *
 * RDPMC with ECX = EMUCONFLICT | op, arguments in RDI and RSI, result in RAX:
 * one instruction, any privilege, VMX root or non-root, never an exit. Ask
 * emucount_available() first (emucount.h).
 *
 *   emuconflict_forget();                  before the library's first mark
 *   emuconflict_reset();
 *   for each of two CPUs, many times:
 *           emuconflict_begin(); operation; kept += !emuconflict_end();
 *   n = emuconflict_sites(site, max);
 *
 * An operation that something else disturbed (an interrupt, another thread on
 * its CPU) is forgotten as a whole by emuconflict_end(). What is left are the
 * accesses of the operations and nothing else.
 *
 * This header is also the one definition the emulator itself is built from.
 */
#ifndef DUNE_EMUCONFLICT_H
#define DUNE_EMUCONFLICT_H

#define EMUCONFLICT		0xd0e20000u

#define EMUCONFLICT_RESET	1	/* (): forget all accesses */
#define EMUCONFLICT_BEGIN	2	/* (): an operation begins on this CPU */
#define EMUCONFLICT_END		3	/* (): it ends; why it does not count, or 0 */
#define EMUCONFLICT_SITES	4	/* (buf, bytes): accesses of lines in conflict;
					 * their number, buf holds the first ones */

#define EMUCONFLICT_FORGET	5	/* (): what was a library's is nobody's */

#define EMUCONFLICT_LINE	64
#define EMUCONFLICT_CALLERS	6

/* Why an operation does not count. */
#define EMUCONFLICT_INTERRUPT	1	/* taken, or a VM exit for one */
#define EMUCONFLICT_SWITCH	2	/* CR3 written, or another kernel stack */
#define EMUCONFLICT_HALT	4	/* the CPU had nothing to do */
#define EMUCONFLICT_NOT_BEGUN	8

enum emuconflict_kind {
	EMUCONFLICT_READ,
	EMUCONFLICT_WRITE,
	EMUCONFLICT_RMW,	/* one instruction reads and writes, no lock */
	EMUCONFLICT_LOCKED,
	EMUCONFLICT_NR_KINDS
};

/* Who makes an access. */
enum emuconflict_mode {
	EMUCONFLICT_KERNEL,	/* host code at CPL 0 */
	EMUCONFLICT_USER,	/* host code at CPL 3 */
	EMUCONFLICT_GUEST,	/* code in VMX non-root mode */
	EMUCONFLICT_WALK,	/* the CPU's own walk of a page table or EPT */
	EMUCONFLICT_VMCS,	/* the CPU's own access to a VMCS and what it names */
	EMUCONFLICT_NR_MODES
};

/* One kind of access, by one instruction of one CPU, to one place. */
struct emuconflict_site {
	unsigned long long pa;		/* of the first such access */
	unsigned long long va;		/* its linear address; 0: WALK and VMCS */
	unsigned long long rip;		/* the instruction; WALK, VMCS: that caused it */
	unsigned long long ops;		/* operations that made it */
	unsigned long long caller[EMUCONFLICT_CALLERS]; /* call instructions, innermost
					 * first; 0: entered by other means */
	unsigned long long object;	/* the module's or library's there, its address; 0: none */
	unsigned int offset;		/* of the access in it */
	unsigned int object_size;
	unsigned char cpu, kind, mode, len;
	unsigned int library;		/* 1: the object is a library's */
	char name[32];			/* of the object, as its owner calls it */
};

#ifndef EMUCOUNT_IN_EMULATOR

static inline long emuconflict_call(unsigned int op, void *a0, unsigned long a1)
{
	long result;

	__asm__ volatile("rdpmc" : "=a"(result) : "c"(EMUCONFLICT | op), "D"(a0), "S"(a1)
			 : "rdx", "memory");
	return result;
}

/*
 * Objects of libraries are known by their marks only: those of processes that have
 * ended are forgotten.
 */
static inline void emuconflict_forget(void)
{
	emuconflict_call(EMUCONFLICT_FORGET, 0, 0);
}

static inline void emuconflict_reset(void)
{
	emuconflict_call(EMUCONFLICT_RESET, 0, 0);
}

static inline void emuconflict_begin(void)
{
	emuconflict_call(EMUCONFLICT_BEGIN, 0, 0);
}

/* 0: the operation counts; else bits that say why not. */
static inline unsigned int emuconflict_end(void)
{
	return (unsigned int)emuconflict_call(EMUCONFLICT_END, 0, 0);
}

/*
 * The accesses of all lines that one CPU wrote and another touched, line by
 * line; their number, of which the first max are in site. Its memory must be
 * present: write to it before.
 */
static inline long emuconflict_sites(struct emuconflict_site *site, unsigned long max)
{
	return emuconflict_call(EMUCONFLICT_SITES, site, max * sizeof(*site));
}

#endif /* EMUCOUNT_IN_EMULATOR */
#endif
