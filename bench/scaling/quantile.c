// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "quantile.h"

#include <math.h>

uint32_t quantile_p99(const uint32_t *sorted, int n)
{
	return sorted[(99 * n + 99) / 100 - 1];
}

/* The chance that at most k of n values are below the median: the sum of C(n, i) / 2^n. */
static double at_most_below(int k, int n)
{
	double sum = 0;

	for (int i = 0; i <= k; i++)
		sum += exp(lgamma(n + 1) - lgamma(i + 1) - lgamma(n - i + 1) - n * M_LN2);
	return sum;
}

/*
 * How many values of the sample are below the median is binomial. So it is outside
 * of the k-th value from below and from above with twice the chance that fewer
 * than k are below it.
 */
void quantile_median_bounds(const uint32_t *sorted, int n, uint32_t *low, uint32_t *high)
{
	int k = n / 2 - sqrt(n) - 1;

	if (k < 0)
		k = 0;
	while (k < n / 2 && at_most_below(k, n) <= 0.025)
		k++;
	if (k > 0)
		k--;
	*low = sorted[k];
	*high = sorted[n - 1 - k];
}
