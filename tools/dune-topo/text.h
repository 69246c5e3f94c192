/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Tables for people. */
#ifndef DUNE_TOPO_TEXT_H
#define DUNE_TOPO_TEXT_H

#include <stddef.h>
#include <stdio.h>

#include "summary.h"

void text_machine(FILE *out, const struct machine *m);
/* By node, and by replica where there are several. */
void text_process(FILE *out, const struct view *v, const struct summary *s);
void text_threads(FILE *out, const struct view *v);
void text_vcpus(FILE *out, const struct summary *s);
void text_tables(FILE *out, const struct view *v, const struct summary *s);

/* "3.5 MiB" */
void text_bytes(char *text, size_t size, uint64_t bytes);
/* CPUs of a node, by its index: "0-3,8". */
void text_cpus(char *text, size_t size, const struct machine *m, int node);

#endif /* DUNE_TOPO_TEXT_H */
