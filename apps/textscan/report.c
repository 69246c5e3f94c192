// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "report.h"

#include <inttypes.h>
#include <string.h>

/* The columns of the table, in order. */
static const unsigned int columns[] = {
	DUNE_VCPU_entries,
	DUNE_VCPU_syscalls,
	DUNE_VCPU_hypercalls,
	DUNE_VCPU_ept_faults,
	DUNE_VCPU_ept_installs,
	DUNE_VCPU_ept_spurious,
	DUNE_VCPU_ept_retries,
	DUNE_VCPU_interrupts,
	DUNE_VCPU_host_work,
	DUNE_VCPU_preempted,
	DUNE_VCPU_migrated,
	DUNE_VCPU_kicked,
};
#define NR_COLUMNS	(sizeof(columns) / sizeof(columns[0]))

static int width(unsigned int column)
{
	int len = strlen(dune_vcpu_counter_name(column));

	return len < 8 ? 8 : len;
}

static void print_threads(const struct scan *s, FILE *out)
{
	uint64_t sum[NR_COLUMNS] = { 0 };
	unsigned int i, c;

	fprintf(out, "thread vcpu fd");
	for (c = 0; c < NR_COLUMNS; c++)
		fprintf(out, " %*s", width(columns[c]), dune_vcpu_counter_name(columns[c]));
	fputc('\n', out);
	for (i = 0; i < s->nr_workers; i++) {
		const struct worker *w = &s->workers[i];

		fprintf(out, "%6u %7d", i, w->vcpu_fd);
		for (c = 0; c < NR_COLUMNS; c++) {
			fprintf(out, " %*" PRIu64, width(columns[c]), w->vcpu[columns[c]]);
			sum[c] += w->vcpu[columns[c]];
		}
		fputc('\n', out);
	}
	fprintf(out, "   all        ");
	for (c = 0; c < NR_COLUMNS; c++)
		fprintf(out, " %*" PRIu64, width(columns[c]), sum[c]);
	fputc('\n', out);
}

/* A reading during which nothing moved. */
static bool read_still(struct dune_stats *stats)
{
	struct dune_stats again;
	unsigned int i;

	for (i = 0; i < 1000; i++) {
		if (dune_stats(stats) || dune_stats(&again))
			return false;
		if (!memcmp(stats->vm, again.vm, sizeof(again.vm)))
			return true;
	}
	return false;
}

static unsigned int check(FILE *out, bool ok, const char *what)
{
	fprintf(out, "%s: %s\n", ok ? "ok" : "FAILED", what);
	return !ok;
}

static bool own_vcpus(const struct scan *s)
{
	unsigned int i, j;

	for (i = 0; i < s->nr_workers; i++) {
		const struct worker *w = &s->workers[i];

		if (!w->inside || w->vcpu_fd < 0 || !w->vcpu[DUNE_VCPU_entries])
			return false;
		for (j = 0; j < i; j++)
			if (s->workers[j].vcpu_fd == w->vcpu_fd)
				return false;
	}
	return true;
}

unsigned int report_stats(const struct scan *s, FILE *out)
{
	struct dune_stats stats;
	uint64_t present;
	unsigned int i, failed;

	print_threads(s, out);
	fputc('\n', out);
	if (!read_still(&stats))
		return check(out, false, "read the vm's counters");
	for (i = 0; i < DUNE_NR_VM_COUNTERS; i++)
		fprintf(out, "%14s %10" PRIu64 "  %s\n", dune_vm_counter_name(i),
			stats.vm[i], dune_vm_counter_text(i));
	fputc('\n', out);

	present = stats.vm[DUNE_VM_ept_4k] + stats.vm[DUNE_VM_ept_2m] +
		  stats.vm[DUNE_VM_ept_1g];
	failed = check(out, own_vcpus(s), "every thread ran to its end in Dune mode on a vCPU of its own");
	failed += check(out, stats.vm[DUNE_VM_ept_installed] - stats.vm[DUNE_VM_ept_removed] == present,
			"every EPT leaf installed once: installed - removed = present (a page one thread faulted in, no other faults again)");
	return failed;
}
