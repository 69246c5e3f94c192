/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * How much of everything there may be, and what it takes. docs/scale-limits.md.
 *
 * main.c: the parts. cpus.c: one on each CPU. vcpus.c: many vCPUs at once, one after the other, idle.
 * processes.c: many processes. memory.c: sparse memory, tables. measure.c: memory
 * of machine and process.
 */
#ifndef SCALE_H
#define SCALE_H

#include <stdbool.h>
#include <stdint.h>

#define KIB	1024ul
#define MIB	(1ul << 20)
#define GIB	(1ul << 30)
#define TIB	(1ul << 40)
#define PAGE	4096ul

/* ---- measure.c ---- */

struct memory {
	long all_kb;		/* of the machine, that is gone */
	long slab_kb;		/* of that, kernel objects that stay */
	long process_kb;	/* pages of this process */
	long host_tables_kb;	/* Linux' page tables of it */
	uint64_t ept_tables;
};

/* Now; and what has come since then. */
struct memory memory_now(void);
struct memory memory_since(const struct memory *before);
/* A line of the table: what one of nr takes. Unit: bytes. */
void report_each(const char *what, const struct memory *m, long nr);
/* KASAN and the like: objects are larger, and stay for a while when they are free. */
bool is_debug_kernel(void);

/* ---- parts ---- */

void every_cpu(void);
void vcpus_at_once(void);
void vcpus_idle(void);
void vcpu_lifetimes(void);
void processes_at_once(void);
void sparse_memory(void);
void tables_per_gib(void);

#endif /* SCALE_H */
