/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * smp/fanout.c under smp/shootdown.c: a flusher far away calls a leader, which
 * interrupts the others of its node. The leader's CPU flushes too, once, and then
 * waits for CPUs that it is to interrupt itself. CPUs leave the guest when they
 * like or are interrupted, come again, and go offline when Linux lets them.
 * Modes and generations are those of shootdown.pml, each handshake in one step.
 *
 * Properties: when a flush is over no CPU is in a run that began before; nobody
 * waits for ever; only CPUs that are online are called or interrupted; nobody but
 * the flusher touches its plan outside of its kick.
 *
 * Variants:
 * TWICE	two flushes from afar, one after the other, by the same lists
 * BOTH		one from afar, one on the leader's CPU
 *
 * Mutants:
 * MUT_NOT_FORWARDED	the leader interrupts nobody
 * MUT_LEFT_FORWARDS_NOT	a leader that has left the guest already does not forward
 * MUT_RECOMPUTED	the leader interrupts whom it finds IN_GUEST
 * MUT_LEADER_TWICE	the second target of the node is in nobody's list
 * MUT_KICK_IS_ENOUGH	the flusher waits for the leaders and not for the modes
 * MUT_ACK_FIRST	[FO-1] missing: the leader counts down before it reads the list
 * MUT_NO_WAIT		[FO-2] missing: the flusher does not wait for the leaders
 * MUT_COUNT_LATE	the leaders are counted after they are called
 * MUT_LIST_KEPT	the list of an earlier kick is not cleared
 * MUT_PREEMPTIBLE	preemption is on between the look at the modes and the kick
 * MUT_IRQS_OFF		[BOTH] who flushes on the leader's CPU waits with interrupts off
 */
#if !defined(TWICE) && !defined(BOTH)
#define TWICE
#endif

#define NCPU	3	/* the far node; 0 mostly leads */

#define OUTSIDE	 0
#define IN_GUEST 1
#define EXITING	 2

#define bit(c)	(1 << (c))

byte gen = 1;
byte mode[NCPU];
byte seen[NCPU];

bool irq[NCPU];		/* pending */
bool called[NCPU];	/* and in the queue: the leader's function */
byte handlers;		/* that are running */
byte offline;
byte pinned;		/* flushers with preemption off */

/* The far flusher's plan. */
byte others;
byte awaited;
bool kicking;

/* fanout_forward(); the list is read CPU by CPU */
inline forward_to(c)
{
	d_step {
		assert(kicking);
		if
#ifdef MUT_RECOMPUTED
		:: c != me && mode[c] == IN_GUEST ->
#else
		:: others & bit(c) ->
#endif
#ifndef MUT_NOT_FORWARDED
			assert(!(offline & bit(c)));
			irq[c] = true
#else
			skip
#endif
		:: else
		fi
	}
}

/* Interrupts are on, outside of the guest; "left": not by this interrupt. */
inline handler(left)
{
	atomic { irq[me]; irq[me] = false; handlers++ };
	if
	:: atomic { called[me] -> called[me] = false };
#ifdef MUT_ACK_FIRST
		awaited--;
#endif
#ifdef MUT_LEFT_FORWARDS_NOT
		if
		:: left
		:: !left -> forward_to(0); forward_to(1); forward_to(2)
		fi;
#else
		forward_to(0);
		forward_to(1);
		forward_to(2);
#endif
#ifndef MUT_ACK_FIRST
		atomic { assert(kicking); awaited-- }
#endif
	:: else
	fi;
	handlers--
}

/* ask_to_exit() of one CPU */
inline ask(c)
{
	d_step {
		if
		:: mode[c] == IN_GUEST && seen[c] < g ->
			mode[c] = EXITING;
			mine = mine | bit(c)
		:: else
		fi
	}
}

#define has_left(c)	(mode[c] != EXITING || seen[c] >= g)
#define is_over(c)	(mode[c] == OUTSIDE || seen[c] >= g)

/* A flush on CPU 0 itself: the others are near. */
inline flush_here()
{
	d_step { pinned++; gen++; g = gen; mine = 0 };
	ask(1);
	ask(2);
	d_step {
		if
		:: mine & bit(1) -> irq[1] = true
		:: else
		fi;
		if
		:: mine & bit(2) -> irq[2] = true
		:: else
		fi;
		mine = 0
	};
	do
	:: atomic { has_left(1) && has_left(2) -> assert(is_over(1) && is_over(2));
		g = 0; pinned--; break }
#ifndef MUT_IRQS_OFF
	:: irq[me] -> handler(true)
#endif
	od
}

proctype cpu(byte me; byte runs; byte flushes)
{
	byte g, mine;
	bool stays;

end:	do
	:: atomic { runs -> runs--; mode[me] = IN_GUEST; seen[me] = gen;
		if
		:: stays = true
		:: stays = false	/* leaves by itself, at any time */
		fi };
end_in_guest:
		if
		:: atomic { irq[me] -> stays = false; mode[me] = OUTSIDE }; handler(false)
		:: atomic { !stays -> mode[me] = OUTSIDE }
		fi
	:: atomic { flushes -> flushes-- }; flush_here()
	:: irq[me] -> handler(true)
	/* Linux stops all CPUs for that, each with interrupts on before. */
	:: atomic { !pinned && !handlers && !irq[0] && !irq[1] && !irq[2] ->
		offline = offline | bit(me); break }
	od
}

/* fanout_kick(): the first of the mask leads */
inline kick()
{
	if
	:: mine == 0
	:: d_step { mine == bit(0) -> assert(!(offline & bit(0))); irq[0] = true }
	:: d_step { mine == bit(1) -> assert(!(offline & bit(1))); irq[1] = true }
	:: d_step { mine == bit(2) -> assert(!(offline & bit(2))); irq[2] = true }
	:: else ->
		d_step {
			leader = (mine & bit(0) -> 0 : 1);
			kicking = true;
#ifdef MUT_LIST_KEPT
			others = others | (mine & ~bit(leader));
#else
			others = mine & ~bit(leader);
#endif
#ifdef MUT_LEADER_TWICE
			others = others & ~bit(leader + 1);
#endif
#ifndef MUT_COUNT_LATE
			awaited = 1
#endif
		};
		atomic {
			assert(!(offline & bit(leader)));
			called[leader] = true;
			irq[leader] = true
		};
#ifdef MUT_COUNT_LATE
		awaited = 1;
#endif
#ifndef MUT_NO_WAIT
		awaited == 0;
#endif
		kicking = false
	fi
}

proctype far(byte flushes)
{
	byte g, mine, leader;

	do
	:: flushes ->
		d_step { flushes--; pinned++; gen++; g = gen; mine = 0 };
		ask(0);
		ask(1);
		ask(2);
#ifdef MUT_PREEMPTIBLE
		pinned--;
		pinned++;
#endif
		kick();
#ifndef MUT_KICK_IS_ENOUGH
		has_left(0);
		has_left(1);
		has_left(2);
#endif
		atomic {
			assert(is_over(0) && is_over(1) && is_over(2));
			pinned--
		}
	:: else -> break
	od
}

init {
	atomic {
#ifdef BOTH
		run far(1);
		run cpu(0, 1, 1);
		run cpu(1, 1, 0);
		run cpu(2, 1, 0)
#else
		run far(2);
		run cpu(0, 2, 0);
		run cpu(1, 2, 0);
		run cpu(2, 1, 0)
#endif
	}
}
