/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Guest TLB shootdown: requests in the vCPU page, mode, polling, kick. What a
 * vCPU has cached of the guest's page table belongs to (vCPU, CPU, stay): a
 * vCPU that comes back to a CPU gets a new VPID. guest_members.pml has who the
 * members of a region are; here each vCPU is one.
 *
 * Properties: when a call has returned, no vCPU in guest has a translation of
 * what it removed; nobody waits for ever, although a guest run may last until
 * it is kicked, and a vCPU may leave the guest for ever while it is polling.
 *
 * Variants:
 * TARGET	one vCPU that migrates; two threads in plain Linux mode remove a
 *		page each
 * PEERS	two vCPUs that each remove a page, in either mode
 * SWITCH	one vCPU that switches between two roots and does not poll; two
 *		threads in plain Linux mode remove a page each of the first root,
 *		and do not kick while it uses the second
 *
 * Mutants:
 * MUT_NO_TARGET_FENCE	[GT-1] missing
 * MUT_NO_INITIATOR_FENCE	[GT-2], [GT-4] missing: mode and polling are read first
 * MUT_NO_POLL_FENCE	[GT-3] missing
 * MUT_NO_POLL_RECHECK	polling ends without a look at requests
 * MUT_REQUEST_FIRST	the request is made before the entry is gone
 * MUT_REQUEST_LATE	the request is made after mode and polling were read
 * MUT_TAKE_TORN	a run's begin clears requests by a load and a store
 * MUT_NO_INVVPID	a run's begin clears FLUSH and does not flush
 * MUT_POLL_CLEAR_FIRST	one bit: the polling thread clears FLUSH, then flushes
 * MUT_POLL_CLEAR_AFTER	one bit: the polling thread flushes, then clears FLUSH
 * MUT_FLUSHING_IGNORED	a run's begin flushes for FLUSH only
 * MUT_POLL_BLIND	who waits for a polling vCPU does not look at mode
 * MUT_POLL_NO_WAIT	nobody waits for a polling vCPU
 * MUT_DEAF		[PEERS] a polling vCPU that waits for another looks at no request
 * MUT_NO_SELF		[PEERS] a caller in plain Linux mode makes no request of itself
 * MUT_NO_LOCAL		[PEERS] a caller in Dune mode does not flush itself
 * MUT_CPU_LATE		the vCPU's CPU is written after the look at requests
 * MUT_CPU_CACHED	the CPU to kick is read before the request is made
 * MUT_NO_KICK		no kick
 * MUT_NO_KICK_WAIT	the kick's sender does not wait
 * MUT_MODE_LATE	mode = 1 comes after the look at requests
 * MUT_EXIT_FIRST	mode = 0 is visible before the guest's last access
 * MUT_SWITCH_NO_FENCE	[SWITCH] no fence between the active root and requests
 * MUT_SWITCH_BLIND	[SWITCH] a switch does not look at requests
 * MUT_SWITCH_EARLY	[SWITCH] the new root counts as active before MOV CR3
 * MUT_SWITCH_LATE	[SWITCH] the old root counts as active until after it
 * MUT_ACTIVE_FIRST	[SWITCH] the active root is read before the request is made
 * MUT_VPID_KEPT	a vCPU that comes back to a CPU has its old VPID
 */
#include "tso.inc"

#if !defined(TARGET) && !defined(PEERS) && !defined(SWITCH)
#define TARGET
#endif

#ifdef PEERS
#define RUNS	2
#define NVCPU	2
#else
#define RUNS	3
#define NVCPU	1
#endif
#ifdef SWITCH
#define POLLS	0
#else
#define POLLS	1
#endif
#define NONE	7

#define bit(n)	(1 << (n))

#define FLUSH	 1	/* DUNE_REQ_FLUSH */
#define FLUSHING 2	/* DUNE_REQ_FLUSHING: taken by the polling thread */
/* What a run's begin flushes for. */
#ifdef MUT_FLUSHING_IGNORED
#define ASKS	FLUSH
#else
#define ASKS	(FLUSH | FLUSHING)
#endif

/* struct dune_vcpu_page */
tso_var mode[NVCPU];
tso_var polling[NVCPU];
byte requests[NVCPU];

/* libdune's: the root that is active on the vCPU; ANY: it is being switched. */
#define OTHER	0
#define ROOT	1
#define ANY	2
#ifdef SWITCH
tso_var root;
bool uses = true;	/* CR3 is that of the root that pages are removed of */
#define in_use	(root.mem != OTHER)
#define is_concerned u
#define own_fence tso_fence(root)
#else
#define uses	true
#define is_concerned true
#define own_fence true
#endif

/* The module's */
byte cpu_of[NVCPU];
byte irqs_off = 0;	/* CPUs that run a vCPU */
byte ipi[2];		/* of a CPU, by sender: sent and not handled */

byte entries = 3;	/* page f is removed by initiator f */
byte tlb[2];		/* of a CPU: under the VPID of the stay */
byte freed;
byte in_guest;		/* CPUs */
byte calls;		/* that have not returned */

#define check(cpu) \
	assert(!(in_guest & bit(cpu)) || !uses || (tlb[cpu] & freed) == 0)

/* The call returns; its caller may free the page. */
inline done(f)
{
	d_step {
		calls--;
		freed = freed | bit(f);
		check(0);
		check(1)
	}
}

/* Change the entry, ask vCPU t, look at it. */
inline post(f, t)
{
	calls++;
#if defined(MUT_NO_INITIATOR_FENCE) || defined(MUT_REQUEST_LATE)
	m = mode[t].mem;
	p = polling[t].mem;
#endif
#ifdef MUT_CPU_CACHED
	c = cpu_of[t];
#endif
#ifdef MUT_ACTIVE_FIRST
	u = in_use;
#endif
#ifdef MUT_REQUEST_FIRST
	requests[t] = requests[t] | FLUSH;
#endif
	entries = entries & ~bit(f);
#ifndef MUT_REQUEST_FIRST
	requests[t] = requests[t] | FLUSH;
#endif
#if !defined(MUT_NO_INITIATOR_FENCE) && !defined(MUT_REQUEST_LATE)
	/* [GT-2], [GT-4] */
	m = mode[t].mem;
	p = polling[t].mem;
#endif
#if defined(SWITCH) && !defined(MUT_ACTIVE_FIRST)
	u = in_use
#else
	skip
#endif
}

/* DUNE_HC_KICK: one multicast. A CPU with irqs on handles it at once. */
inline send(f, t)
{
#ifndef MUT_CPU_CACHED
	c = cpu_of[t];
#endif
#ifndef MUT_NO_KICK
	d_step {
		if
		:: irqs_off & bit(c) -> ipi[c] = ipi[c] | bit(f)
		:: else
		fi
	};
#endif
	skip
}

#ifdef MUT_NO_KICK_WAIT
#define kicked(f, c)	true
#else
#define kicked(f, c)	(!(ipi[c] & bit(f)))
#endif

#ifdef MUT_POLL_NO_WAIT
#define polled(t)	true
#elif defined(MUT_POLL_BLIND)
#define polled(t)	(!(requests[t]))
#else
#define polled(t)	(!(requests[t]) || !mode[t].mem)
#endif

/* A thread in plain Linux mode without a vCPU */
proctype initiator(byte f)
{
	byte m, p, c;
#ifdef SWITCH
	bool u;
#endif

	post(f, 0);
	if
	:: m && !p && is_concerned -> send(f, 0); kicked(f, c)
#ifndef SWITCH
	:: m && p -> polled(0)
#endif
	:: else
	fi;
	done(f)
}

/* The vCPU's thread: begin of a run */
inline run_begin()
{
	/* Linux gives it a CPU; vmx_vpid_load() */
	atomic {
#ifdef TARGET
		was = here;
		if
		:: here = 0
		:: here = 1
		fi;
#ifndef MUT_VPID_KEPT
		if
		:: here != was -> tlb[here] = 0
		:: else
		fi;
#endif
		was = 0;
#endif
		irqs_off = irqs_off | bit(here);
#ifndef MUT_CPU_LATE
		cpu_of[me] = here;
#endif
	};
#ifndef MUT_MODE_LATE
	tso_store(mode[me], 1);
#ifndef MUT_NO_TARGET_FENCE
	tso_fence(mode[me]);			/* [GT-1] */
#endif
#endif
	/*
	 * The guest runs nothing in between: whether the request is cleared
	 * before or after the flush makes no difference here.
	 */
#ifdef MUT_TAKE_TORN
	took = requests[me] & ASKS;
	requests[me] = 0;
#else
	d_step {
		took = requests[me] & ASKS;
		requests[me] = requests[me] & ~ASKS
	};
#endif
	/* INVVPID of this stay's VPID */
#ifndef MUT_NO_INVVPID
	d_step {
		if
		:: took -> tlb[here] = 0
		:: else
		fi
	};
#endif
#ifdef MUT_MODE_LATE
	tso_store(mode[me], 1);
	tso_fence(mode[me]);
#endif
#ifdef MUT_CPU_LATE
	cpu_of[me] = here;
#endif
	d_step {
		took = 0;
		in_guest = in_guest | bit(here);
		check(here)
	}
}

inline run_end()
{
#ifdef MUT_EXIT_FIRST
	tso_store(mode[me], 0);
	in_guest = in_guest & ~bit(here);
#else
	in_guest = in_guest & ~bit(here);
	tso_store(mode[me], 0);
#endif
	/* irqs are on: the handler's answer is a store after those before it. */
	atomic {
		tso_fence(mode[me]) && tso_fence(polling[me]) && own_fence ->
		ipi[here] = 0;
		irqs_off = irqs_off & ~bit(here)
	}
}

/* The polling thread takes, flushes, says so; exits may come in between. */
#define TOOK	1
#define FLUSHED	2

inline take()
{
	d_step {
#if !defined(MUT_POLL_CLEAR_AFTER)
		requests[me] = requests[me] & ~FLUSH;
#endif
#if !defined(MUT_POLL_CLEAR_FIRST) && !defined(MUT_POLL_CLEAR_AFTER)
		requests[me] = requests[me] | FLUSHING;
#endif
		serves = TOOK
	}
}

inline say_flushed()
{
	d_step {
#ifdef MUT_POLL_CLEAR_AFTER
		requests[me] = requests[me] & ~FLUSH;
#endif
		requests[me] = requests[me] & ~FLUSHING;
		serves = 0
	}
}

/* Steps of a switch; exits may come in between as well. */
#define STEADY	0
#define BEGUN	1
#define LOOKED	2
#define MOVED	3

#define IDLE	0
#define KICKS	1
#define WAITS	2
#define OVER	3

#ifdef MUT_DEAF
#define hears	(call != WAITS)
#else
#define hears	true
#endif

/* The guest's loop, one turn an event. */
proctype vcpu(byte me; byte runs)
{
	byte here, was, took, serves, toggles, m, p, c, call;
	bool polls, stays;
#ifdef SWITCH
	byte switches, at, stale;
#endif

	here = me;
#ifndef PEERS
	call = OVER;
#endif
end_outside:
	do
	:: runs || call == WAITS ->
		d_step {
			if
			:: call != WAITS -> runs--
			:: else
			fi
		};
		run_begin();
		if
		:: stays = true
		:: stays = false
		fi;
end_in_guest:
		do
		:: uses && (tlb[here] | entries) != tlb[here] ->
			tlb[here] = tlb[here] | entries
		:: !polls && !serves && toggles < POLLS ->
			toggles++;
			tso_store(polling[me], 1);
			polls = true
		:: polls && hears && !serves && (requests[me] & FLUSH) ->
			take()
		:: serves == TOOK ->
			tlb[here] = 0;
			serves = FLUSHED
		:: serves == FLUSHED ->
			say_flushed()
		:: polls && !serves && call != WAITS ->
			tso_store(polling[me], 0);
			polls = false;
#ifndef MUT_NO_POLL_FENCE
			tso_fence(polling[me]);		/* [GT-3] */
#endif
#ifndef MUT_NO_POLL_RECHECK
			if
			:: requests[me] & FLUSH -> take()
			:: else
			fi
#endif
#ifdef PEERS
		:: call == IDLE ->
			post(me, 1 - me);
#ifndef MUT_NO_LOCAL
			tlb[here] = tlb[here] & ~bit(me);	/* INVLPG */
#endif
			if
			:: m && !p -> call = KICKS; m = 0; p = 0; break
			:: m && p -> call = WAITS
			:: else -> call = OVER; done(me)
			fi;
			m = 0; p = 0
		:: call == WAITS && polled(1 - me) ->
			call = OVER;
			done(me)
#endif
#ifdef SWITCH
		:: at == STEADY && switches < 2 ->
			d_step { switches++; at = BEGUN };
#ifdef MUT_SWITCH_EARLY
			tso_store(root, (uses -> OTHER : ROOT));
			tso_fence(root)
#else
#ifndef MUT_SWITCH_LATE
			tso_store(root, ANY);
#endif
#ifndef MUT_SWITCH_NO_FENCE
			tso_fence(root)
#else
			skip
#endif
#endif
		:: at == BEGUN ->
#ifndef MUT_SWITCH_BLIND
			stale = requests[me] & ASKS;
#endif
			at = LOOKED
		:: at == LOOKED ->
			/* MOV CR3, with or without a flush of its PCID */
			d_step {
				uses = !uses;
				if
				:: stale && uses -> tlb[here] = 0
				:: else
				fi;
				stale = 0;
				at = MOVED;
				check(here)
			}
		:: at == MOVED ->
			at = STEADY;
#ifndef MUT_SWITCH_EARLY
			tso_store(root, (uses -> ROOT : OTHER))
#else
			skip
#endif
#endif
		:: ipi[here] -> break
		:: !stays && call != WAITS -> break
		od;
		stays = false;
		run_end();
#ifdef PEERS
		if
		:: call == KICKS ->
			send(me, 1 - me);
			kicked(me, c);
			call = OVER;
			done(me);
			c = 0
		:: else
		fi
	:: call == IDLE ->
		/* In plain Linux mode: this vCPU may have it cached as well. */
		post(me, 1 - me);
#ifndef MUT_NO_SELF
		requests[me] = requests[me] | FLUSH;
#endif
		if
		:: m && !p -> send(me, 1 - me); kicked(me, c)
		:: m && p -> polled(1 - me)
		:: else
		fi;
		call = OVER;
		done(me);
		m = 0; p = 0; c = 0
#endif
	od
}

proctype drain()
{
end:	do
	:: tso_drain(mode[0])
	:: tso_drain(polling[0])
#ifdef SWITCH
	:: tso_drain(root)
#endif
#ifdef PEERS
	:: tso_drain(mode[1])
	:: tso_drain(polling[1])
#endif
	od
}

/* When nobody can go on, no call waits. */
proctype audit()
{
	atomic { timeout -> assert(calls == 0) }
}

init {
	atomic {
#ifdef SWITCH
		root.mem = ROOT;
#endif
		run vcpu(0, RUNS);
#ifdef PEERS
		run vcpu(1, 1);
#else
		run initiator(0);
		run initiator(1);
#endif
		run drain();
		run audit()
	}
}
