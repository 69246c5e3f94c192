/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * smp/shootdown.c: the handshake. CPUs run vCPUs; two flushers remove a page
 * each, ask CPUs to exit, wait, and free it. A CPU keeps each translation until
 * it flushes; a walk in flight ends with the guest run.
 *
 * Properties: no CPU in guest holds a translation of a freed page; nobody waits
 * for ever (a guest run may last until it is kicked).
 *
 * Variants:
 * ONE		one CPU, two runs
 * TWO		a second one with one run
 *
 * Mutants:
 * MUT_NO_VCPU_FENCE	[SD-1] missing
 * MUT_NO_FLUSHER_FENCE	[SD-2] missing: the modes are read before the bump
 * MUT_ENTERING_IS_OUTSIDE	the flusher does not wait for ENTERING to end
 * MUT_GEN_BEFORE_MODE	sd_enter() reads the generation first
 * MUT_BUMP_BEFORE_ZAP	the generation rises before the entry is gone
 * MUT_NO_INVEPT	sd_flushed() without a flush
 * MUT_EXIT_FIRST	[SD-3] missing: OUTSIDE is visible before the last access
 * MUT_FREE_FIRST	the page is freed before the shootdown
 * MUT_NO_KICK_WAIT	nobody waits for those who are asked to exit
 * MUT_EXITING_NO_WAIT	who finds EXITING takes it for gone
 * MUT_EXITING_LATE_GEN	who finds EXITING assumes that the run saw its bump
 * MUT_NO_KICK		EXITING is set, no interrupt sent
 * MUT_SEEN_IS_ENOUGH	seen >= gen - 1 counts as flushed
 */
#include "tso.inc"

#if !defined(ONE) && !defined(TWO)
#define ONE
#endif

#define NCPU	2
#define ALL	3	/* one bit a page; page f belongs to flusher f */

#define OUTSIDE	 0
#define ENTERING 1
#define IN_GUEST 2
#define EXITING	 3

/* struct sd_vm, struct sd_cpu */
byte gen = 1;
tso_var mode[NCPU];
byte seen[NCPU];

byte entries = ALL;	/* the EPT */
byte tlb[NCPU];
byte freed;
byte ipi[NCPU];		/* by flusher: sent and not handled */

/* Of the kick. Its answer is a store, after all stores before it. */
inline handler()
{
	atomic { tso_fence(mode[me]) -> ipi[me] = 0 }
}

/* Steps that no other process can tell apart are one. */
proctype cpu(byte me; byte runs)
{
	byte g;
	bool stays;

end:	do
	:: runs ->
		/* sd_enter(); irqs are off from here */
#ifdef MUT_GEN_BEFORE_MODE
		g = gen;
#endif
		tso_store(mode[me], ENTERING);
#ifndef MUT_NO_VCPU_FENCE
		tso_fence(mode[me]);
#endif
#ifndef MUT_GEN_BEFORE_MODE
		g = gen;
#endif
		/* vmx_flush_ept(), sd_flushed() */
		d_step {
			if
			:: g != seen[me] ->
#ifndef MUT_NO_INVEPT
				tlb[me] = 0;
#endif
				seen[me] = g
			:: else
			fi;
			g = 0
		};
		tso_store(mode[me], IN_GUEST);	/* sd_entered() */
		/* vmx_run(): walk, keep what was found, use it at any time. */
		if
		:: tlb[me] = tlb[me] | entries
		:: skip
		fi;
#ifdef MUT_EXIT_FIRST
		tso_store(mode[me], OUTSIDE);
#endif
		atomic {
			assert((tlb[me] & freed) == 0);
			if
			:: stays = true
			:: stays = false
			fi
		};
end_in_guest:
		atomic { !stays || ipi[me]; stays = false; runs-- };
		/* sd_exit(); then irqs are on: the handler of the kick */
		tso_store(mode[me], OUTSIDE);
		handler()
	:: ipi[me] -> handler()
	od
}

/* must_leave(), and the cas of ask_to_exit(); "mine": has to be kicked */
inline ask(c)
{
#ifndef MUT_NO_FLUSHER_FENCE
#ifdef MUT_ENTERING_IS_OUTSIDE
	m[c] = (mode[c].mem == ENTERING -> OUTSIDE : mode[c].mem);
#else
	atomic { mode[c].mem != ENTERING -> m[c] = mode[c].mem };
#endif
#endif
	d_step {
		if
#ifdef MUT_SEEN_IS_ENOUGH
		:: m[c] != OUTSIDE && seen[c] + 1 < g &&
#else
		:: m[c] != OUTSIDE && seen[c] < g &&
#endif
		   mode[c].mem == IN_GUEST ->
			mode[c].mem = EXITING;
			mine = mine | (1 << c)
		:: else	/* left, or flushed, or another flusher's kick serves */
		fi;
		m[c] = 0
	}
}

/* One multicast; smp_call_function_many() waits for the handlers. */
inline kick()
{
#ifdef MUT_NO_KICK
	mine = 0
#else
	d_step {
		if
		:: mine & 1 -> ipi[0] = ipi[0] | (1 << f)
		:: else
		fi;
		if
		:: mine & 2 -> ipi[1] = ipi[1] | (1 << f)
		:: else
		fi;
		mine = 0
	};
#ifndef MUT_NO_KICK_WAIT
	!((ipi[0] | ipi[1]) & (1 << f))
#endif
#endif
}

inline wait_left(c)
{
#if defined(MUT_EXITING_NO_WAIT) || defined(MUT_NO_KICK_WAIT)
	skip
#elif defined(MUT_EXITING_LATE_GEN)
	(mode[c].mem != EXITING || seen[c] < g)
#else
	(mode[c].mem != EXITING || seen[c] >= g)
#endif
}

proctype flusher(byte f)
{
	byte g, mine;
	byte m[NCPU];

#ifdef MUT_NO_FLUSHER_FENCE
	atomic { mode[0].mem != ENTERING -> m[0] = mode[0].mem };
	atomic { mode[1].mem != ENTERING -> m[1] = mode[1].mem };
#endif
#ifdef MUT_BUMP_BEFORE_ZAP
	d_step { gen++; g = gen };
#endif
	/* pt_zap(): remove_leaf_locked() */
	entries = entries & ~(1 << f);
#ifndef MUT_BUMP_BEFORE_ZAP
	/* bump(): plat_add64_full() */
	d_step { gen++; g = gen };
#endif
#ifdef MUT_FREE_FIRST
	freed = freed | (1 << f);
#endif
	/* shootdown_settle(): ask_to_exit(), plat_kick(), wait_until_left() */
	ask(0);
	ask(1);
	kick();
	wait_left(0);
	wait_left(1);
	freed = freed | (1 << f)
}

proctype drain()
{
end:	do
	:: tso_drain(mode[0])
	:: tso_drain(mode[1])
	od
}

init {
	atomic {
		run cpu(0, 2);
#ifndef ONE
		run cpu(1, 1);
#endif
		run flusher(0);
		run flusher(1);
		run drain()
	}
}
