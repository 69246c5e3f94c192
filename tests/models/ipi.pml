/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Interrupts between vCPUs: irr bits and DUNE_REQ_IRQ (smp/vcpu_requests.h), the
 * module's injection of notify_vector, the handler's loop over irr. One vCPU is
 * sent two vectors; the second has the higher priority class. Its thread runs,
 * exits in the middle of a delivery, is interrupted by signals, has exits
 * deferred by a re-entry, turns interrupts off, polls.
 *
 * Properties: each change of an irr bit from 0 to 1 gives exactly one run of
 * its handler; after each send, coalesced or not, a run begins; an exception
 * that was about to be delivered is.
 *
 * Variants:
 * CLASSES	the handler takes one vector at a time, the highest above those
 *		in service, and runs it with interrupts on; the thread polls
 * FORCED	the same; no polling, but a signal may turn interrupts on anywhere
 * WHOLE	it takes all that is pending, by xchg, and runs one after another;
 *		each vector is sent once; faults, signals, and code with interrupts
 *		off
 *
 * Mutants:
 * MUT_NO_TARGET_FENCE	[GT-1] missing
 * MUT_NO_SENDER_FENCE	[GT-2], [GT-4] missing
 * MUT_NO_POLL_FENCE	[GT-3] missing
 * MUT_NO_POLL_RECHECK	polling ends without a look at requests
 * MUT_REQUEST_FIRST	the request is made before the irr bit is set
 * MUT_NO_KICK		no kick
 * MUT_TAKE_TORN	a bit is taken by a load and a store
 * MUT_TAKE_PRIVATE	all bits are moved to a set of the thread's, and run later
 * MUT_TAKEN_TWICE	a bit is run without a look at what clearing it said
 * MUT_CLEAR_LATE	a bit is cleared after its handler has run
 * MUT_EOI_BLIND	the handler returns after one vector
 * MUT_POLL_CLEAR_LATE	the polling thread clears IRQ after its look at irr
 * MUT_IF_DROPS		interrupts are off at the begin of a run: dropped
 * MUT_NO_WINDOW_EXIT	the window's exit closes the window, and injects nothing
 * MUT_NO_REINJECT	[WHOLE] an exit in the middle of a delivery loses it
 * MUT_SYNC_DROPS	[FORCED] new registers drop what is about to be injected
 * MUT_DEFERRED_DROPS	[WHOLE] new registers drop a deferred exit's delivery
 * MUT_OVERWRITES	[WHOLE] an injection replaces the event that is there
 */
#include "tso.inc"

#if !defined(CLASSES) && !defined(FORCED) && !defined(WHOLE)
#define CLASSES
#endif

/* How often what happens */
#ifdef CLASSES
#define POLLS	1
#else
#define POLLS	0
#define SIGNALS
#endif
#ifdef WHOLE
#define FAULTS	1
#define CLIS	1
#define AGAIN	false
#else
#define FAULTS	0
#define CLIS	0
#define AGAIN	true
#define ONE_BY_ONE
#endif

#define bit(n)	(1 << (n))

/* struct dune_vcpu_page */
tso_var mode;
tso_var polling;
bool irq_wanted;	/* requests: DUNE_REQ_IRQ */
byte irr;

bool in_run;		/* what the kick looks at: sd_cpu.mode */
bool ipi;		/* its interrupt, not yet taken */

/* What has to add up. */
byte due[2];		/* runs of a vector's handler: changes from 0 to 1 */
byte owed;		/* vectors sent since their handler last began */
bool exc_owed;		/* an exception is being delivered */

/* vreq_post_irq() */
inline send(v)
{
#ifdef MUT_NO_SENDER_FENCE
	m = mode.mem;
	p = polling.mem;
#endif
#ifdef MUT_REQUEST_FIRST
	irq_wanted = true;
#endif
	d_step {
		new = !(irr & bit(v));
		irr = irr | bit(v);
		due[v] = due[v] + new;
		owed = owed | bit(v)
	};
	if
	:: new ->
#ifndef MUT_REQUEST_FIRST
		irq_wanted = true;
#endif
		/* [GT-2], [GT-4] */
#ifndef MUT_NO_SENDER_FENCE
		m = mode.mem;
		p = polling.mem;
#endif
		if
		:: m && !p ->
			/* DUNE_HC_KICK */
#ifdef MUT_NO_KICK
			skip
#else
			ipi = in_run
#endif
		:: else
		fi
	:: else				/* VREQ_COALESCED */
	fi;
	d_step { m = 0; p = 0; new = 0 }
}

proctype sender(byte v; bool again)
{
	byte m, p;
	bool new;

	send(v);
	if
	:: again -> send(v)
	:: else
	fi
}

/* --- the vCPU's thread --- */

/* VM_ENTRY_INTR_INFO */
#define NONE	0
#define IRQ	1
#define EXC	2

/* Guest code: the interrupted program, and up to DEPTH handlers on top of it. */
#define DEPTH	4
#define CODE	0	/* the program, anything */
#define POLLED	1	/* vreq_take_irq() has seen the bit */
#define LOOK	2	/* at irr */
#define TAKE	3	/* what was chosen there */
#define RUNNING	4	/* a vector's handler */

/* deliver_irq() */
inline deliver()
{
	d_step {
		if
#ifdef MUT_OVERWRITES
		:: guest_if -> entry = IRQ; window = false
#else
		:: guest_if && entry == NONE -> entry = IRQ; window = false
#endif
#ifdef MUT_IF_DROPS
		:: !guest_if -> skip
		:: guest_if && entry != NONE -> window = true
#else
		:: else -> window = true
#endif
		fi
	}
}

/* on_ept_violation(), vcpu_irq_window(), on_exception() */
inline handle_exit()
{
	d_step {
		if
#ifndef MUT_NO_REINJECT
		:: vectoring -> entry = IRQ
#endif
		:: faulted -> entry = EXC; exc_owed = true
		:: else
		fi;
		vectoring = false;
		faulted = false
	};
	if
	:: at_window ->
		at_window = false;
#ifdef MUT_NO_WINDOW_EXIT
		window = false
#else
		deliver()
#endif
	:: else
	fi
}

/* enter_once() or vcpu_reenter() up to the VM entry */
inline run_begin()
{
	tso_store(mode, 1);
#ifdef MUT_NO_TARGET_FENCE
	in_run = true;
#else
	atomic { tso_fence(mode) -> in_run = true };	/* [GT-1] */
#endif
	/* vcpu_take_requests() */
	d_step { took = irq_wanted; irq_wanted = false };
	if
	:: took -> took = false; deliver()
	:: else
	fi
}

inline run_end()
{
	tso_store(mode, 0);
	/* irqs are on: the handler's answer is a store after those before it. */
	atomic {
		tso_fence(mode) && tso_fence(polling) ->
		in_run = false;
		ipi = false
	}
}

/* Signal: user space may set the guest's registers, with IF on: sync_in(). */
inline sync_regs()
{
	d_step {
		syncs++;
		/* vcpu_keep_irq() */
		if
#ifndef MUT_SYNC_DROPS
		:: entry == IRQ -> irq_wanted = true
#endif
#ifndef MUT_DEFERRED_DROPS
		:: deferred && vectoring -> irq_wanted = true
#endif
		:: else
		fi;
		/* The program has asked for it. */
		if
		:: entry == EXC -> exc_owed = false
		:: else
		fi;
		entry = NONE;
		deferred = false;
		vectoring = false;
		faulted = false;
		at_window = false;
		guest_if = true
	}
}

inline handler_begins(v)
{
	assert(due[v]);
	due[v] = due[v] - 1;
	owed = owed & ~bit(v)
}

/* One turn of the loop over irr, in whichever context it is. */
#ifdef ONE_BY_ONE
/* The highest vector in service below here, + 1 */
#define running(d, v)	(depth > d && pc[d] == RUNNING && vec[d] == v)
#define in_service(v) \
	(running(0, v) || running(1, v) || running(2, v) || running(3, v))

inline look()
{
	d_step {
#ifdef MUT_TAKE_PRIVATE
		own = own | irr;
		irr = 0;
		seen = own;
#else
		seen = irr;
#endif
		if
		:: (seen & bit(1)) && !in_service(1) ->
			vec[depth] = 1; pc[depth] = TAKE
		:: !(seen & bit(1)) && (seen & bit(0)) && !in_service(0) && !in_service(1) ->
			vec[depth] = 0; pc[depth] = TAKE
		:: else -> returns = true
		fi;
#ifndef MUT_TAKE_TORN
		seen = 0
#endif
	}
}

inline take()
{
	d_step {
		if
#if defined(MUT_TAKEN_TWICE) || defined(MUT_CLEAR_LATE) || defined(MUT_TAKE_TORN)
		:: true ->
#elif defined(MUT_TAKE_PRIVATE)
		:: own & bit(vec[depth]) ->
#else
		:: irr & bit(vec[depth]) ->
#endif
#if defined(MUT_TAKE_TORN)
			irr = seen & ~bit(vec[depth]);
			seen = 0;
#elif defined(MUT_TAKE_PRIVATE)
			own = own & ~bit(vec[depth]);
#elif !defined(MUT_CLEAR_LATE)
			irr = irr & ~bit(vec[depth]);
#endif
			handler_begins(vec[depth]);
			pc[depth] = RUNNING;
			guest_if = true
		:: else -> pc[depth] = LOOK	/* a nested one has it */
		fi
	}
}

/* EOI */
inline ran()
{
	d_step {
#ifdef MUT_CLEAR_LATE
		irr = irr & ~bit(vec[depth]);
#endif
		vec[depth] = 0;
		if
		:: depth -> guest_if = false
		:: else
		fi;
#ifdef MUT_EOI_BLIND
		returns = true
#else
		pc[depth] = LOOK
#endif
	}
}
#endif

#ifdef WHOLE
/* vec[]: what this context has taken and not yet run */
inline look()
{
	d_step {
		vec[depth] = irr;
#ifndef MUT_TAKE_TORN
		irr = 0;
#endif
		if
		:: vec[depth] -> pc[depth] = TAKE
		:: else -> returns = true
		fi
	}
}

inline take()
{
	d_step {
#ifdef MUT_TAKE_TORN
		irr = 0;
#endif
		if
		:: vec[depth] & bit(1) ->
			vec[depth] = vec[depth] & ~bit(1); handler_begins(1)
		:: else ->
			vec[depth] = vec[depth] & ~bit(0); handler_begins(0)
		fi;
		pc[depth] = RUNNING
	}
}

inline ran()
{
	d_step {
		if
		:: vec[depth] -> pc[depth] = TAKE
		:: else -> pc[depth] = LOOK
		fi
	}
}
#endif

/* IRET, or the end of a poll */
inline go_back()
{
	d_step {
		returns = false;
		pc[depth] = CODE;
#ifdef MUT_POLL_CLEAR_LATE
		if
		:: depth == 0 -> irq_wanted = false
		:: else
		fi;
#endif
		if
		:: depth -> depth--; guest_if = true
		:: else
		fi
	}
}

/* Something to do for the guest's code, and the CPU lets it. */
#define free	(entry == NONE && !(window && guest_if))

proctype vcpu()
{
	/* The VMCS and the module's own */
	byte entry;
	bool window, vectoring, faulted, at_window, deferred, took;
	/* The guest */
	bool guest_if = true;
	bool polls, returns;
	byte depth, seen;
	byte pc[DEPTH], vec[DEPTH];
#ifdef MUT_TAKE_PRIVATE
	byte own;
#endif
	/* How often */
	byte exits, syncs, clis, polled, halves, faults;

end_outside:
	do
	:: true ->
		run_begin();
end_in_guest:
		do
		/* Event injection comes first. */
		:: entry == EXC ->
			d_step { entry = NONE; exc_owed = false }
		:: entry == IRQ && halves < FAULTS ->
			d_step { halves++; entry = NONE; vectoring = true };
			break
		:: entry == IRQ ->
			d_step {
				entry = NONE;
				depth++;
				assert(depth < DEPTH && guest_if);
				pc[depth] = LOOK;
				guest_if = false
			}
		:: entry == NONE && window && guest_if -> at_window = true; break

		/* The program */
		:: free && pc[depth] == CODE && clis < CLIS && guest_if ->
			clis++;
			guest_if = false
		:: free && pc[depth] == CODE && !guest_if ->
			guest_if = true
		:: free && pc[depth] == CODE && faults < FAULTS ->
			faults++;
			faulted = true;
			break
		:: free && pc[depth] == CODE && polled < POLLS && guest_if ->
			polled++;
			tso_store(polling, 1);
			polls = true
		:: free && pc[depth] == CODE && polls && irq_wanted ->
			pc[depth] = POLLED
		:: free && pc[depth] == CODE && polls ->
			tso_store(polling, 0);
			polls = false;
#ifndef MUT_NO_POLL_FENCE
			tso_fence(polling);			/* [GT-3] */
#endif
#ifndef MUT_NO_POLL_RECHECK
			if
			:: irq_wanted -> pc[depth] = POLLED
			:: else
			fi
#endif
		:: free && pc[depth] == POLLED ->
#ifndef MUT_POLL_CLEAR_LATE
			irq_wanted = false;
#endif
			pc[depth] = LOOK

		/* The loop over irr */
		:: free && pc[depth] == LOOK && !returns -> look()
		:: free && returns -> go_back()
		:: free && pc[depth] == TAKE -> take()
		:: free && pc[depth] == RUNNING -> ran()

		:: ipi -> break
		:: exits < 1 -> exits++; break
		od;
		run_end();
#ifdef WHOLE
		if
		:: handle_exit()
		:: deferred = true
		fi;
#else
		handle_exit();
#endif
#ifdef SIGNALS
		/* User space; then DUNE_RUN again */
		if
		:: syncs < 1 -> sync_regs()
		:: true
		fi;
#endif
#ifdef WHOLE
		if
		:: deferred -> deferred = false; handle_exit()
		:: else
		fi
#endif
	od
}

proctype drain()
{
end:	do
	:: tso_drain(mode)
	:: tso_drain(polling)
	od
}

/* When nobody can go on, all was delivered. */
proctype audit()
{
	atomic {
		timeout ->
		assert(!due[0] && !due[1] && !owed && !exc_owed)
	}
}

init {
	atomic {
		run audit();
		run sender(0, AGAIN);
		run sender(1, false);
		run vcpu();
		run drain()
	}
}
