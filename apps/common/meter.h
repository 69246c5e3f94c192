/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What a stretch of a run took: time, and, in the emulated machine, the
 * instructions of all CPUs, kernel and module included.
 */
#ifndef METER_H
#define METER_H

#include <stdint.h>

struct meter {
	uint64_t instructions;	/* 0: this machine does not count them */
	uint64_t ns;
};

/* To be called once, in plain mode, before the others. */
void meter_init(void);
/* A reading; either mode. */
struct meter meter_read(void);
/* What went by since then. */
struct meter meter_since(const struct meter *start);
/* "label: N instructions, N ms", and per unit, on stderr. */
void meter_print(const char *label, const struct meter *took, uint64_t units, const char *unit);

#endif /* METER_H */
