/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The suite's programs: operations as a table, each made in plain Linux and in Dune
 * mode, by 1 to N threads at once, and by one thread beside others that run; the
 * latter is what the shootdown protocols predict exactly. README.md has the rows.
 */
#ifndef BENCH_SUITE_H
#define BENCH_SUITE_H

#include "team.h"

/* Whose calls change memory in Dune mode; plain Linux has only its own. */
#define BY_LINUX	"linux"		/* system calls */
#define BY_DUNE		"dune"		/* dune_vm_: the program's own page tables */

/*
 * An operation in one mode. Where nothing is to be done: NULL. begin() to op() are
 * called by each thread for itself, in its mode; first is the operation's first page.
 */
struct suite_way {
	void (*setup)(void);	/* of the process, in plain mode, after dune_on() */
	void (*begin)(int member);
	void (*end)(int member);
	void (*prepare)(volatile char *page);	/* by one thread, in plain mode */
	void (*before)(volatile char *first);
	void (*op)(volatile char *first);
	/* What others read that use the same GiB; NULL: team_near(). */
	volatile char *(*near)(void);
};

/*
 * What docs/shootdown.md and docs/guest-shootdown.md say that one operation does in
 * Dune mode. Kicks: of each other thread that is in the guest, one IPI for all that
 * are kicked together. IPIs of Linux' own flush come on top: those that it sends natively
 * in the same run.
 */
struct suite_protocol {
	int shootdowns;		/* of the EPT, those included that Linux' own flush makes */
	int ept_kicks;		/* for them */
	int guest_kicks;	/* for the program's page tables, of who uses the same GiB */
	int ipis;		/* interrupts of threads by threads */
	enum { TOGETHER, ONE_BY_ONE } sends;	/* those */
	int threads;		/* to so many its CPU goes, its own again included */
	/* It frees, and takes long: ticks and RCU wake kernel threads elsewhere, by IPIs. */
	enum { IPIS_ARE_OURS, LINUX_WAKES } sent;
};

/* How much an operation of threads with nothing in common may cost beside others. */
enum suite_flat {
	FLAT,		/* its median: what it is alone + 5 % + what plain Linux adds */
	FLAT_LEAST,	/* its least: ticks, a lock or the scheduler of Linux are in others */
	NOT_FLAT,	/* it interrupts them, or is made anew each time by chance */
	TALKING,	/* it is made to interrupt them: kicks are no fault either */
};

struct suite_op {
	const char *name;
	const char *by;		/* BY_LINUX, BY_DUNE or, if it changes no memory, "none" */
	unsigned int layouts;	/* SUITE_IN() of those that make sense */
	int group;		/* as in struct work */
	enum suite_flat flat;
	const struct suite_way *way[DUNE + 1];
	const struct suite_protocol *protocol;	/* NULL: not made beside others */
};
#define SUITE_IN(layout) (1u << (layout))
#define SUITE_BOTH(way) { [NATIVE] = &(way), [DUNE] = &(way) }

/*
 * Each page of a team has one elsewhere, where nothing is mapped: in both page tables,
 * once suite_clear_elsewhere() has emptied the program's.
 */
static inline char *suite_elsewhere(volatile char *page)
{
	return (char *)page + TIB;
}
void suite_clear_elsewhere(void);
/* There, in the first thread's GiB: a page that stays. */
volatile char *suite_near_elsewhere(void);

/* For main(): all of a program that has these operations. */
int suite_main(int argc, char **argv, const char *about, const struct suite_op *ops,
	       int nr);

/* For suite_limits.c. */
enum suite_beside {
	BESIDE_NEAR,	/* the others use the first thread's GiB */
	BESIDE_FAR,	/* another one */
	NR_BESIDE
};
struct label suite_team_label(const struct suite_op *op, enum layout layout, int vcpus,
			      enum mode mode);
struct label suite_beside_label(const struct suite_op *op, enum suite_beside beside,
				enum mode mode);
void suite_limits(const struct suite_op *ops, int nr);

#endif /* BENCH_SUITE_H */
