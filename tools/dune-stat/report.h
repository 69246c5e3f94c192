/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What dune-stat prints: a table for people, or JSON, one object a line. */
#ifndef DUNE_STAT_REPORT_H
#define DUNE_STAT_REPORT_H

#include <stdio.h>

#include "counters.h"

enum report_form { REPORT_TABLE, REPORT_JSON };
/* Counters that are 0 are left out of tables, never of JSON. */
enum report_zeros { REPORT_NO_ZEROS, REPORT_ZEROS };

struct report {
	FILE *out;
	enum report_form form;
	enum report_zeros zeros;
	const char *what;	/* the title: a command, a process */
};

void report_print(const struct report *r, const struct sample *a,
		  const struct sample *b);

#endif /* DUNE_STAT_REPORT_H */
