/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The test of dune_trap.h: the program's own handlers of exceptions. Shared by
 * its parts; main.c lists them.
 */
#ifndef TESTS_TRAPS_H
#define TESTS_TRAPS_H

#include "dune_trap.h"
#include "test.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof(*(a)))

/* ---- sites (sites.c): instructions that trap, with all registers known ---- */

/*
 * Load the general registers of *in but rsp, fill the red zone, execute the
 * site's instruction, store what they are then, and rsp, in *out. The number of
 * words of the red zone that are wrong. One thread at a time.
 */
typedef int (*site_fn)(const struct dune_regs *in, struct dune_regs *out);

struct site {
	const char *name;
	site_fn fn;
	const char *insn, *end;	/* the instruction, the one behind it */
	unsigned int vector;
	bool trap;		/* rip is behind the instruction */
	uint64_t error_code;
};
extern const struct site sites[];
extern const unsigned int nr_sites;
const struct site *site_named(const char *name);

/* An address that is in no page table, and that Linux has nothing at either. */
#define NOWHERE 0xffff800000001000ul

/* INT vector, RET. */
void int_n(unsigned int vector);
extern const char int_stubs[];	/* 4 bytes each */

/* Registers of which no two are alike, fit for every site. */
void regs_fill(struct dune_regs *r, uint64_t *seed);
/* Fails if one differs, rsp apart. */
void regs_check(const char *what, const struct dune_regs *got,
		const struct dune_regs *want);
/* What the handler was given. */
void trap_regs(struct dune_regs *r, const struct dune_trap *trap);

/* ---- parts ---- */

void part_vectors(void);
void part_int_n(void);
void part_write_registers(void);
void part_elsewhere(void);
void part_single_step(void);
void part_allow(void);
void part_page_faults(void);
void part_bad_rip(void);

void part_nesting(void);
void part_nesting_exceeded(void);
void part_fills(void);

void part_vectors_saved(void);
void part_fpu_state(void);

void part_calls(void);
void part_fork(void);
void part_modes(void);
void part_signals(void);
void part_signal_storm(void);
void part_signal_leaves(void);
void part_deliver(void);
void part_breakpoint_gone(void);
void part_guests_own(void);
void part_crash_inside(void);

void part_arguments(void);
void part_races(void);
void part_sync(void);

#endif /* TESTS_TRAPS_H */
