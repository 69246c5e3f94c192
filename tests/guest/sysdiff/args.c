// SPDX-License-Identifier: GPL-2.0 OR MIT
/* From the description of a call to its arguments and their memory. */
#include "sysdiff.h"

#include <string.h>

uint64_t sd_first_break;

uint64_t sd_arg_value(const struct sd_arg *a, int i)
{
	switch (a->kind) {
	case ARG_NONE:
		return 0x1111111111111111ul * (i + 1);
	case ARG_OUT:
	case ARG_IN:
	case ARG_MEM:
		return SD_AT(i, a->value);
	case ARG_BRK:
		return sd_first_break + a->value;
	default:
		return a->value;
	}
}

/* Slots with memory of this call; 6 and higher all together. */
static unsigned int slots_of(const struct sd_base *b)
{
	unsigned int slots = 0;

	for (int i = 0; i < 6; i++) {
		if (b->arg[i].kind == ARG_OUT || b->arg[i].kind == ARG_IN ||
		    b->arg[i].kind == ARG_MEM)
			slots |= 1u << i;
		/* Structs may point to them. */
		if (b->arg[i].init)
			slots |= -1u << 6;
	}
	return slots;
}

void sd_args_fill(const struct sd_base *b)
{
	sd_memory_fill(slots_of(b));
	for (int i = 0; i < 6; i++)
		if (b->arg[i].init)
			memcpy((void *)SD_AT(i, b->arg[i].value), b->arg[i].init,
			       b->arg[i].value);
	for (unsigned int i = 0; i < ARRAY_SIZE(b->more); i++)
		if (b->more[i].init)
			memcpy((void *)SD_AT(6 + i, b->more[i].size), b->more[i].init,
			       b->more[i].size);
}

uint64_t sd_args_digest(const struct sd_base *b)
{
	unsigned int changing = 0;

	for (int i = 0; i < 6; i++)
		changing |= b->arg[i].changes << i;
	return sd_memory_digest(slots_of(b), changing);
}
