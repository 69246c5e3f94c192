/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * smp/pt.c, pt_zap.c, gather.c: life of table pages. Below the root entry is a
 * table (level 2) of one entry, below that one of leaves (level 1). Two threads
 * fault, linking tables by cmpxchg; one invalidation covers the upper table,
 * another one the lower table or its leaf only; the MMU walks and keeps what it
 * found; a thread walks under RCU.
 *
 * Properties: nobody, the MMU included, reads a freed table or one that is not
 * initialised; in the end every table is reachable, in a cache, or freed, once;
 * every leaf that was installed is reachable or was counted as removed; who has a
 * table's lock and finds it alive has the one that is linked (pt_table.place), if
 * its parent is alive too.
 *
 * Variants, because both at once have too many states:
 * LINKS	two faults
 * WALKS	one fault; the MMU, and a walk under RCU
 * PAGE		one fault, before two invalidations of the second kind, and the
 *		MMU: also, when one of them returns, no CPU can use the page,
 *		whoever removed it (inval.pml has that for a leaf alone)
 *
 * Mutants:
 * MUT_ZERO_NOT_FROZEN	dismantle() leaves 0 in the entries
 * MUT_DEAD_FIRST	[PAGE] the parent's entry goes after the table was marked dead
 * MUT_UNLINK_FIRST	the parent's entry goes before the table's lock is had
 * MUT_PENDING_IGNORED	[PAGE] what was found absent is taken for flushed
 * MUT_NO_GRACE		tables are freed right after the shootdown
 * MUT_NO_SHOOTDOWN	[WALKS] a grace period only
 * MUT_FREE_FIRST	[WALKS] grace period and free come before the shootdown
 * MUT_FLUSH_LINKED	[WALKS] the shootdown comes before the table is unlinked
 * MUT_NO_DEAD		set_leaf_locked() does not look at dead
 * MUT_NO_DEAD_ZAP	zap_leaves() does not look at dead
 * MUT_DEAD_UNLOCKED	dismantle() does not take the table's lock
 * MUT_PLAIN_LINK	a table is linked by a plain store
 * MUT_POP_FIRST	a table leaves the cache for good before the cmpxchg, which may fail
 * MUT_POP_LAST		a table is popped, by its next pointer, after it was linked
 * MUT_LINK_FIRST	[PT-1] missing: a table is linked before it is filled
 * MUT_WALK_NO_RCU	[WALKS] the walker is no RCU reader
 * MUT_FAULT_NO_RCU	the fault is no RCU reader
 */
#if !defined(LINKS) && !defined(WALKS) && !defined(PAGE)
#define WALKS
#endif

#define NPAGE	 5	/* 1..4; two a fault's cache */
#define FROZEN	 5
#define LEAF	 6
#define GARBAGE	 7

#define READERS	 5
#define WALKER	 2
#define ZAP_ALL	 3
#define ZAP_PART 4

#define bit(page) (1 << (page))
#define is_table(v) ((v) && (v) < FROZEN)

byte root;		/* the root's entry */
byte entry[NPAGE];	/* of a table page */
byte leaves[NPAGE];	/* struct pt_table.nr_leaves */
byte dead, locked, linked, freed;	/* one bit a page; 0: the root's */
byte nothing;		/* in place of an entry that is FROZEN already */
byte next[NPAGE];	/* struct pt_table.next: of a cache, then of a gather */
bool reading[READERS];
byte installed, removed, done;
byte marks;		/* invalidations in progress, see inval.pml */
bool begun;		/* one has begun */

/* The MMU's cached entries: to a level-2 and to a level-1 table. */
byte mmu_upper, mmu_lower;
bool mmu_leaf, page_freed;

#define lock(page) \
	atomic { !(locked & bit(page)) -> locked = locked | bit(page) }
#define unlock(page) locked = locked & ~bit(page)

inline touch(page)
{
	assert(!(freed & bit(page)));
	assert(entry[page] != GARBAGE)
}

/* step_down(), cache_pop(): a table of the cache goes into an absent entry */
inline link(e)
{
	if
	:: spare == 0 -> goto give_up		/* STALE: the cache is empty */
	:: else
	fi;
#ifndef MUT_LINK_FIRST
	entry[spare] = 0;			/* pt_table_alloc() */
#endif
#ifdef MUT_POP_FIRST
	atomic {
		linked = linked | bit(spare);
		if
		:: e == 0 -> e = spare; value = spare
		:: else -> value = e
		fi;
		spare = spare2; spare2 = 0
	};
#else
	atomic {
		if
#ifdef MUT_PLAIN_LINK
		:: true ->
#else
		:: e == 0 ->
#endif
			e = spare;
			value = spare;
			linked = linked | bit(spare);
#ifndef MUT_POP_LAST
			spare = spare2; spare2 = 0
#endif
		:: else -> value = e
		fi
	};
#endif
#ifdef MUT_POP_LAST
	if
	:: value == spare -> spare = next[spare]
	:: else
	fi;
#endif
#ifdef MUT_LINK_FIRST
	if
	:: entry[value] == GARBAGE -> entry[value] = 0
	:: else
	fi;
#endif
	skip
}

/* pt_map(): map_once() until it is no STEP_AGAIN */
proctype fault(byte me; byte spare; byte spare2)
{
	byte upper, value;

again:
#ifndef MUT_FAULT_NO_RCU
	reading[me] = true;
#endif
	/* descend() */
	value = root;
	if
	:: value == 0 -> link(root)
	:: else
	fi;
	upper = value;
	d_step { touch(upper); value = entry[upper] };
	if
	:: value == 0 -> link(entry[upper])
	:: else
	fi;
	if
	:: value == FROZEN -> goto restart
	:: else
	fi;
	/* set_leaf_locked(), install_locked() */
	lock(value);
	touch(value);
	if
#ifndef MUT_NO_DEAD
	:: dead & bit(value) -> unlock(value); goto restart
#endif
	:: else
	fi;
#ifndef MUT_NO_DEAD
	assert((dead & bit(upper)) || entry[upper] == value);
#endif
	d_step {
		if
#ifdef PAGE
		:: begun			/* STALE */
		:: !begun && entry[value] == 0 ->
#else
		:: entry[value] == 0 ->
#endif
			entry[value] = LEAF;
			leaves[value]++;
			installed++
		:: else			/* SPURIOUS */
		fi
	};
	unlock(value);
	goto give_up;
restart:
	atomic { reading[me] = false; upper = 0; value = 0 };
	goto again;
give_up:
	atomic { reading[me] = false; upper = 0; value = 0; done++ }
}

/* pt_lookup(), pt_age() */
proctype walker()
{
	byte at;

#ifndef MUT_WALK_NO_RCU
	reading[WALKER] = true;
#endif
	at = root;
	if
	:: at ->
		d_step { touch(at); at = entry[at] };
		if
		:: is_table(at) -> touch(at)
		:: else
		fi
	:: else
	fi;
	at = 0;
	reading[WALKER] = false
}

/* Any order, as often as it likes, until a flush takes the entries away. */
proctype mmu()
{
end:	do
	:: mmu_upper == 0 && root -> mmu_upper = root
	:: d_step { mmu_upper ->
		touch(mmu_upper);
		if
		:: mmu_lower == 0 && is_table(entry[mmu_upper]) ->
			mmu_lower = entry[mmu_upper]
		:: else
		fi }
	:: d_step { mmu_lower ->
		touch(mmu_lower);
#ifdef PAGE
		mmu_leaf = mmu_leaf || entry[mmu_lower] == LEAF;
		assert(!mmu_leaf || !page_freed)
#endif
		}
	od
}

/* shootdown_run() */
#define shootdown() d_step { mmu_upper = 0; mmu_lower = 0; mmu_leaf = false }

/* Every reader that was in a section has left it since. */
inline grace_period()
{
	!reading[0]; !reading[1]; !reading[2]; !reading[3]; !reading[4]
}

#if defined(MUT_DEAD_FIRST) || defined(MUT_FLUSH_LINKED)
#define UNLINK_LAST
#endif

/* dismantle_locked() of a level-1 table that e leads to; the parent's lock is held */
inline dismantle_lower(page, e)
{
#ifdef MUT_UNLINK_FIRST
	e = 0;
#endif
#ifndef MUT_DEAD_UNLOCKED
	lock(page);
#endif
#if !defined(UNLINK_LAST) && !defined(MUT_UNLINK_FIRST)
	e = 0;
#endif
	dead = dead | bit(page);
#ifndef MUT_DEAD_UNLOCKED
	unlock(page);
#endif
	d_step { gather = gather | bit(page);	/* gather_table() */
		 removed = removed + leaves[page] }
}

/* ept_flush(): shootdown_run(), gather_release(), pt_table_free_rcu() */
inline release()
{
	if
	:: gather ->
#ifdef MUT_FREE_FIRST
		grace_period();
		atomic { assert(!(freed & gather)); freed = freed | gather };
#endif
#if !defined(MUT_NO_SHOOTDOWN) && !defined(MUT_FLUSH_LINKED)
		shootdown();
#endif
#ifndef MUT_FREE_FIRST
#ifndef MUT_NO_GRACE
		grace_period();
#endif
		atomic { assert(!(freed & gather)); freed = freed | gather };
#endif
		gather = 0
	:: else
	fi
}

/* pt_zap() of a range that covers the level-2 table */
proctype zap_all()
{
	byte upper, lower, gather;

	d_step { marks++; begun = true };	/* inval_begin() */
	reading[ZAP_ALL] = true;
	if
	:: root == 0 -> goto out		/* passed without a lock */
	:: else
	fi;
	lock(0);
	/* zap_upper_locked() */
	upper = root;
	if
	:: upper ->
		/* unlink_and_dismantle() */
#ifdef MUT_UNLINK_FIRST
		root = 0;
#endif
		lock(upper);
#if !defined(UNLINK_LAST) && !defined(MUT_UNLINK_FIRST)
		root = 0;
#endif
		atomic { touch(upper); dead = dead | bit(upper) };
		/* freeze_locked() */
		atomic {
			lower = entry[upper];
#ifdef MUT_ZERO_NOT_FROZEN
			entry[upper] = 0
#else
			entry[upper] = FROZEN
#endif
		};
		if
		:: is_table(lower) -> dismantle_lower(lower, nothing)
		:: else
		fi;
		unlock(upper);
		/* gather_table() */
		gather = gather | bit(upper);
		next[upper] = (is_table(lower) -> lower : 0);
#ifdef MUT_FLUSH_LINKED
		shootdown();
#endif
#ifdef UNLINK_LAST
		root = 0
#else
		skip
#endif
	:: else
	fi;
	unlock(0);
out:
	atomic { reading[ZAP_ALL] = false; upper = 0; lower = 0 };
	release();
	d_step { marks--; done++ }
}

/* pt_zap() of a range that covers the level-1 table, or one page of it */
proctype zap_part(byte me)
{
	byte upper, lower, gather;
	bool took;

	d_step { marks++; begun = true };
	reading[me] = true;
	upper = root;
	if
	:: upper == 0 -> goto out
	:: else
	fi;
	d_step { touch(upper); lower = entry[upper] };
	if
	:: !is_table(lower) -> goto out
	:: else
	fi;
	if
	:: true ->		/* zap_leaves() */
		lock(lower);
		atomic {
			touch(lower);
			if
#ifndef MUT_NO_DEAD_ZAP
			:: !(dead & bit(lower)) && entry[lower] == LEAF ->
#else
			:: entry[lower] == LEAF ->
#endif
				entry[lower] = 0;
				leaves[lower]--;
				removed++;
				took = true
			:: else
			fi
		};
		unlock(lower)
	:: true ->		/* zap_upper_locked(): covered */
		lock(upper);
		touch(upper);
		lower = entry[upper];
		if
		:: !(dead & bit(upper)) && is_table(lower) ->
			dismantle_lower(lower, entry[upper]);
#ifdef MUT_FLUSH_LINKED
			shootdown();
#endif
#ifdef UNLINK_LAST
			entry[upper] = 0
#else
			skip
#endif
		:: else
		fi;
		unlock(upper)
	fi;
out:
	atomic { reading[me] = false; upper = 0; lower = 0 };
#ifdef PAGE
	/* inval_pending(): UNKNOWN */
	if
#ifndef MUT_PENDING_IGNORED
	:: took || marks > 1 -> shootdown()
#else
	:: took -> shootdown()
#endif
	:: else
	fi;
#endif
	release();
#ifdef PAGE
	page_freed = true;		/* start returns, Linux frees it */
#endif
	d_step { took = false; marks--; done++ }
}

proctype audit()
{
	byte page, reachable, found;

	done == 4;
	d_step {
		if
		:: root ->
			reachable = bit(root);
			page = entry[root];
			if
			:: is_table(page) ->
				reachable = reachable | bit(page);
				found = (entry[page] == LEAF -> 1 : 0)
			:: else
			fi
		:: else
		fi;
		assert((linked & ~freed) == reachable);
		assert((freed & reachable) == 0);
		assert(installed - removed == found);
		assert(locked == 0)
	}
}

init {
	atomic {
		entry[1] = GARBAGE; entry[2] = GARBAGE;
		entry[3] = GARBAGE; entry[4] = GARBAGE;
		next[1] = 2; next[3] = 4;
		/* In this order mutants are found early. */
		run zap_part(ZAP_PART);
		run fault(0, 1, 2);
#ifdef LINKS
		run fault(1, 3, 4);
#else
		done++;
#ifdef WALKS
		run walker();
#endif
		run mmu();
#endif
#ifdef PAGE
		run zap_part(ZAP_ALL);
#else
		run zap_all();
#endif
		run audit()
	}
}
