// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What the protocols predict of an operation, and what was measured; and whether
 * threads with nothing in common cost each other anything.
 */
#include <string.h>

#include "limits.h"
#include "suite.h"

/* One operation as it was made, for the text of its limits. */
static const char *say(const struct suite_op *op, const char *where, const char *what)
{
	static char text[160];

	snprintf(text, sizeof(text), "%s by %s, %s: %s", op->name, op->by, where, what);
	return text;
}

static bool is_local(enum layout layout)
{
	return layout == LOCAL || layout == APART;
}

static double judged(const struct suite_op *op, const struct result *r)
{
	return op->flat == FLAT_LEAST ? r->min : r->median;
}

static double cost_of(const struct suite_op *op, enum layout layout, int vcpus,
		      enum mode mode)
{
	struct label like = suite_team_label(op, layout, vcpus, mode);
	const struct result *r = result_find(&like);

	return r ? judged(op, r) : -1;
}

/* Linux' own locks and interrupts, which its calls meet natively too, are not ours. */
static void limit_growth(const struct suite_op *op, enum layout layout, int vcpus)
{
	double n = cost_of(op, layout, vcpus, DUNE), one = cost_of(op, layout, 1, DUNE);
	double native = cost_of(op, layout, vcpus, NATIVE);
	double linux_adds = native - cost_of(op, layout, 1, NATIVE);
	char where[40], what[80];

	if (n < 0 || one < 0)
		return;
	snprintf(where, sizeof(where), "%s, %d vCPUs", layout_name(layout), vcpus);
	snprintf(what, sizeof(what), "%s, against one vCPU + 5 %% + what plain Linux adds",
		 op->flat == FLAT_LEAST ? "least" : "median");
	limit(say(op, where, what), n, one * 1.05 + (linux_adds > 0 ? linux_adds : 0), native);
}

/* Nobody is interrupted by the module, whatever Linux does. */
static void limit_no_kicks(const struct suite_op *op, enum layout layout, int vcpus)
{
	struct label like = suite_team_label(op, layout, vcpus, DUNE);
	const struct result *r = result_find(&like);
	char where[40];

	if (!r)
		return;
	snprintf(where, sizeof(where), "%s, %d vCPUs", layout_name(layout), vcpus);
	limit_exact(say(op, where, "vCPUs kicked"),
		    vm_counter(r, DUNE_VM_kicks) + vcpus_counter(r, DUNE_VCPU_kicks_sent), 0);
}

/* Without a prediction an operation touches no mapping at all. */
static bool kicks_nobody(const struct suite_op *op)
{
	return op->flat != TALKING && (!op->protocol || !op->protocol->ept_kicks);
}

static void limits_local(const struct suite_op *op)
{
	for (enum layout layout = LOCAL; layout <= APART; layout++) {
		/* Linux' calls at addresses apart, the program's in GiB apart. */
		if (!is_local(layout) || (layout == LOCAL && !strcmp(op->by, BY_DUNE)))
			continue;
		for (int n = 1; n <= options.max_vcpus; n++) {
			if (op->flat < NOT_FLAT && n > 1)
				limit_growth(op, layout, n);
			if (kicks_nobody(op))
				limit_no_kicks(op, layout, n);
		}
	}
}

static long shootdowns(const struct result *r)
{
	return vm_counter(r, DUNE_VM_flushes) + vm_counter(r, DUNE_VM_deferred);
}

/* Without other load ticks alone add some, to less than half of the repetitions. */
static int own_ipis(const struct result *r)
{
	return beside_load() ? r->quiet_ipis : r->event[EVENTS_SELF + EMU_IPI];
}

static bool can_tell(const struct result *r)
{
	return !beside_load() || r->quiet;
}

/* Whose flushes of Linux are what it does natively, where it makes the same calls. */
static const struct result *like_linux(const struct suite_op *op, enum suite_beside beside)
{
	struct label like = suite_beside_label(op, beside, NATIVE);

	return strcmp(op->by, BY_DUNE) ? result_find(&like) : NULL;
}

/* How often the module is asked to kick. */
static int kick_calls(const struct suite_protocol *p, int guest, int others)
{
	if (p->ipis && others)
		return p->sends == ONE_BY_ONE ? others : 1;
	return guest ? 1 : 0;
}

/*
 * How many of the others are told. Beside other load some are preempted, so not in the
 * guest, and nobody tells them.
 */
static void limit_told(const char *text, double measured, int predicted)
{
	if (beside_load())
		limit(text, measured, predicted, -1);
	else
		limit_exact(text, measured, predicted);
}

static void limits_guest(const char *where, const struct suite_op *op,
			 const struct result *r, int guest, int others)
{
	const struct suite_protocol *p = op->protocol;

	limit_told(say(op, where, "vCPUs kicked by vCPUs"),
		   vcpus_counter(r, DUNE_VCPU_kicks_sent), guest + p->ipis * others);
	limit_told(say(op, where, "hypercalls for that"),
		   vcpus_counter(r, DUNE_VCPU_kick_calls), kick_calls(p, guest, others));
	limit_told(say(op, where, "flushes of the program's translations by others"),
		   vcpus_counter(r, DUNE_VCPU_guest_flushes), guest);
}

/* One IPI reaches all that are kicked together, on so many CPUs. */
#define MULTICAST_CPUS	8

/*
 * Of the caller; beside other load in quiet repetitions: what else its CPU runs sends
 * some, too. Not the interrupts that others take: they have ticks, and a long
 * operation meets some.
 * kicks: together, or each for itself.
 */
static void limit_ipis(const char *text, const struct result *r, const struct result *native,
		       int kicks, int together)
{
	int by_linux = native ? own_ipis(native) : 0;

	if (!can_tell(r) || (native && !can_tell(native)))
		limit_unknown(text, "other threads or interrupts in all repetitions");
	else if (nr_cpus <= MULTICAST_CPUS)
		limit_told(text, own_ipis(r), by_linux + together);
	else
		limit(text, own_ipis(r), by_linux + kicks, -1);
}

static void limits_beside(const struct suite_op *op, enum suite_beside beside)
{
	struct label like = suite_beside_label(op, beside, DUNE);
	const struct result *r = result_find(&like);
	const struct suite_protocol *p = op->protocol;
	int others = options.max_vcpus - 1;
	int guest = p && beside == BESIDE_NEAR ? p->guest_kicks * others : 0;
	char where[40];

	if (!p || !r)
		return;
	snprintf(where, sizeof(where), "%s, %d vCPUs", like.who, options.max_vcpus);
	limit_exact(say(op, where, "EPT shootdowns"), shootdowns(r), p->shootdowns);
	limit_told(say(op, where, "vCPUs kicked for the EPT"), vm_counter(r, DUNE_VM_kicks),
		   p->ept_kicks * others);
	limits_guest(where, op, r, guest, others);
	if (p->sent == IPIS_ARE_OURS)
		limit_ipis(say(op, where, "IPIs"), r, like_linux(op, beside),
			   (p->ept_kicks + p->ipis) * others + guest,
			   (p->ept_kicks && others) + kick_calls(p, guest, others));
}

void suite_limits(const struct suite_op *ops, int nr)
{
	for (int i = 0; i < nr; i++) {
		limits_local(&ops[i]);
		for (int beside = 0; beside < NR_BESIDE; beside++)
			limits_beside(&ops[i], beside);
	}
}
