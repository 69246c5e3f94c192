/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The --stats table of a run in Dune mode. */
#ifndef REPORT_H
#define REPORT_H

#include "scan.h"

/* Print the counters and what they must satisfy; the number of failed checks. */
unsigned int report_stats(const struct scan *s, FILE *out);

#endif /* REPORT_H */
