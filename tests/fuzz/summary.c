// SPDX-License-Identifier: GPL-2.0 OR MIT
/* What a run has seen: a fuzzer that reaches nothing finds nothing. */
#include "fuzz.h"

#include <errno.h>
#include <stdio.h>

#include "emucount.h"

static struct emucount_snapshot before;

static bool all_cpus(struct emucount_snapshot *sum)
{
	struct emucount_snapshot one;

	if (!emucount_available())
		return false;
	*sum = (struct emucount_snapshot){ 0 };
	for (unsigned int cpu = 0; cpu < emucount_nr_cpus(); cpu++) {
		emucount_snapshot(cpu, &one);
		emucount_add(sum, &one);
	}
	return true;
}

void summary_start(void)
{
	all_cpus(&before);
}

/* The emulator knows which exits the guests made. */
static void print_machine(uint64_t cases)
{
	struct emucount_snapshot now, d;

	if (!all_cpus(&now))
		return;
	emucount_diff(&d, &before, &now);
	printf("  emulated instructions a case: %llu\n  VM exits:",
	       d.v[EMU_INSN] / (cases ? cases : 1));
	for (unsigned int i = 0; i < EMU_NR_EXITS; i++)
		if (d.v[EMU_EXIT(i)])
			printf(" %s(%u) %llu", emucount_exit_name(i) ?
			       emucount_exit_name(i) : "", i, d.v[EMU_EXIT(i)]);
	printf("\n");
}

static void print_counts(const char *what, const char *const *names,
			 const uint64_t *counts, unsigned int n)
{
	printf("  %s:", what);
	for (unsigned int i = 0; i < n; i++)
		if (counts[i] && names)
			printf(" %s %llu", names[i], (unsigned long long)counts[i]);
		else if (counts[i])
			printf(" %u: %llu", i, (unsigned long long)counts[i]);
	printf("\n");
}

static bool seen(const char *what, bool ok)
{
	if (!ok)
		printf("coverage: FAILED: never seen: %s\n", what);
	return ok;
}

static const char *const kinds[8] = {
	"syscall", "retry", "fault", "hypercall", "crash",
	"entry_failed", "unknown", "quantum",
};

void summary_print(uint64_t cases)
{
	const struct shared *s = shared;

	printf("  children %llu, of them killed %llu; vCPUs %llu; results judged %llu, exceptions proved %llu\n",
	       (unsigned long long)batches_children, (unsigned long long)batches_killed,
	       (unsigned long long)s->vcpus, (unsigned long long)s->judged,
	       (unsigned long long)s->proved);
	print_counts("guest classes", class_names, s->classes, NR_CLASSES);
	print_counts("ends of DUNE_RUN", kinds, s->kinds, 8);
	print_counts("errnos", NULL, s->errnos, NR_ERRNOS);
	print_counts("signals", NULL, s->signals, 65);
	print_counts("calls by kind", NULL, s->ops, NR_WHATS);
	print_counts("racers' actions by kind", NULL, s->racer_actions, NR_RACERS);
	print_machine(cases);
}

bool summary_saw_all(void)
{
	const struct shared *s = shared;
	bool ok = true;

	for (unsigned int i = 0; i < 8; i++)
		if (i != DUNE_EXIT_UNKNOWN)
			ok &= seen(kinds[i], s->kinds[i]);
	for (unsigned int i = 0; i < NR_CLASSES; i++)
		ok &= seen(class_names[i], s->classes[i]);
	ok &= seen("EPERM", s->errnos[EPERM]) & seen("EFAULT", s->errnos[EFAULT]) &
	      seen("EINVAL", s->errnos[EINVAL]) & seen("EBUSY", s->errnos[EBUSY]) &
	      seen("ENOTTY", s->errnos[ENOTTY]) & seen("EIO", s->errnos[EIO]);
	return ok;
}
