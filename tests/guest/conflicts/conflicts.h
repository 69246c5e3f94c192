/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Which cache lines two vCPUs of one process have in common, operation by
 * operation; the emulator's conflict detector watches. docs/conflicts.md.
 *
 * main.c: the cells of the matrix. ops.c: operations of the module, ops_paging.c:
 * of libdune, ops_flush.c: what takes memory away. symbols.c: names. owner.c: whose
 * is each line. report.c: what is printed.
 */
#ifndef CONFLICTS_H
#define CONFLICTS_H

#include <stdbool.h>
#include <stdint.h>

#include "dune.h"
#include "emuconflict.h"

#define PAGE	4096ul
#define MIB	(1ul << 20)
#define GIB	(1ul << 30)

/* ---- operations: what a vCPU does ---- */

/* What an operation shares with others by its nature: docs/scaling-conflicts.md. */
#define OF_LINUX	(1u << 0)	/* Linux' own code is part of it, and shares */
#define OF_VM		(1u << 1)	/* changes what all vCPUs have; not twice at once */
#define OF_BUCKET	(1u << 2)	/* marks an invalidation in a bucket of the EPT's */
#define MANY_BUCKETS	(1u << 3)	/* looks at so many buckets that it finds that one */
#define OF_GENERATION	(1u << 4)	/* raises what every entry compares */
#define STAYS_INSIDE	(1u << 5)	/* no exit, or one within a run: compares nothing */

struct op {
	const char *name;
	/* One operation, in Dune mode; place: memory that is its alone. */
	void (*run)(volatile char *place);
	/* What is to be there before each, and what undoes it; not looked at. NULL: nothing. */
	void (*prepare)(volatile char *place);
	void (*after)(volatile char *place);
	/* Around all of a thread's operations, in Dune mode. NULL: nothing. */
	void (*begin)(volatile char *area);
	void (*end)(volatile char *area);
	/* Bytes between the places; 0: it needs none. */
	uint64_t step;
	/* What has to be there before; NULL: nothing. In plain mode. */
	void (*populate)(char *area, uint64_t bytes);
	/* How often the thread has done it, raised by one at least each time. */
	uint64_t (*done)(void);
	unsigned int shares;		/* OF_... */
	unsigned long rest;		/* instructions after each: others are let be */
};

#define MAX_OPS 16

extern const struct op module_ops[], paging_ops[], flush_ops[];
extern const int nr_module_ops, nr_paging_ops, nr_flush_ops;
/* ops.c: memory that the host has, writable and dirty. */
void all_pages(char *area, uint64_t bytes);
/* ops_paging.c: before any thread; the handlers of all operations. */
void paging_handlers(void);

/* ---- owner.c: whose is a line in conflict ---- */

enum owner {
	OWNER_MODULE,	/* an object, static data, or written by its code */
	OWNER_LIBRARY,	/* the same of libdune */
	OWNER_READ,	/* Linux', and the module's code reads it */
	OWNER_KERNEL,	/* Linux', touched by its code only */
	OWNER_PROGRAM,	/* touched by the process itself */
	OWNER_CPU,	/* walks of the host's page tables only */
	NR_OWNERS
};

struct cell {
	const struct op *op[2];
	long ops[2];		/* operations that count, of each vCPU */
	long disturbed[2];	/* and that do not */
	bool incomplete;	/* too few of them: nothing is proved */
	bool control;		/* is to have conflicts */
	long lines[NR_OWNERS];	/* in conflict */
	long forbidden;		/* of these: they fail the cell */
};

/* The first in enum owner that any of these accesses of a line speaks for. */
enum owner owner_of(const struct emuconflict_site *s, long nr);
/* Does this line fail the cell? */
bool is_forbidden(const struct cell *cell, const struct emuconflict_site *s, long nr);
/* Could one of this owner do so? */
bool is_judged(const struct cell *cell, enum owner owner);

/* ---- report.c ---- */

/*
 * Judge what the emulator saw in this cell. Lines that fail it are printed.
 */
void report_cell(struct cell *cell);
void report_matrix(const struct op *const *ops, int nr_ops, const struct cell *cells, int nr);
/* All lines of all cells, in $DUNE_OUT/conflicts.json. */
void report_open(void);
void report_close(void);

/* ---- symbols.c ---- */

struct symbol {
	const char *name;	/* "" when there is none near */
	uint64_t offset;
	char type;		/* as nm(1) prints it */
	bool module;		/* of dune.ko */
};

struct symbol symbol_of(uint64_t addr);

/* Where libdune is in this process. */
enum place { PLACE_ELSEWHERE, PLACE_LIBRARY_CODE, PLACE_LIBRARY_DATA };
/* *offset: in the file, as binutils count. */
enum place library_place(uint64_t addr, uint64_t *offset);

#endif /* CONFLICTS_H */
