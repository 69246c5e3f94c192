/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * smp/shootdown.c with threads that migrate: two threads (vCPUs) on two CPUs,
 * and Linux' mask of the CPUs that have the mm loaded. What a CPU has cached
 * stays when the thread leaves; mode and seen belong to (vm, CPU). Two pages
 * are removed one after the other by one flusher.
 *
 * Linux, on a switch: the CPU joins the mask before it runs the thread
 * (switch_mm_irqs_off()) and leaves it when it loads another mm; between two
 * threads of the mm it does neither.
 *
 * Property: no thread in guest on a CPU that holds a translation of a freed
 * page. Nobody waits for ever.
 *
 * Mutants:
 * MUT_SEEN_PER_VCPU	the thread remembers the generation that it has flushed
 * MUT_SEEN_RESET_ON_MOVE	a thread flushes when it has moved, else never
 * MUT_MODE_PER_VCPU	the thread's mode is watched; its CPU is read before
 * MUT_JOIN_LATE	the CPU joins the mask after sd_enter()
 * MUT_MASK_FIRST	the flusher reads the mask before the bump
 * MUT_LAZY_MASK	an own mask, joined at entry only when the bit is clear,
 *			left by a flusher that finds the CPU outside
 * MUT_NO_VCPU_FENCE	[SD-1] missing
 * MUT_FLUSH_MASKED_OUT	a CPU that left the mask counts as flushed (seen = gen)
 */
#include "tso.inc"

#define NCPU	2
#define RUNS	2	/* of each thread */

#define OUTSIDE	 0
#define ENTERING 1
#define IN_GUEST 2
#define EXITING	 3
#define NONE	 2	/* no CPU */

#define bit(n) (1 << (n))

byte gen = 1;
tso_var mode[NCPU];	/* MUT_MODE_PER_VCPU: by thread */
byte seen[NCPU];	/* MUT_SEEN_PER_VCPU: by thread */
byte mask;		/* mm_cpumask() */
byte busy;		/* CPUs that run a thread */
byte at[2];	/* where a thread runs: for MUT_MODE_PER_VCPU */

byte entries = 3;
byte tlb[NCPU];
byte freed;
byte ipi;		/* CPUs with a kick that is not handled */

#ifdef MUT_MODE_PER_VCPU
#define M mode[me]
#else
#define M mode[cpu]
#endif
#ifdef MUT_SEEN_PER_VCPU
#define S seen[me]
#else
#define S seen[cpu]
#endif

/* Linux gives the thread a CPU. */
inline schedule_in()
{
	atomic {
		if
		:: !(busy & 1) -> cpu = 0
		:: !(busy & 2) -> cpu = 1
		fi;
		busy = busy | bit(cpu);
#if !defined(MUT_JOIN_LATE) && !defined(MUT_LAZY_MASK)
		mask = mask | bit(cpu);
#endif
#ifdef MUT_SEEN_RESET_ON_MOVE
		if
		:: last != cpu -> seen[cpu] = 0
		:: else -> seen[cpu] = gen
		fi;
		last = cpu;
#endif
		at[me] = cpu
	}
}

inline schedule_out()
{
	atomic {
		tso_fence(M) ->		/* a context switch is one */
#ifndef MUT_LAZY_MASK
		if
		:: mask = mask & ~bit(cpu);	/* to another mm */
#ifdef MUT_FLUSH_MASKED_OUT
			seen[cpu] = gen
#endif
		:: skip				/* idle, or another thread */
		fi;
#endif
		busy = busy & ~bit(cpu);
		ipi = ipi & ~bit(cpu);
		cpu = 0
	}
}

inline sd_enter()
{
#ifdef MUT_LAZY_MASK
	if
	:: !(mask & bit(cpu)) -> mask = mask | bit(cpu)
	:: else
	fi;
#endif
	tso_store(M, ENTERING);
#ifndef MUT_NO_VCPU_FENCE
	tso_fence(M);
#endif
	g = gen;
	/* vmx_flush_ept(), sd_flushed() */
	d_step {
		if
		:: g != S -> tlb[cpu] = 0; S = g
		:: else
		fi;
		g = 0
	};
#ifdef MUT_JOIN_LATE
	mask = mask | bit(cpu);
#endif
	tso_store(M, IN_GUEST)		/* sd_entered() */
}

proctype thread(byte me)
{
	byte runs, cpu, g;
#ifdef MUT_SEEN_RESET_ON_MOVE
	byte last = NONE;
#endif
	bool stays;

	do
	:: runs < RUNS ->
		runs++;
		schedule_in();
		sd_enter();
		if
		:: tlb[cpu] = tlb[cpu] | entries
		:: skip
		fi;
		atomic {
			assert((tlb[cpu] & freed) == 0);
			if
			:: stays = true
			:: stays = false
			fi
		};
end_in_guest:
		atomic { !stays || (ipi & bit(cpu)); stays = false };
		/* sd_exit() */
		tso_store(M, OUTSIDE);
		schedule_out()
	:: else -> break
	od
}

/* must_leave() and the cas of ask_to_exit(); i: whose mode, c: whose CPU */
inline ask(i, c)
{
	if
#ifdef MUT_MODE_PER_VCPU
	:: c != NONE ->
#else
	:: look & bit(c) ->
#endif
		atomic { mode[i].mem != ENTERING -> m = mode[i].mem };
		d_step {
			if
			:: m != OUTSIDE && seen[i] < g &&
			   mode[i].mem == IN_GUEST ->
				mode[i].mem = EXITING;
				kick = kick | bit(c)
#ifdef MUT_LAZY_MASK
			:: m == OUTSIDE -> mask = mask & ~bit(c)
#endif
			:: else
			fi;
			m = 0
		}
	:: else
	fi
}

inline wait_left(i)
{
	(mode[i].mem != EXITING || seen[i] >= g)
}

proctype flusher()
{
	byte page, g, m, kick, look;
#ifdef MUT_MODE_PER_VCPU
	byte where[2];
#endif

	do
	:: page < 2 ->
#ifdef MUT_MASK_FIRST
		look = mask;
#endif
		entries = entries & ~bit(page);
		/* bump() */
		d_step { gen++; g = gen };
#ifdef MUT_MODE_PER_VCPU
		where[0] = at[0];
		where[1] = at[1];
		ask(0, where[0]);
		ask(1, where[1]);
#else
		/* plat_for_each_cpu(): bit by bit */
#ifndef MUT_MASK_FIRST
		look = mask & 1;
#endif
		ask(0, 0);
#ifndef MUT_MASK_FIRST
		look = mask & 2;
#endif
		ask(1, 1);
#endif
		/* A CPU that is not in guest handles it at once. */
		d_step { ipi = ipi | (kick & busy); kick = 0; look = 0 };
		(ipi == 0);
#ifndef MUT_MODE_PER_VCPU
		wait_left(0);
		wait_left(1);
#endif
		freed = freed | bit(page);
		page++
	:: else -> break
	od
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
		at[0] = NONE;
		at[1] = NONE;
		run thread(0);
		run thread(1);
		run flusher();
		run drain()
	}
}
