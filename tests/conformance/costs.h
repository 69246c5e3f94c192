/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What a program cost, all CPUs and all processes together: instructions and VM
 * exits by reason from the emulator, where this is one, and the module's counters.
 */
#ifndef CONFORMANCE_COSTS_H
#define CONFORMANCE_COSTS_H

#include "../../tools/dune-stat/counters.h"
#include "emucount.h"

struct costs {
	struct emucount_snapshot emulator;
	struct sample module;
};

void costs_init(void);
void costs_take(struct costs *c);
/* " WORD=NUMBER" for each that is not zero, on stdout. */
void costs_show_since(const struct costs *before);

#endif /* CONFORMANCE_COSTS_H */
