/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The cost model: all in ns, all assumptions. docs/scaling-shootdown.md says what
 * each stands for and where it comes from.
 */
#ifndef SHOOTDOWN_SIM_COST_H
#define SHOOTDOWN_SIM_COST_H

#include "sim.h"

/* name, default, meaning */
#define COSTS(X)								\
	X(hit,		1,	"access of a line that the core has")		\
	X(atomic,	6,	"read-modify-write of it; a full fence")	\
	X(line_near,	45,	"line from another core of the node")		\
	X(line_far,	130,	"line from a node at distance 21")		\
	X(icr,		100,	"a write of the APIC's command register")	\
	X(group,	16,	"CPUs of a package that one such write reaches; 1: physical mode") \
	X(ipi_near,	700,	"from there to a CPU of the node")		\
	X(ipi_far,	1000,	"from there to a CPU at distance 21")		\
	X(exit,		300,	"VM exit for the interrupt")			\
	X(entry,	300,	"VM entry")					\
	X(handler,	250,	"interrupt entry, acknowledge, return")		\
	X(invept,	200,	"INVEPT of one root")				\
	X(pause,	40,	"one turn of a spinning loop")

#define COST_FIELD(name, value, text)	u64 name;
struct cost {
	COSTS(COST_FIELD)
};

extern const struct cost cost_default;

/* "NAME=NS": 0, or -1 for a name or number that is none. */
int cost_set(struct cost *cost, const char *assignment);
/* fn(name, value, text) of each. */
void cost_each(const struct cost *cost,
	       void (*fn)(const char *name, u64 value, const char *text, void *arg),
	       void *arg);

/* A line, an interrupt over a distance as ACPI's SLIT has it; 10: own node. */
u64 cost_line(const struct cost *cost, u32 distance);
u64 cost_ipi(const struct cost *cost, u32 distance);

#endif /* SHOOTDOWN_SIM_COST_H */
