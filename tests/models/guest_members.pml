/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Who has to hear of a change in a guest address space: one region of 1 GiB,
 * its entry in the master (absent, a 1 GiB leaf, or a PD with one leaf), and
 * the copy of that entry in one vCPU's view. The vCPU uses the region, leaves
 * the root, comes back, and dies; its MMU walks the view at any time and keeps
 * what it finds until a flush. The shootdown of members is one step here,
 * guest_shootdown.pml has it.
 *
 * Properties: when a call has returned, the vCPU cannot use what it unmapped,
 * whoever removed the entry; no freed table and no freed view is read or
 * written, by the MMU or by a thread.
 *
 * Variants:
 * WHOLE	the region is unmapped as one, mapped again, and unmapped
 * PART		its page is unmapped, by two threads
 * BOTH		one of each
 * COMMON	as WHOLE; the copy is that of all views, and somebody else fills it,
 *		too: the vCPU is a member from before its first use of the root on
 * SHARED	the same, and as BOTH
 *
 * Mutants:
 * MUT_BIT_LATE		[PART] the member bit is set after the copy was stored
 * MUT_NO_FILL_FENCE	[PART] [GT-5] missing
 * MUT_NO_CHANGE_FENCE	[PART] [GT-6] missing: members are read before the change
 * MUT_FILL_BLIND	a fill takes no lock
 * MUT_FILL_REREAD	nor this one, but it reads the master again after its store,
 *			and undoes and flushes if that has changed
 * MUT_FILL_HIDDEN	the same, and the MMU is off in between
 * MUT_MEMBERS_FIRST	a change of the whole region reads the members, then locks
 * MUT_RESET_FIRST	[BOTH] members are reset before the shootdown
 * MUT_NO_RESET_LOCK	members are reset after the region was unlocked
 * MUT_VIEW_KEPT	the views of members keep their copy
 * MUT_VIEW_LATE	they lose it after the shootdown
 * MUT_LEAVE_EARLY	a leaving vCPU flushes after it was taken off the members
 * MUT_LEAVE_NO_FLUSH	it does not flush
 * MUT_LEAVE_UNLOCKED	it takes no lock
 * MUT_ABSENT_IS_FLUSHED	[PART] what was found absent is taken for flushed
 * MUT_ABSENT_UNLOCKED	[BOTH] the same of a region, without its lock
 * MUT_NO_GRACE		[BOTH] the PD is freed right after the shootdown
 * MUT_FREE_FIRST	it is freed before the shootdown
 * MUT_JOIN_LATE	[COMMON] the vCPU is a member after its CR3 is loaded
 * MUT_JOIN_NO_FENCE	[SHARED] its bit is in the store buffer when it is
 * MUT_COMMON_KEPT	[COMMON] the copy stays
 * MUT_COMMON_LATE	[COMMON] it goes after the shootdown
 * MUT_COMMON_MEMBERS	[COMMON] members are read before it goes
 * MUT_COMMON_RESET	[COMMON] members are reset after the shootdown
 * MUT_COMMON_FILL	[COMMON] who fills it takes no lock
 */
#include "tso.inc"

#ifdef SHARED
#define ALL_VIEWS
#define BOTH
#endif
#ifdef COMMON
#define ALL_VIEWS
#define WHOLE
#endif
#if !defined(WHOLE) && !defined(PART) && !defined(BOTH)
#define BOTH
#endif

/* Values of the region's entry; the bits of what each leads to, as freed. */
#define GIANT	1	/* the page of a 1 GiB leaf */
#define PD	2	/* the table's page */
#define SMALL	4	/* the page of its leaf */

byte master;
bool leaf;		/* of the PD: maps SMALL */
bool dead;		/* the PD is unlinked */
bool region_lock, pd_lock;
byte maps;		/* how often the region was mapped anew */
byte changing;		/* calls under way in the region */
bool reading;		/* a thread is in RCU, and has seen the PD */

tso_var member;		/* the vCPU's bit */
byte view;		/* its copy; written by xchg */
bool view_gone;		/* the view's page is freed */
bool in_root;		/* CR3 is that of the view */
bool mmu_pd;		/* the MMU's: upper entry, leaves */
byte mmu;
byte freed;

#define lock(l)		atomic { !l -> l = true }
#define unlock(l)	l = false
/* A release: the buffered store is out first. */
#define unlock_region() atomic { tso_fence(member) -> region_lock = false }

#define check()		assert((mmu & freed) == 0 && !(mmu_pd && (freed & PD)))
#define flush()		d_step { mmu_pd = false; mmu = 0 }

/* Any order, as often as it likes. */
proctype walks()
{
end:	do
	:: d_step { in_root && view == GIANT && !(mmu & GIANT) ->
		mmu = mmu | GIANT; check() }
	:: d_step { in_root && view == PD && !mmu_pd ->
		mmu_pd = true; check() }
	:: d_step { in_root && mmu_pd && leaf && !(mmu & SMALL) ->
		mmu = mmu | SMALL; check() }
	od
}

#ifdef MUT_FILL_HIDDEN
#define MUT_FILL_REREAD
#endif
#if defined(MUT_FILL_REREAD) || defined(MUT_FILL_BLIND)
#define FILL_UNLOCKED
#endif

#ifdef ALL_VIEWS
/* The #PF handler of any vCPU; this one's, or that of another member. */
inline fill_common()
{
#ifndef MUT_COMMON_FILL
	lock(region_lock);
#endif
	copy = master;
	view = copy;
#ifndef MUT_COMMON_FILL
	unlock_region();
#endif
	copy = 0
}

proctype other_fills()
{
	byte copy;

	fill_common();
	fill_common()
}

/* A view is made, and its CR3 loaded. */
inline join()
{
#ifndef MUT_JOIN_LATE
	tso_store(member, 1);
#ifndef MUT_JOIN_NO_FENCE
	tso_fence(member);		/* [GT-5] */
#endif
#endif
	in_root = true;
#ifdef MUT_JOIN_LATE
	tso_store(member, 1);
	tso_fence(member);
#endif
}

inline part_from_root()
{
	in_root = false;
	flush();
	tso_store(member, 0);
	tso_fence(member)
}

proctype vcpu()
{
	byte copy, stays;

	do
	:: stays < 2 ->
		stays++;
		join();
		if
		:: view == 0 -> fill_common()
		:: skip
		fi;
		part_from_root()
	:: true -> break
	od
}
#else
/* The #PF handler: the view has no entry for the region. */
inline fill()
{
#ifndef FILL_UNLOCKED
	lock(region_lock);
#endif
	do
	:: true ->
#ifndef MUT_BIT_LATE
		tso_store(member, 1);
#ifndef MUT_NO_FILL_FENCE
		tso_fence(member);		/* [GT-5] */
#endif
#endif
		copy = master;
#ifdef MUT_FILL_HIDDEN
		in_root = false;
#endif
		view = copy;
#ifdef MUT_BIT_LATE
		tso_store(member, 1);
		tso_fence(member);
#endif
#ifdef MUT_FILL_REREAD
		if
		:: master != copy -> view = 0; flush()
		:: else -> break
		fi
#else
		break
#endif
	od;
#ifndef FILL_UNLOCKED
	unlock_region();
#endif
#ifdef MUT_FILL_HIDDEN
	in_root = true;
#endif
	copy = 0
}

/* Another root, or the end */
inline leave()
{
	in_root = false;				/* MOV CR3 */
#if !defined(MUT_LEAVE_NO_FLUSH) && !defined(MUT_LEAVE_EARLY)
	flush();				/* INVPCID */
#endif
#ifndef MUT_LEAVE_UNLOCKED
	lock(region_lock);
#endif
	tso_store(member, 0);
	view = 0;
	unlock_region();
#ifdef MUT_LEAVE_EARLY
	flush()
#else
	skip
#endif
}

proctype vcpu()
{
	byte copy, stays;

	do
	:: stays < 2 ->
		stays++;
		in_root = true;
		fill();
		if
		:: view == 0 -> fill()		/* faults again */
		:: skip
		fi;
		leave()
	:: true -> break
	od;
	view_gone = true
}
#endif

/* Members hear of it. */
inline shootdown()
{
	if
	:: heard -> flush()
	:: else
	fi
}

#ifdef ALL_VIEWS
/* The copy, by xchg, then the members; nobody is taken off. */
inline change_common()
{
#ifdef MUT_COMMON_MEMBERS
	heard = member.mem;
#endif
#if !defined(MUT_COMMON_KEPT) && !defined(MUT_COMMON_LATE)
	view = 0;
#endif
#ifndef MUT_COMMON_MEMBERS
	heard = member.mem;			/* [GT-6] */
#endif
	shootdown();
#ifdef MUT_COMMON_LATE
	view = 0;
#endif
#ifdef MUT_COMMON_RESET
	member.mem = 0;
#endif
	skip
}
#endif

inline unmap_whole()
{
	changing++;
#ifdef MUT_MEMBERS_FIRST
	heard = member.mem;
#endif
	lock(region_lock);
	d_step { old = master; master = 0; then = maps };
	if
	:: old == PD ->
		lock(pd_lock);
		d_step { dead = true; leaf = false };
		unlock(pd_lock)
	:: else
	fi;
#ifdef ALL_VIEWS
	change_common();
#else
#ifndef MUT_MEMBERS_FIRST
	heard = member.mem;
#endif
#ifdef MUT_FREE_FIRST
	freed = freed | (old & PD);
#endif
#ifdef MUT_RESET_FIRST
	member.mem = 0;
#endif
#if !defined(MUT_VIEW_KEPT) && !defined(MUT_VIEW_LATE)
	if
	:: heard -> atomic { assert(!view_gone); view = 0 }
	:: else
	fi;
#endif
	shootdown();
#ifdef MUT_VIEW_LATE
	if
	:: heard -> atomic { assert(!view_gone); view = 0 }
	:: else
	fi;
#endif
#ifdef MUT_NO_RESET_LOCK
	unlock(region_lock);
#endif
#ifndef MUT_RESET_FIRST
	if
	:: heard -> member.mem = 0
	:: else
	fi;
#endif
#endif
#ifndef MUT_NO_RESET_LOCK
	unlock(region_lock);
#endif
	changing--;
	/* The call returns; both pages are its caller's, or mapped anew. */
	d_step {
		if
		:: maps == then -> freed = freed | GIANT | SMALL
		:: else
		fi;
		check()
	};
	/* gather_release() */
	if
	:: old == PD ->
#ifndef MUT_NO_GRACE
		!reading;
#endif
		d_step {
			if
			:: maps == then -> freed = freed | PD
			:: else
			fi;
			check()
		}
	:: else
	fi
}

/* The same page; a table of the same address. */
inline map_again()
{
	lock(region_lock);
	d_step {
		if
		:: master == 0 ->
			master = first; leaf = (first == PD);
			dead = false; freed = 0; maps++
		:: else
		fi
	};
	unlock(region_lock)
}

proctype whole(bool maps_first; byte first)
{
	byte old, heard, then;

	if
	:: maps_first -> map_again()
	:: else
	fi;
	unmap_whole()
}

/* One page, under its table's lock */
proctype part()
{
	byte heard;
	bool took, unsure, was_dead, absent;

	changing++;
#ifdef MUT_NO_CHANGE_FENCE
	heard = member.mem;
#endif
	do
	:: reading = true;
		if
		:: master == PD ->
			lock(pd_lock);
			assert(!(freed & PD));
			d_step { was_dead = dead; took = !dead && leaf;
				 leaf = leaf && !took };
			unlock(pd_lock);
			reading = false;
			if
			:: !was_dead -> break
			:: else			/* again */
			fi
		:: else ->
			/* A change of the whole region may be under way. */
			reading = false;
#ifdef MUT_ABSENT_UNLOCKED
			break
#else
			lock(region_lock);
			absent = (master != PD);
			unlock(region_lock);
			if
			:: absent -> break
			:: else
			fi
#endif
		fi
	od;
#ifndef MUT_ABSENT_IS_FLUSHED
	unsure = changing > 1;
#endif
#ifndef MUT_NO_CHANGE_FENCE
	heard = member.mem;			/* [GT-6] */
#endif
	if
	:: took || unsure -> shootdown()
	:: else
	fi;
	changing--;
	atomic { freed = freed | SMALL; check() }
}

proctype drain()
{
end:	do
	:: tso_drain(member)
	od
}

init {
	atomic {
#ifdef WHOLE
		if
		:: master = GIANT
		:: master = PD
		fi;
#else
		master = PD;
#endif
		leaf = (master == PD);
#ifndef PART
		run whole(false, master);
#endif
#ifdef WHOLE
		run whole(true, master);
#endif
#ifndef WHOLE
		run part();
#endif
#ifdef PART
		run part();
#endif
#ifdef ALL_VIEWS
		run other_fills();
#endif
		run vcpu();
		run walks();
		run drain()
	}
}
