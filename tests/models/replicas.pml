/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * smp/replicas.c: two tables of one mapping, generations of one clock. A CPU runs
 * with one table and then with the other; its TLB keeps what it has of each until
 * that is flushed. Two flushers remove a page each and free it.
 *
 * Each flusher removes its page where it finds it, asks whether the other is under
 * way (inval_pending()), flushes, frees. The page of one table only is also found
 * absent by the other flusher, when it has the same page.
 *
 * Properties: no CPU in guest holds a translation of a freed page; nobody waits for
 * ever.
 *
 * Variants:
 * APART	a page of table 0 and one of table 1
 * BOTH		two pages, each in both tables
 * SAME		both flushers have one page, in both tables
 * SETTLE	as APART, deferred: whoever has the later generation settles it, and what
 *		is settled so far counts as over. (A thread may do that that has read
 *		the bucket's word before the flushers marked it, and need later.)
 *
 * Mutants:
 * MUT_SEEN_KEPT	replica_use() does not forget what was seen of the other
 * MUT_STAMP_FIRST	the clock and gen rise before the entry is gone
 * MUT_OWN_TABLES_ONLY	[SAME] UNKNOWN, and only what it removed itself is flushed
 * MUT_NO_LOCK		[SETTLE] the clock is visible before its gen
 * MUT_FIRST_TABLE	[APART] who must leave is told by table 0's generation
 * MUT_NO_VCPU_FENCE	[SD-1] missing
 */
#include "tso.inc"

#if !defined(APART) && !defined(BOTH) && !defined(SAME) && !defined(SETTLE)
#define APART
#endif

#define OUTSIDE	 0
#define ENTERING 1
#define IN_GUEST 2
#define EXITING	 3

#ifdef SAME
#define page_of(f)	1
#else
#define page_of(f)	(1 << (f))
#endif

/* struct replicas, struct sd_cpu */
byte clock = 1;
byte gen[2] = 1;
bool locked;
tso_var mode;
tso_var replica;	/* drained before a later mode: a buffer keeps the order */
byte seen;

byte entries[2];
byte tlb[2];
byte freed;
byte ipi;		/* by flusher */
byte marks;		/* inval_bucket.word */
byte need, finished;	/* inval_bucket */

/* Steps that no other process can tell apart are one. */
proctype cpu()
{
	byte g, use, runs;
	bool stays;

end:	do
	:: runs < 3 ->
		/* Any node at each run. */
		if
		:: use = 0
		:: use = 1
		fi;
		/* replica_use() */
		if
		:: tso_own(replica) != use ->
#ifndef MUT_SEEN_KEPT
			seen = 0;
#endif
			tso_store(replica, use)
		:: else
		fi;
		/* sd_enter() */
		tso_store(mode, ENTERING);
#ifndef MUT_NO_VCPU_FENCE
		tso_fence(mode);
#endif
		g = gen[use];
		d_step {
			if
			:: g != seen -> tlb[use] = 0; seen = g
			:: else
			fi;
			g = 0
		};
		tso_store(mode, IN_GUEST);	/* sd_entered() */
		if
		:: tlb[use] = tlb[use] | entries[use]
		:: skip
		fi;
		atomic {
			assert((tlb[use] & freed) == 0);
			if
			:: stays = true
			:: stays = false
			fi
		};
end_in_guest:
		atomic { !stays || ipi; stays = false; runs++ };
		/* sd_exit() */
		tso_store(mode, OUTSIDE);
		atomic { tso_fence(mode) -> ipi = 0 }
	:: atomic { ipi && tso_fence(mode) -> ipi = 0 }
	od
}

/* inval_raise() */
#define raise(t) gen[t] = (gen[t] > g -> gen[t] : g)

/* bump_locked(); tables: the concerned ones, one bit each */
inline bump()
{
#ifndef MUT_NO_LOCK
	atomic { !locked -> locked = true };
#endif
	d_step { clock++; g = clock };
	if
	:: tables & 1 -> raise(0)
	:: else
	fi;
	if
	:: tables & 2 -> raise(1)
	:: else
	fi;
	locked = false
}

#define least(a, b)	((a) < (b) -> (a) : (b))

/* must_leave(), after sd_settled_mode() */
#ifdef MUT_FIRST_TABLE
#define needed	needs[0]
#else
#define needed	needs[r]
#endif

/* replicas_settle_all(to) */
inline settle(to)
{
	needs[0] = least(gen[0], to);
	needs[1] = least(gen[1], to);
	atomic { mode.mem != ENTERING -> m = mode.mem };
	r = replica.mem;
	/* sd_must_leave() looks at mode again, then at seen; sd_ask_to_exit() */
	atomic {
		m == OUTSIDE || mode.mem != ENTERING ->
		if
		:: m != OUTSIDE && seen < needed && mode.mem == IN_GUEST ->
			mode.mem = EXITING;
			ipi = ipi | (1 << f)
		:: else
		fi;
		m = 0; r = 0
	};
	!(ipi & (1 << f));
	/* wait_until_left() */
	(mode.mem != EXITING || seen >= needs[replica.mem]);
	d_step { needs[0] = 0; needs[1] = 0 }
}

/* replicas_zap_all(), a table at a time */
inline zap(t)
{
	d_step {
		if
		:: entries[t] & page_of(f) ->
			entries[t] = entries[t] & ~page_of(f);
			tables = tables | (1 << t)
		:: else
		fi
	}
}

proctype flusher(byte f)
{
	byte g, m, r, tables;
	byte needs[2];

	marks++;			/* inval_mark() */
#ifdef MUT_STAMP_FIRST
	tables = 3;
	bump();
#endif
	zap(0);
	zap(1);
	/* inval_pending(), and gather_of_others() */
#ifndef SETTLE	/* other pages of that bucket, from elsewhere */
	if
#ifdef MUT_OWN_TABLES_ONLY
	:: marks > 1 && !tables -> tables = 3
#else
	:: marks > 1 -> tables = 3
#endif
	:: else
	fi;
#endif
#ifdef SETTLE
	/* replicas_defer(); whoever is later settles for both */
	bump();
	atomic { need = (need > g -> need : g) };
	marks--;
	/* after_flush() */
	if
	:: need > finished ->
		g = need;
		settle(g);
		d_step { finished = (finished > g -> finished : g) }
	:: else
	fi;
#else
	if
	:: tables ->
#ifndef MUT_STAMP_FIRST
		bump();
#endif
		settle(g)
	:: else		/* absent, and nobody under way: it is over */
	fi;
	marks--;
#endif
	freed = freed | page_of(f)
}

proctype drain()
{
end:	do
	:: tso_drain(replica)
	:: atomic { mode.held && !replica.held -> mode.mem = mode.buf; mode.held = false }
	od
}

init {
	atomic {
#if defined(APART) || defined(SETTLE)
		entries[0] = 1;
		entries[1] = 2;
#elif defined(SAME)
		entries[0] = 1;
		entries[1] = 1;
#else
		entries[0] = 3;
		entries[1] = 3;
#endif
		run cpu();
		run flusher(0);
		run flusher(1);
		run drain()
	}
}
