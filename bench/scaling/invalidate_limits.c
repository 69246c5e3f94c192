// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "invalidate_limits.h"

#include <string.h>

#include "limits.h"

static const struct result *find(const char *op, const char *state, int pages,
				 const char *who, enum mode mode)
{
	struct label like = { .mode = mode, .pages = pages, .caller = "plain" };

	strcpy(like.op, op);
	strcpy(like.state, state);
	strcpy(like.who, who);
	return result_find(&like);
}

/* A pair of rows; judged only when both were measured. */
struct pair {
	const struct result *native, *dune;
	char name[64];
};

static bool find_pair(struct pair *p, const char *op, const char *state,
		      int pages, const char *who)
{
	p->native = find(op, state, pages, who, NATIVE);
	p->dune = find(op, state, pages, who, DUNE);
	snprintf(p->name, sizeof(p->name), "%s %d page%s %s, others %s", op,
		 pages, pages > 1 ? "s" : "", state, who);
	return p->native && p->dune;
}

static const char *say(const struct pair *p, const char *what)
{
	static char text[128];

	snprintf(text, sizeof(text), "%s: %s", p->name, what);
	return text;
}

/* most: instructions on kernel 6.1, where plain Linux takes linux_takes. */
static void cost_at_most(const struct pair *p, double most, double linux_takes)
{
	limit(say(p, "cost"), p->dune->median,
	      limit_here(most, linux_takes, p->native->median), p->native->median);
}

static void cost_above_native(const struct pair *p, double more)
{
	limit(say(p, "cost"), p->dune->median, p->native->median + more,
	      p->native->median);
}

static void no_kicks(const struct pair *p)
{
	limit_exact(say(p, "vCPUs kicked"), vm_counter(p->dune, DUNE_VM_kicks), 0);
}

/* Machine-wide. The tick sends none, and is in no median either. */
static void no_ipis(const struct pair *p)
{
	limit_exact(say(p, "IPIs"), event_all_cpus(p->dune, EMU_IPI), 0);
	no_kicks(p);
}

static void limits_one_page(void)
{
	struct pair p;

	if (find_pair(&p, "dontneed", "mapped", 1, "none"))
		cost_at_most(&p, 4500, 3962);
	if (find_pair(&p, "dontneed", "mapped", 1, "spin")) {
		cost_at_most(&p, 5200, 4509);
		limit_exact(say(&p, "IPIs"), event_all_cpus(p.dune, EMU_IPI), 1);
		limit_exact(say(&p, "interrupts in all"),
			    event_all_cpus(p.dune, EMU_EXTINT), 1);
		limit_exact(say(&p, "VM exits of the other vCPU"),
			    p.dune->event[EVENTS_OTHERS + EMU_VMEXIT], 1);
	}
	if (find_pair(&p, "dontneed", "mapped", 1, "blocked")) {
		cost_at_most(&p, 4900, 4321);
		no_ipis(&p);
		limit_exact(say(&p, "interrupts in all"),
			    event_all_cpus(p.dune, EMU_EXTINT), 0);
	}
}

/*
 * Of an invalidation that concerns nothing in the EPT. Linux' own part, its
 * notifier list with callbacks that do nothing, is 147 of it:
 * docs/decisions/003-notifier-floor.md.
 */
#define NOTHING_MAPPED_LIMIT	400

static void limits_nothing_mapped(void)
{
	static const char *const who[] = {
		"none", "spin", "blocked", "blocked7", "blocked7same",
	};
	struct pair p;

	for (size_t i = 0; i < sizeof(who) / sizeof(*who); i++)
		if (find_pair(&p, "dontneed", "none", 1, who[i])) {
			cost_above_native(&p, NOTHING_MAPPED_LIMIT);
			no_ipis(&p);
		}
}

static void limits_ranges(void)
{
	struct pair p;

	if (find_pair(&p, "dontneed", "mapped", 64, "none"))
		cost_at_most(&p, 74000, 70700);
	if (find_pair(&p, "munmap_1t", "mapped", 8, "none"))
		cost_above_native(&p, 60000);
	/*
	 * Linux does not flush here: one kick for the one vCPU in guest mode. Ticks of
	 * other CPUs, which send IPIs too, come in half of the repetitions of 64 pages
	 * with 8 CPUs; on our behalf others send only as leaders.
	 */
	for (int pages = 1; pages <= 64; pages += 63) {
		if (!find_pair(&p, "mprotect", "read", pages, "spin"))
			continue;
		limit_exact(say(&p, "IPIs of plain Linux"),
			    p.native->event[EVENTS_SELF + EMU_IPI], 0);
		limit(say(&p, "IPIs"), p.dune->event[EVENTS_SELF + EMU_IPI], 1, -1);
		limit(say(&p, "vCPUs kicked"), vm_counter(p.dune, DUNE_VM_kicks), 1, -1);
		limit_exact(say(&p, "leaders"), vm_counter(p.dune, DUNE_VM_leaders), 0);
	}
}

/* Everybody is interrupted once, by one multicast as far as it reaches. */
static void limits_all_in_guest(void)
{
	struct pair p;
	int k;

	if (find_pair(&p, "dontneed", "mapped", 1, SPIN_ALL)) {
		k = p.dune->label.vcpus - 1;
		limit(say(&p, "IPIs, against plain Linux"),
		      event_all_cpus(p.dune, EMU_IPI),
		      event_all_cpus(p.native, EMU_IPI), -1);
		limit_exact(say(&p, "interrupts of the other CPUs"),
			    p.dune->event[EVENTS_OTHERS + EMU_EXTINT], k);
	}
	if (find_pair(&p, "dontneed", "none", 1, SPIN_ALL)) {
		cost_above_native(&p, NOTHING_MAPPED_LIMIT);
		no_ipis(&p);
	}
	if (find_pair(&p, "mprotect", "read", 64, SPIN_ALL)) {
		k = p.dune->label.vcpus - 1;
		limit(say(&p, "IPIs"), event_all_cpus(p.dune, EMU_IPI), k, -1);
		limit(say(&p, "vCPUs kicked"), vm_counter(p.dune, DUNE_VM_kicks), k, -1);
		limit_exact(say(&p, "interrupts of the other CPUs"),
			    p.dune->event[EVENTS_OTHERS + EMU_EXTINT], k);
	}
}

/* Linux itself looks at idle CPUs that have the mm: what it adds is its own. */
static void limits_uninvolved(void)
{
	struct pair one, p;
	const char *const who[] = { "blocked7", "blocked7same" };

	if (!find_pair(&one, "dontneed", "mapped", 1, "none"))
		return;
	for (int i = 0; i < 2; i++) {
		double linux_adds;

		if (!find_pair(&p, "dontneed", "mapped", 1, who[i]))
			continue;
		linux_adds = (double)p.native->median - one.native->median;
		limit(say(&p, "cost, against one vCPU + 5 % + what plain Linux adds"),
		      p.dune->median,
		      one.dune->median * 1.05 + (linux_adds > 0 ? linux_adds : 0),
		      p.native->median);
		no_ipis(&p);
	}
	/* Longer than from tick to tick: that may wake somebody elsewhere, by an IPI. */
	if (find_pair(&p, "dontneed", "mapped", 64, "blocked7"))
		no_kicks(&p);
}

void invalidate_limits(void)
{
	limits_one_page();
	limits_nothing_mapped();
	limits_ranges();
	limits_all_in_guest();
	limits_uninvolved();
}
