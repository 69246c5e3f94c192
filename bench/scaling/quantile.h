/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What is said of a sample of costs beside its median. Sorted samples, n > 0. */
#ifndef BENCH_QUANTILE_H
#define BENCH_QUANTILE_H

#include <stdint.h>

/* The smallest value that 99 % of the sample do not exceed. */
uint32_t quantile_p99(const uint32_t *sorted, int n);

/*
 * Bounds that hold the median of whatever the sample was taken from in at least
 * 95 % of samples, however the costs are distributed; the smallest and the
 * largest value when the sample is too small for it (under 6).
 */
void quantile_median_bounds(const uint32_t *sorted, int n, uint32_t *low, uint32_t *high);

#endif /* BENCH_QUANTILE_H */
