/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * smp/inval.h, shootdown_defer(), kmod/{ept_notifier,flush,ride}.c: flushes
 * that are left to Linux. One page of virtual space; its page in memory is 1,
 * later perhaps 2. Operations, each from the notifier's start to its return:
 *
 * deferred()	madvise(MADV_DONTNEED): zap, bump, need; clear Linux' entry;
 *		end; Linux' flush interrupts every CPU in guest; after_flush();
 *		free the page if this thread cleared Linux' entry
 * immediate()	reclaim: zap, flush or settle; clear Linux' entry, which Linux
 *		flushes nowhere; free the page if this thread cleared it; end
 *
 * Linux flushes in deferred() when it cleared an entry, or when another gather
 * is under way (mm_tlb_flush_nested()).
 *
 * Properties: no CPU in guest holds a freed page; when deferred() returns, none
 * holds a page that Linux had unmapped by then; when the start of immediate()
 * returns, none holds a page that was absent after its walk. (Linux may still
 * have that page mapped and free it next: a large leaf is removed as a whole
 * by an invalidation of a part of it.) Nobody waits for ever.
 *
 * Variants, by what runs beside the first deferred():
 * RECLAIM	immediate()
 * TWICE	a second deferred()
 * BOTH		both; a single guest run, and no new page
 *
 * Mutants:
 * MUT_PENDING_IGNORED	what was found absent is taken for flushed
 * MUT_UNKNOWN_IGNORED	another invalidation in progress does not count
 * MUT_DEFERRED_IGNORED	need > done does not count
 * MUT_RIDE_NO_BUMP	UNKNOWN: the deferred one bumps only what it removed
 * MUT_NEED_AFTER_END	the need is recorded after inval_end()
 * MUT_NEED_BEFORE_BUMP	the generation that is recorded is the one before
 * MUT_PENDING_FIRST	inval_pending() before the walk
 * MUT_DONE_EARLY	after_flush() reports done before Linux' flush, not after
 * MUT_NO_BUMP		deferred without a bump
 * MUT_BUMP_LATE	the bump follows Linux' flush
 * MUT_RIDE_RECLAIM	immediate() defers as well
 * MUT_NO_LINUX_FLUSH	deferred() where Linux does not flush
 * MUT_NO_NESTED	[TWICE] Linux flushes only what it cleared itself
 * MUT_NO_VCPU_FENCE	[SD-1] missing
 */
#include "tso.inc"

#if !defined(RECLAIM) && !defined(TWICE) && !defined(BOTH)
#define RECLAIM
#endif
#ifndef RUNS
#ifdef BOTH
#define RUNS	1
#else
#define RUNS	2
#endif
#endif

#define OUTSIDE	 0
#define ENTERING 1
#define IN_GUEST 2
#define EXITING	 3

#define NOTHING	 0
#define UNKNOWN	 1
#define DEFERRED 2

#define bit(n)	(1 << (n))	/* page 0 is none: harmless */

/* struct inval_bucket */
byte marks, need, finished;
/* struct sd_vm, struct sd_cpu */
byte gen = 1;
tso_var mode;
byte seen;

byte entry = 1;		/* the EPT's leaf: page 1 is mapped */
byte host = 1;		/* Linux' */
byte tlb;		/* one bit a page */
byte gone;		/* freed, or unmapped and reported */
byte unmapped;
byte lost;		/* what the EPT had once */
byte gathers;		/* mm.tlb_flush_pending */
byte ipi;		/* one bit a sender */

proctype cpu()
{
	byte g, runs;
	bool stays;

end:	do
	:: runs < RUNS ->
		runs++;
		/* sd_enter() */
		tso_store(mode, ENTERING);
#ifndef MUT_NO_VCPU_FENCE
		tso_fence(mode);
#endif
		g = gen;
		d_step {
			if
			:: g != seen -> tlb = 0; seen = g
			:: else
			fi;
			g = 0
		};
		tso_store(mode, IN_GUEST);	/* sd_entered() */
		if
		:: atomic { entry -> tlb = tlb | bit(entry) }
		:: skip
		fi;
		atomic {
			assert((tlb & gone) == 0);
			if
			:: stays = true
			:: stays = false
			fi
		};
end_in_guest:
		atomic { !stays || ipi; stays = false };
		/* sd_exit() */
		tso_store(mode, OUTSIDE);
		/* The handlers' answers are stores, after those before them. */
		atomic { tso_fence(mode) -> ipi = 0 }
	:: atomic { ipi && tso_fence(mode) -> ipi = 0 }
	od
}

/* vcpu_ept_fault(), one step: inval.pml shows that it may be. */
proctype fault()
{
	atomic {
		marks == 0 && entry == 0;
		if
		:: host == 0 -> host = 2	/* Linux maps a new page */
		:: else
		fi;
		entry = host
	}
}

/* shootdown_settle(); shootdown.pml shows that its look may be one step. */
inline settle(to)
{
	atomic {
		mode.mem != ENTERING ->
		if
		:: seen < to && mode.mem == IN_GUEST ->
			mode.mem = EXITING;
			ipi = ipi | bit(me)
		:: else
		fi
	};
	(!(ipi & bit(me)) && (mode.mem != EXITING || seen >= to))
}

/* inval_pending_one() */
inline ask_pending()
{
	pending = NOTHING;
#ifndef MUT_PENDING_IGNORED
	if
#ifndef MUT_UNKNOWN_IGNORED
	:: marks > 1 -> pending = UNKNOWN
#endif
	:: else ->
		d_step {
			if
#ifndef MUT_DEFERRED_IGNORED
			:: need > finished -> pending = DEFERRED; to = need
#endif
			:: else
			fi
		}
	fi
#endif
}

/* inval_mark(), pt_zap_small() */
inline begin()
{
	marks++;
#ifdef MUT_PENDING_FIRST
	ask_pending();
#endif
	atomic {
		removed = (entry != 0);
		lost = lost | bit(entry);
		entry = 0
	};
#ifndef MUT_PENDING_FIRST
	ask_pending();
#endif
	skip
}

/* Linux' change, under its page-table lock */
inline clear_host()
{
	d_step {
		mine = host;
		host = 0;
		unmapped = unmapped | bit(mine);
		covered = unmapped
	}
}

#define raise(x, to) x = ((to) > x -> (to) : x)

/* shootdown_defer_one() */
inline defer()
{
#if !defined(MUT_NO_BUMP) && !defined(MUT_BUMP_LATE)
	d_step { gen++; to = gen };
#else
	to = gen;
#endif
#ifdef MUT_NEED_BEFORE_BUMP
	to--;
#endif
#ifndef MUT_NEED_AFTER_END
	/* inval_defer() */
	raise(need, to);
#endif
	skip
}

/* inval_unmark() */
inline inval_end()
{
	d_step { marks--; removed = false; pending = 0 }
}

/* inval_deferred(), check_flushed(): shootdown_progress(), or settle */
inline after_flush()
{
	d_step {
		to = 0;
		if
		:: need > finished && marks == 0 -> to = need
		:: else
		fi
	};
	if
	:: to ->
#ifndef MUT_DONE_EARLY
		settle(to);
#endif
		raise(finished, to);
		to = 0
	:: else
	fi
}

proctype deferred(byte me)
{
	byte to, mine, pending, covered;
	bool removed;

	gathers++;			/* tlb_gather_mmu() */
	/* range_start(): may_defer() */
	begin();
	if
#ifdef MUT_RIDE_NO_BUMP
	:: removed ->
#else
	:: removed || pending == UNKNOWN ->
#endif
		defer()
	:: else				/* NOTHING, or DEFERRED alone */
	fi;
	clear_host();
	/* range_end() comes before tlb_finish_mmu() */
	inval_end();
#ifdef MUT_NEED_AFTER_END
	raise(need, to);
#endif
#ifdef MUT_DONE_EARLY
	after_flush();
#endif
	if
#ifndef MUT_NO_LINUX_FLUSH
#ifdef MUT_NO_NESTED
	:: mine ->
#else
	:: mine || gathers > 1 ->
#endif
		/* flush_tlb_mm_range(): waits for the handler */
		d_step {
			if
			:: mode.mem != OUTSIDE || mode.held ->
				ipi = ipi | bit(me)
			:: else
			fi
		};
		!(ipi & bit(me));
#ifdef MUT_BUMP_LATE
		gen++;
#endif
		after_flush()
#endif
	:: else
	fi;
	/* tlb_batch_pages_flush(); the system call returns */
	gone = gone | covered;
	atomic { mine = 0; covered = 0; to = 0; gathers-- }
}

proctype immediate(byte me)
{
	byte to, mine, pending, absent, covered;
	bool removed;

	/* range_start(): flush_now() */
	begin();
	absent = lost;
	if
	:: removed || pending == UNKNOWN ->
#ifdef MUT_RIDE_RECLAIM
		defer()
#else
		/* ept_flush(): shootdown_run() */
		d_step { gen++; to = gen };
		settle(to)
#endif
	:: pending == DEFERRED && !removed ->
		/* ept_flush_settle() */
		settle(to);
		raise(finished, to)
	:: else
	fi;
	gone = gone | absent;		/* start returns */
	clear_host();
	if
	:: mine -> gone = gone | bit(mine)
	:: else
	fi;
	inval_end();
	atomic { mine = 0; to = 0; absent = 0; covered = 0 }
}

proctype drain()
{
end:	do
	:: tso_drain(mode)
	od
}

init {
	atomic {
		run cpu();
#ifndef BOTH
		run fault();
#endif
		run deferred(0);
#ifndef TWICE
		run immediate(1);
#endif
#ifndef RECLAIM
		run deferred(2);
#endif
		run drain()
	}
}
