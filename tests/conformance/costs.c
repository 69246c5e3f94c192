// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See costs.h. */
#include <stdio.h>
#include <string.h>

#include "costs.h"

static bool emulated;
static int source = -1;

void costs_init(void)
{
	emulated = emucount_available();
	source = source_open(0);
}

static void take_emulator(struct emucount_snapshot *sum)
{
	struct emucount_snapshot one;

	memset(sum, 0, sizeof(*sum));
	for (unsigned int cpu = 0; emulated && cpu < emucount_nr_cpus(); cpu++) {
		emucount_snapshot(cpu, &one);
		emucount_add(sum, &one);
	}
}

void costs_take(struct costs *c)
{
	memset(c, 0, sizeof(*c));
	if (source >= 0)
		sample_take(source, &c->module);
	take_emulator(&c->emulator);
}

static void show_emulator(const struct emucount_snapshot *d)
{
	if (d->v[EMU_INSN])
		printf(" insns=%llu", d->v[EMU_INSN]);
	if (d->v[EMU_VMEXIT])
		printf(" exits=%llu", d->v[EMU_VMEXIT]);
	for (unsigned int i = 0; i < EMU_NR_EXITS; i++)
		if (d->v[EMU_EXIT(i)])
			printf(" exit.%u=%llu", i, d->v[EMU_EXIT(i)]);
}

void costs_show_since(const struct costs *before)
{
	static struct counter counters[2 * MAX_COUNTERS];
	struct emucount_snapshot d;
	unsigned int nr, nr_vcpu;
	struct costs after;

	costs_take(&after);
	emucount_diff(&d, &before->emulator, &after.emulator);
	show_emulator(&d);
	nr = sample_diff(&before->module, &after.module, counters, &nr_vcpu);
	for (unsigned int i = 0; i < nr; i++)
		if (counters[i].value && !counters[i].level)
			printf(" %s=%llu", counters[i].name, (unsigned long long)counters[i].value);
}
