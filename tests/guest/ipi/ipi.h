/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The test of dune_ipi.h: interrupts between threads. Shared by its parts;
 * main.c lists them.
 */
#ifndef TESTS_IPI_H
#define TESTS_IPI_H

#include "dune_ipi.h"
#include "test.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof(*(a)))

/* ---- targets (target.c): threads that are told what to do ---- */

enum target_does {
	TARGET_RUNS,		/* in the guest, without an exit of its own */
	TARGET_BLOCKS,		/* in a system call, until it is told the next */
	TARGET_PLAIN,		/* in plain mode */
	TARGET_POLLS,		/* polls, without exits */
	TARGET_DEAF,		/* said that it polls, and does not */
	TARGET_MASKED,		/* runs, interrupts are off */
	TARGET_ENDS,		/* in plain mode; the thread ends */
	TARGET_ENDS_INSIDE,	/* pthread_exit() in Dune mode, interrupts off */
};

struct target;
struct target *target_new(void);
dune_ipi_id target_id(const struct target *t);
/* Returns when it does so. */
void target_tell(struct target *t, enum target_does what);
/* Tell it to end, wait until it has, free it. */
void target_end(struct target *t, enum target_does how);
/* How often counting() ran on it, for this vector. */
uint64_t target_got(const struct target *t, unsigned int vector);
/* Wait until target_got() is n; a failure after a while. */
bool target_waits_for(const struct target *t, unsigned int vector, uint64_t n);

/* The handler of all vectors that targets get: counts, by thread. */
enum dune_trap_action counting(struct dune_trap *trap, void *arg);
void counting_begin(unsigned int vector);
/* On the calling thread; other threads than targets count here. */
uint64_t own_got(unsigned int vector);
bool own_waits_for(unsigned int vector, uint64_t n);

/* Of the calling thread, which has a vCPU. */
struct dune_ipi_counts counts_now(void);

static inline bool irqs_are_on(void)
{
	return __builtin_ia32_readeflags_u64() & 0x200;
}

/* ---- parts ---- */

void part_arguments(void);		/* basic.c */
void part_self(void);
void part_masking(void);
void part_masked_calls(void);
void part_ring3(void);			/* ring3.c */
void part_unhandled(void);
void part_polls(void);
void part_order(void);			/* nesting.c */
void part_nesting(void);
void part_nesting_bound(void);
void part_frame(void);
void part_running(void);		/* where.c */
void part_outside(void);
void part_polling(void);
void part_plain_sender(void);
void part_multicast(void);
void part_death(void);			/* life.c */
void part_death_race(void);
void part_foreign(void);
void part_signal_leaves(void);
void part_fork(void);
void part_exact(void);			/* exact.c */
void part_exact_two(void);
void part_storm(void);			/* storm.c */

#endif /* TESTS_IPI_H */
