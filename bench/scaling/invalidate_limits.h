/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What ept_invalidate's results must not exceed. */
#ifndef BENCH_INVALIDATE_LIMITS_H
#define BENCH_INVALIDATE_LIMITS_H

/* The crowd with a spinning thread on each CPU but the initiator's. */
#define SPIN_ALL "spinall"

/* Judges whatever was measured; of calls made in plain mode. */
void invalidate_limits(void);

#endif /* BENCH_INVALIDATE_LIMITS_H */
