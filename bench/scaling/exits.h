/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The parts of exits.c: what an exit costs, and what a vCPU that follows its
 * thread costs. Rows are named by op and, in who, by the system that made it.
 */
#ifndef BENCH_EXITS_H
#define BENCH_EXITS_H

#include "measure.h"

/* Who makes it: label.who, and the mode that goes with it. */
enum exits_by { BY_NATIVE, BY_FAST, BY_REISSUE, BY_KVM, NR_EXITS_BY };
struct label exits_label(const char *op, enum exits_by by);
const struct result *exits_find(const char *op, enum exits_by by);

/* Found by children, judged by the parent: in shared memory. */
struct exits_facts {
	/* Of PROBE_CALLS calls of getppid, those made inside the kernel. */
	long fast_calls[NR_EXITS_BY];
	bool fast_probed[NR_EXITS_BY];
	/* Of PINNED_EXITS exits: totals, and of those without an interrupt. */
	struct pinned {
		long exits, quiet_exits;
		long total[EMU_NR], quiet[EMU_NR];
	} pinned[NR_EXITS_BY];
};
#define PROBE_CALLS	100
#define PINNED_EXITS	100000
extern struct exits_facts *facts;

/* One hypercall that does nothing; the instruction CPUID; getppid by SYSCALL. */
void op_hypercall(void *arg, int rep);
void op_cpuid(void *arg, int rep);
void op_getppid(void *arg, int rep);
void op_nothing(void *arg, int rep);

/* exits_moves.c: interrupts, CPU changes, thread switches; in a child. */
void exits_moves(enum exits_by by);
void exits_pinned(enum exits_by by);

/* kvm_exits.c: the same in a KVM guest; says why when it cannot. In a child. */
void kvm_exits(const void *unused);

/* exits_limits.c */
void exits_limits(void);

#endif /* BENCH_EXITS_H */
