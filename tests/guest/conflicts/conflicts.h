/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Which cache lines two vCPUs of one process have in common, operation by
 * operation; the emulator's conflict detector watches. docs/conflicts.md.
 *
 * main.c: the cells of the matrix. ops.c: the operations. symbols.c: names.
 * report.c: whose is each line, and what is printed.
 */
#ifndef CONFLICTS_H
#define CONFLICTS_H

#include <stdbool.h>
#include <stdint.h>

#include "dune.h"
#include "emuconflict.h"

/* ---- ops.c: what a vCPU does ---- */

struct op {
	const char *name;
	/* One operation, in Dune mode; place: a page that is its alone. */
	void (*run)(volatile char *place);
	/* What undoes it, not looked at; NULL: nothing. */
	void (*after)(void);
	/* Bytes between the places; 0: it needs none. */
	uint64_t step;
	/* What has to be there before; NULL: nothing. In plain mode. */
	void (*populate)(char *area, uint64_t bytes);
	/* A counter of the vCPU that it raises by one at least. */
	enum dune_vcpu_counter counter;
	bool in_linux;		/* Linux' own code is part of it, and shares */
	bool of_vm;		/* changes what all vCPUs have; not twice at once */
};

extern const struct op ops[];
extern const int nr_ops;
const struct op *op_named(const char *name);

/* ---- report.c ---- */

/* Whose a line in conflict is. */
enum owner {
	OWNER_MODULE,	/* an object, static data, or written by its code */
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
};

/*
 * Judge what the emulator saw in this cell. The module's lines are printed,
 * and those that it reads where Linux has no reason to write.
 */
void report_cell(struct cell *cell);
/* Does a line of this owner fail the cell? */
bool is_forbidden(const struct cell *cell, enum owner owner);
void report_matrix(const struct cell *cells, int nr);
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

#endif /* CONFLICTS_H */
