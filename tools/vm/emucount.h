/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Exact per-CPU event counts from the project's build of the emulator.
 *
 * The emulator answers RDPMC with ECX = EMUCOUNT_RDPMC | cpu << 8 | counter
 * (one instruction, any privilege level, VMX root or non-root, never an exit
 * or a fault). On other machines that ECX is a #GP, so ask
 * emucount_available() first, and ask it *outside* VMX non-root mode: there
 * CPUID exits, and the answer is the hypervisor's.
 *
 * Counts are of executed attempts: an instruction that then faults or exits is
 * counted too. Reading another CPU's counters is exact: the emulator runs one
 * CPU at a time. Instructions: a REP string instruction counts every iteration.
 *
 * This header is also the one definition the emulator itself is built from.
 * C99 and C++, no library calls except in emucount_print().
 */
#ifndef DUNE_EMUCOUNT_H
#define DUNE_EMUCOUNT_H

#define EMUCOUNT_CPUID_LEAF	0x4d550000u	/* eax: version, ebx/ecx/edx: signature */
#define EMUCOUNT_SIG_EBX	0x656e7544u	/* "Dune" */
#define EMUCOUNT_SIG_ECX	0x4d756d45u	/* "EmuM" */
#define EMUCOUNT_SIG_EDX	0x6e696863u	/* "chin" */
#define EMUCOUNT_VERSION	1u
#define EMUCOUNT_RDPMC		0xd0e00000u
#define EMUCOUNT_SELF		0xffu		/* as cpu: the CPU executing the read */
#define EMUCOUNT_EXPECT		0xfeu		/* as counter: emucount_expect() */
#define EMUCOUNT_MAX_CPUS	16u

/* X(NAME, "text"): the order is the counter's number. */
#define EMUCOUNT_LIST(X) \
	X(INSN,      "instructions") \
	X(VMENTRY,   "vm entries") \
	X(VMEXIT,    "vm exits") \
	X(VMREAD,    "vmread") \
	X(VMWRITE,   "vmwrite") \
	X(VMPTRLD,   "vmptrld") \
	X(VMCLEAR,   "vmclear") \
	X(INVEPT,    "invept") \
	X(INVVPID,   "invvpid") \
	X(INVLPG,    "invlpg") \
	X(INVPCID,   "invpcid") \
	X(MOV_CR3,   "mov to cr3") \
	X(RDMSR,     "rdmsr") \
	X(WRMSR,     "wrmsr") \
	X(EXTINT,    "external interrupts") \
	X(IPI,       "ipis sent") \
	X(IRET,      "iret") \
	X(XSAVE,     "xsave") \
	X(XRSTOR,    "xrstor") \
	X(CPUID,     "cpuid") \
	X(NMI,       "nmis") \
	X(EXCEPTION, "exceptions") \
	X(HLT,       "hlt") \
	X(TLBSAN_RECORDS,   "tlbsan: translations recorded") \
	X(TLBSAN_BUMPS,    "tlbsan: generations raised") \
	X(TLBSAN_DONES,     "tlbsan: shootdowns done") \
	X(TLBSAN_CONDEMNED, "tlbsan: removed translations the cpu may hold") \
	X(TLBSAN_CHANGED,   "tlbsan: translations changed before a shootdown") \
	X(TLBSAN_ERRORS,    "tlbsan: errors") \
	X(VERW,             "verw of memory") \
	X(SPEC_CTRL,        "wrmsr of spec_ctrl") \
	X(IBPB,             "wrmsr of pred_cmd") \
	X(L1D_FLUSH,        "wrmsr of flush_cmd") \
	X(GTLB_RECORDS,     "tlbsan: guest translations recorded") \
	X(GTLB_REMOVALS,    "tlbsan: removals from guest page tables") \
	X(GTLB_DONES,       "tlbsan: guest shootdowns done") \
	X(GTLB_CONDEMNED,   "tlbsan: removed guest translations the cpu may hold") \
	X(GTLB_CHANGED,     "tlbsan: guest translations changed before a shootdown") \
	X(EPT_WALK_LOCAL,   "reads of ept tables of this node") \
	X(EPT_WALK_REMOTE,  "reads of ept tables of another node") \
	X(GUEST_WALK_LOCAL,  "reads of guest page tables of this node") \
	X(GUEST_WALK_REMOTE, "reads of guest page tables of another node")

enum emucount_id {
#define X(name, text) EMU_##name,
	EMUCOUNT_LIST(X)
#undef X
	EMU_NR_NAMED,
	EMU_EXIT_BASE = 64,	/* + basic exit reason: exits for that reason */
	EMU_NR_EXITS = 96,
	EMU_NR = EMU_EXIT_BASE + EMU_NR_EXITS
};

#define EMU_EXIT(reason) (EMU_EXIT_BASE + (reason))

struct emucount_snapshot {
	unsigned long long v[EMU_NR];
};

#ifndef EMUCOUNT_IN_EMULATOR

/* One counter of one CPU (or EMUCOUNT_SELF). Only when emucount_available(). */
static inline unsigned long long emucount_read(unsigned int cpu, unsigned int counter)
{
	unsigned int lo, hi;

	__asm__ volatile("rdpmc" : "=a"(lo), "=d"(hi)
			 : "c"(EMUCOUNT_RDPMC | (cpu & 0xff) << 8 | (counter & 0xff))
			 : "memory");
	return (unsigned long long)hi << 32 | lo;
}

/* Non-zero in the project's emulator. Safe everywhere; costs one CPUID. */
static inline int emucount_available(void)
{
	unsigned int a = EMUCOUNT_CPUID_LEAF, b = 0, c = 0, d = 0;

	__asm__ volatile("cpuid" : "+a"(a), "+b"(b), "+c"(c), "+d"(d));
	return a >= EMUCOUNT_VERSION && a < 0x1000 && b == EMUCOUNT_SIG_EBX &&
	       c == EMUCOUNT_SIG_ECX && d == EMUCOUNT_SIG_EDX;
}

/*
 * For tests of the TLB sanitizer: the next n reports, of whichever CPU, are what
 * is wanted. They are neither errors nor shown. Returns how many of the n of the
 * call before have not come.
 */
static inline unsigned int emucount_expect(unsigned int n)
{
	unsigned int left, hi;

	__asm__ volatile("rdpmc" : "=a"(left), "=d"(hi)
			 : "c"(EMUCOUNT_RDPMC | EMUCOUNT_EXPECT), "D"(n)
			 : "memory");
	return left;
}

/* Number of emulated CPUs. */
static inline unsigned int emucount_nr_cpus(void)
{
	return (unsigned int)emucount_read(EMUCOUNT_SELF, 0xff);
}

/* All counters of one CPU; reading costs about 5 instructions per counter. */
static inline void emucount_snapshot(unsigned int cpu, struct emucount_snapshot *s)
{
	unsigned int i;

	for (i = 0; i < EMU_NR; i++)
		s->v[i] = (i < EMU_NR_NAMED || i >= EMU_EXIT_BASE) ? emucount_read(cpu, i) : 0;
}

/* d = b - a; d may be a or b. */
static inline void emucount_diff(struct emucount_snapshot *d, const struct emucount_snapshot *a,
				 const struct emucount_snapshot *b)
{
	unsigned int i;

	for (i = 0; i < EMU_NR; i++)
		d->v[i] = b->v[i] - a->v[i];
}

/* sum += s, to add up CPUs. */
static inline void emucount_add(struct emucount_snapshot *sum, const struct emucount_snapshot *s)
{
	unsigned int i;

	for (i = 0; i < EMU_NR; i++)
		sum->v[i] += s->v[i];
}

/* Text of a named counter, 0 for numbers without a name (exit reasons: see emucount_exit_name). */
static inline const char *emucount_name(unsigned int counter)
{
	switch (counter) {
#define X(name, text) case EMU_##name: return text;
	EMUCOUNT_LIST(X)
#undef X
	}
	return 0;
}

static inline const char *emucount_exit_name(unsigned int reason)
{
	switch (reason) {
	case 0: return "exception or nmi";
	case 1: return "external interrupt";
	case 2: return "triple fault";
	case 7: return "interrupt window";
	case 8: return "nmi window";
	case 10: return "cpuid";
	case 12: return "hlt";
	case 13: return "invd";
	case 14: return "invlpg";
	case 15: return "rdpmc";
	case 16: return "rdtsc";
	case 18: return "vmcall";
	case 28: return "control register";
	case 29: return "debug register";
	case 30: return "i/o instruction";
	case 31: return "rdmsr";
	case 32: return "wrmsr";
	case 33: return "entry failure: guest state";
	case 34: return "entry failure: msr loading";
	case 36: return "mwait";
	case 37: return "monitor trap";
	case 39: return "monitor";
	case 40: return "pause";
	case 41: return "entry failure: machine check";
	case 48: return "ept violation";
	case 49: return "ept misconfiguration";
	case 50: return "invept";
	case 52: return "preemption timer";
	case 53: return "invvpid";
	case 54: return "wbinvd";
	case 55: return "xsetbv";
	case 59: return "vmfunc";
	case 62: return "pml full";
	case 63: return "xsaves";
	case 64: return "xrstors";
	}
	return 0;
}

#if defined(_STDIO_H) || defined(_STDIO_H_)
/* Every non-zero counter, one "name value" line each. Needs <stdio.h> included before. */
static inline void emucount_print(FILE *f, const struct emucount_snapshot *s)
{
	unsigned int i;

	for (i = 0; i < EMU_NR_NAMED; i++)
		if (s->v[i])
			fprintf(f, "%-32s %llu\n", emucount_name(i), s->v[i]);
	for (i = 0; i < EMU_NR_EXITS; i++) {
		if (!s->v[EMU_EXIT(i)])
			continue;
		if (emucount_exit_name(i))
			fprintf(f, "exit: %-26s %llu\n", emucount_exit_name(i), s->v[EMU_EXIT(i)]);
		else
			fprintf(f, "exit: reason %-19u %llu\n", i, s->v[EMU_EXIT(i)]);
	}
}
#endif

#endif /* EMUCOUNT_IN_EMULATOR */
#endif
