// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "cost.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define LOCAL	10u	/* distances of ACPI's table */
#define REMOTE	21u

#define COST_DEFAULT(name, value, text)	.name = value,
const struct cost cost_default = { COSTS(COST_DEFAULT) };

#define COST_PLACE(name, value, text)	{ #name, offsetof(struct cost, name), text },
static const struct place {
	const char *name;
	size_t at;
	const char *text;
} places[] = { COSTS(COST_PLACE) };

#define NR_PLACES	(sizeof(places) / sizeof(*places))

static u64 *field(const struct cost *cost, const struct place *place)
{
	return (u64 *)((char *)cost + place->at);
}

int cost_set(struct cost *cost, const char *assignment)
{
	const char *equals = strchr(assignment, '=');
	char *end;

	if (!equals || !equals[1])
		return -1;
	for (size_t i = 0; i < NR_PLACES; i++) {
		size_t length = equals - assignment;
		unsigned long value;

		if (strlen(places[i].name) != length ||
		    strncmp(places[i].name, assignment, length))
			continue;
		value = strtoul(equals + 1, &end, 10);
		/* A loop that takes no time would spin for ever. */
		if (*end || value > 1000000 ||
		    (!value && (field(cost, &places[i]) == &cost->group ||
				field(cost, &places[i]) == &cost->pause)))
			return -1;
		*field(cost, &places[i]) = value;
		return 0;
	}
	return -1;
}

void cost_each(const struct cost *cost,
	       void (*fn)(const char *name, u64 value, const char *text, void *arg),
	       void *arg)
{
	for (size_t i = 0; i < NR_PLACES; i++)
		fn(places[i].name, *field(cost, &places[i]), places[i].text, arg);
}

static u64 over(u64 near, u64 far, u32 distance)
{
	if (distance <= LOCAL || far < near)
		return near;
	return near + (far - near) * (distance - LOCAL) / (REMOTE - LOCAL);
}

u64 cost_line(const struct cost *cost, u32 distance)
{
	return over(cost->line_near, cost->line_far, distance);
}

u64 cost_ipi(const struct cost *cost, u32 distance)
{
	return over(cost->ipi_near, cost->ipi_far, distance);
}
