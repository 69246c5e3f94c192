/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * smp/inval.h, pt.c, pt_zap.c, kmod/ept_notifier.c: fault against
 * invalidation, of one page. Two vCPU threads fault; two threads invalidate, as
 * Linux' notifier calls do; Linux' page-table lock makes its own change atomic.
 * The table above the leaf is linked on the first fault. The shootdown is one
 * step here (shootdown.pml has it): each CPU drops what it cached.
 *
 * Properties: when start has returned, no CPU can use a page that it covers,
 * although pages that were absent were passed without a lock; after end the
 * EPT does not map the old page; no CPU ever uses a freed page.
 *
 * Mutants:
 * MUT_NO_FAULT_FENCE	[IV-1] missing
 * MUT_NO_INVAL_FENCE	[IV-2] missing: the walk's reads come before the mark
 * MUT_NO_FROZEN	no reservation: the entry stays absent until the leaf is in
 * MUT_SKIP_FROZEN	the walk passes a FROZEN entry like an absent one
 * MUT_NO_RECHECK	pt_map() does not look at the bucket again
 * MUT_SNAP_LATE	[IV-3] missing: the snapshot follows the lookup
 * MUT_SNAP_IN_PROGRESS	a snapshot during an invalidation is taken for good
 * MUT_NO_SEQ		inval_end() only drops the mark
 * MUT_MARK_LATE	the mark follows the walk
 * MUT_END_EARLY	the mark is dropped before Linux changes the mapping
 * MUT_FLUSH_BEFORE_ZAP	entries go after the shootdown
 * MUT_PENDING_IGNORED	what was found absent is taken for flushed
 * MUT_NO_LOCK		a fault installs without the table's lock
 */
#include "tso.inc"

#define FROZEN	 7
#define TRIES	 2
#define FAULTS	 2

/* struct inval_bucket.word */
byte marks;
byte seq;

/* The EPT: an upper entry (linked or not), and the leaf's entry: a page. */
bool upper;
tso_var entry;		/* 0, FROZEN, or a page; under lock */
bool lock;

byte host = 1;		/* Linux' entry: pages 1, 2, 3 in turn */
byte tlb[FAULTS];	/* what each CPU has cached */
byte freed;		/* one bit a page */

#define bit(page)	(1 << (page))
#define lock_table()	atomic { !lock -> lock = true }
/* A release: the buffered store is out first. */
#define unlock_table()	atomic { tso_fence(entry) -> lock = false }

/* vcpu_ept_fault(): try_map() */
proctype fault(byte me)
{
	byte tries, page, word, was;

end:	do
	:: tries < TRIES ->
		tries++;
#ifdef MUT_SNAP_LATE
		page = host;
#endif
		/* inval_snap() */
		d_step { was = marks; word = seq };
#ifndef MUT_SNAP_IN_PROGRESS
		if
		:: was -> goto again
		:: else
		fi;
#endif
		/* host_leaf() */
#ifndef MUT_SNAP_LATE
		page = host;
#endif
		/* pt_map(): descend(), step_down() [PT-1] */
		upper = true;
#ifndef MUT_NO_LOCK
		lock_table();
#endif
		/* set_leaf_locked(), install_locked() */
		if
		:: entry.mem || entry.held -> goto unlock	/* SPURIOUS */
		:: else
		fi;
#ifndef MUT_NO_FROZEN
		tso_store(entry, FROZEN);
#ifndef MUT_NO_FAULT_FENCE
		tso_fence(entry);
#endif
#endif
		/* inval_stale() */
#ifndef MUT_NO_RECHECK
		if
		:: d_step { marks != was || seq != word } ->
#ifndef MUT_NO_FROZEN
			tso_store(entry, 0);
#endif
			goto unlock
		:: else
		fi;
#endif
		tso_store(entry, page);
unlock:
#ifdef MUT_NO_LOCK
		tso_fence(entry);
#else
		unlock_table();
#endif
again:
		atomic { page = 0; word = 0; was = 0 }
	/* The guest: the CPU's own walks, and uses of what it cached. */
	:: atomic { upper && entry.mem && entry.mem != FROZEN &&
		    tlb[me] == 0 -> tlb[me] = entry.mem }
	:: atomic { tlb[me] && (freed & bit(tlb[me])) -> assert(false) }
	od
}

/* shootdown_run() */
inline flush()
{
	d_step { tlb[0] = 0; tlb[1] = 0 }
}

/* zap_in_table(), zap_leaves(): what was seen absent needs no lock. */
inline walk()
{
	see = 0;
	if
	:: upper -> see = entry.mem
	:: else
	fi
}

/* range_start() ... range_end(), around Linux' change */
proctype invalidate(byte next)
{
	byte see, old, before;
	bool removed, unknown;

	/* inval_mark(): plat_add64_full() */
#ifdef MUT_NO_INVAL_FENCE
	walk();
	marks++;
#elif defined(MUT_MARK_LATE)
	walk();
#else
	marks++;
	walk();
#endif
	/* remove_leaf_locked() */
#ifdef MUT_FLUSH_BEFORE_ZAP
	flush();
#endif
	if
#ifdef MUT_SKIP_FROZEN
	:: see && see != FROZEN ->
#else
	:: see ->
#endif
		lock_table();
		atomic {
			if
			:: entry.mem -> entry.mem = 0; removed = true
			:: else
			fi
		};
		unlock_table()
	:: else
	fi;
#ifdef MUT_MARK_LATE
	marks++;
#endif
	/* inval_pending_one(), flush_now(), ept_flush() */
#ifndef MUT_PENDING_IGNORED
	unknown = marks > 1;
#endif
	if
#ifndef MUT_FLUSH_BEFORE_ZAP
	:: removed || unknown -> flush()
#endif
	:: else
	fi;
#ifdef MUT_END_EARLY
	d_step { seq++; marks-- };
#endif
	/*
	 * Start has returned: Linux relies on it. The page of that moment; the
	 * other invalidation may have let a new one in only after its own end.
	 */
	d_step {
		old = host;
		assert(tlb[0] != old && tlb[1] != old)
	};
	/* Linux: under its page-table lock; who cleared the page frees it. */
	d_step { old = host; host = next };
	freed = freed | bit(old);
	/* inval_unmark() [IV-4] */
	assert(entry.mem != old);
#ifndef MUT_END_EARLY
#ifdef MUT_NO_SEQ
	marks--
#else
	d_step { seq++; marks-- }
#endif
#endif
}

proctype drain()
{
end:	do
	:: tso_drain(entry)
	od
}

init {
	atomic {
		run fault(0);
		run fault(1);
		run invalidate(2);
		run invalidate(3);
		run drain()
	}
}
