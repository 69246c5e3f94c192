// SPDX-License-Identifier: GPL-2.0 OR MIT
#include <string.h>

#include "exits.h"
#include "limits.h"
#include "team.h"

/* Instructions. */
#define REISSUE_MOST	1000

static const char *say(const char *what, const char *of)
{
	static char text[128];

	snprintf(text, sizeof(text), "%s: %s", what, of);
	return text;
}

static double self(const struct result *r, int emu)
{
	return event_per_op(r, EVENTS_SELF + emu);
}

/* An exit that leaves the VMCS nearly alone and the MSRs entirely. */
static void limits_events(const char *what, const struct result *r)
{
	limit_exact(say(what, "VM exits"), self(r, EMU_VMEXIT), 1);
	limit(say(what, "VMREAD"), self(r, EMU_VMREAD), 2, -1);
	limit(say(what, "VMWRITE"), self(r, EMU_VMWRITE), 1, -1);
	limit_exact(say(what, "RDMSR"), self(r, EMU_RDMSR), 0);
	/* IBRS without eIBRS: off for the guest and on again, as KVM does it. */
	if (mitigations_off())
		limit_exact(say(what, "WRMSR"), self(r, EMU_WRMSR), 0);
	else
		limit(say(what, "WRMSR"), self(r, EMU_WRMSR), 2, -1);
}

/* Instructions are limited without the kernel's mitigations only. */
static void limit_cost(const char *what, const struct result *r, double most,
		       double native)
{
	if (mitigations_off())
		limit(say(what, "instructions"), r->median, most, native);
}

static void limits_getppid(void)
{
	const struct result *native = exits_find("getppid", BY_NATIVE);
	const struct result *fast = exits_find("getppid", BY_FAST);
	const struct result *reissue = exits_find("getppid", BY_REISSUE);

	if (!native || !fast || !reissue)
		return;
	limit_cost("getppid, fast path", fast,
		   limit_here(480, 345, native->median), native->median);
	limits_events("getppid, fast path", fast);
	if (facts->fast_probed[BY_FAST])
		/* A tick may send one to user mode for its work. */
		limit(say("getppid, fast path", "calls not made in the kernel, of 100"),
		      PROBE_CALLS - facts->fast_calls[BY_FAST], 2, -1);
	else
		limit_unknown("getppid, fast path",
			      "the module has no counter fast_syscalls");
	limit_cost("getppid, re-issued", reissue,
		   limit_here(REISSUE_MOST, 345, native->median), native->median);
	limits_events("getppid, re-issued", reissue);
	limit_exact(say("getppid, re-issued", "calls made in the kernel"),
		    facts->fast_calls[BY_REISSUE], 0);
}

static void limits_single(void)
{
	const struct result *hypercall = exits_find("hypercall", BY_FAST);
	const struct result *cpuid = exits_find("cpuid", BY_FAST);

	if (hypercall) {
		limit_cost("null hypercall", hypercall, limit_6_1(120), -1);
		limits_events("null hypercall", hypercall);
	}
	if (cpuid) {
		limit_cost("CPUID", cpuid, limit_6_1(200), -1);
		limits_events("CPUID", cpuid);
	}
	limits_getppid();
}

/* KVM does more; if it does not, this is not what it is taken for. */
static void limits_kvm(void)
{
	static const char *const ops[] = { "hypercall", "cpuid", "getppid" };

	for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
		const struct result *dune = exits_find(ops[i], BY_FAST);
		const struct result *kvm = exits_find(ops[i], BY_KVM);

		if (dune && kvm)
			limit(say(ops[i], "instructions, against KVM"),
			      dune->median, kvm->median, -1);
	}
}

/* What scheduling would cause, of exits on a CPU that the thread never left. */
static void limits_pinned(enum exits_by by, const char *what)
{
	static const int never[] = {
		EMU_VMCLEAR, EMU_VMPTRLD, EMU_INVEPT, EMU_INVVPID,
	};
	const struct pinned *p = &facts->pinned[by];
	const struct pinned *native = &facts->pinned[BY_NATIVE];

	if (!p->exits)
		return;
	limit(say(what, "exits with an interrupt near, which are no proof"),
	      p->exits - p->quiet_exits, PINNED_EXITS * 8 / 10, -1);
	for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++)
		limit_exact(say(what, emucount_name(never[i])),
			    p->total[never[i]], 0);
	limit_exact(say(what, "rdmsr, where no interrupt came"),
		    p->quiet[EMU_RDMSR], 0);
	limit_exact(say(what, "wrmsr, where no interrupt came"),
		    p->quiet[EMU_WRMSR], 0);
	/* An interrupt's own: acknowledging it, setting the timer anew. */
	if (native->total[EMU_EXTINT])
		limit(say(what, "wrmsr per interrupt, against plain Linux + 10 %"),
		      (double)p->total[EMU_WRMSR] / p->total[EMU_EXTINT],
		      1.1 * native->total[EMU_WRMSR] / native->total[EMU_EXTINT], -1);
}

static const struct result *at_once(const char *op, enum exits_by by, int vcpus)
{
	struct label like = exits_label(op, by);

	strcpy(like.state, "at_once");
	like.vcpus = vcpus;
	return result_find(&like);
}

/* Nobody waits for anybody: as cheap as alone. */
static void limits_at_once(const char *op, enum exits_by by)
{
	const struct result *one = at_once(op, by, 1), *r;
	char what[64];

	for (int n = 2; one && n <= options.max_vcpus; n++) {
		r = at_once(op, by, n);
		if (!r)
			continue;
		snprintf(what, sizeof(what), "%s, %s, on %d vCPUs at once", op,
			 r->label.who, n);
		limit(say(what, "median, against one + 2 %"), r->median,
		      one->median * 1.02, -1);
		limit(say(what, "mean, against one + 2 %"), r->mean,
		      one->mean * 1.02, -1);
	}
}

/* All there is to do for a thread that came to another CPU, or came back. */
static void limits_moves(enum exits_by by, const char *what)
{
	const struct result *move = exits_find("migrate", by);
	const struct result *other = exits_find("switch", by);
	const struct result *plain = exits_find("switch_plain", by);

	if (move) {
		limit_exact(say(what, "VMCLEAR of a move"),
			    event_all_cpus(move, EMU_VMCLEAR) / 2.0, 1);
		limit_exact(say(what, "VMPTRLD of a move"),
			    event_all_cpus(move, EMU_VMPTRLD) / 2.0, 1);
		limit_exact(say(what, "INVEPT of a move"),
			    event_all_cpus(move, EMU_INVEPT) / 2.0, 0);
	}
	if (other) {
		limit_exact(say(what, "VMPTRLD of a switch between vCPUs"),
			    self(other, EMU_VMPTRLD), 1);
		limit_exact(say(what, "VMCLEAR of a switch between vCPUs"),
			    self(other, EMU_VMCLEAR), 0);
		limit_exact(say(what, "INVEPT of a switch between vCPUs"),
			    self(other, EMU_INVEPT), 0);
		limit_exact(say(what, "INVVPID of a switch between vCPUs"),
			    self(other, EMU_INVVPID), 0);
	}
	if (plain)
		limit_exact(say(what, "VMPTRLD of a switch to a plain thread"),
			    self(plain, EMU_VMPTRLD), 0);
}

void exits_limits(void)
{
	limits_single();
	limits_kvm();
	limits_moves(BY_FAST, "fast path");
	limits_moves(BY_REISSUE, "re-issued");
	limits_pinned(BY_FAST, "100000 exits of a pinned vCPU");
	limits_pinned(BY_REISSUE, "100000 exits of a pinned vCPU, re-issued");
	limits_at_once("hypercall", BY_FAST);
	limits_at_once("cpuid", BY_FAST);
	limits_at_once("getppid", BY_FAST);
	limits_at_once("getppid", BY_REISSUE);
}
