/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Results as a table, CSV or JSON. */
#ifndef SHOOTDOWN_SIM_OUTPUT_H
#define SHOOTDOWN_SIM_OUTPUT_H

#include <stdio.h>

#include "experiment.h"

struct cost;
struct topology;

/* All of one machine. */
struct report {
	const struct topology *topology;
	const struct cost *cost;
	const struct result *results;
	u32 nr_results;
};

void output_table(FILE *to, const struct report *report);
void output_csv(FILE *to, const struct report *reports, u32 nr);
/* 0, or -1 and errno. */
int output_json(FILE *to, const struct report *reports, u32 nr);

#endif /* SHOOTDOWN_SIM_OUTPUT_H */
