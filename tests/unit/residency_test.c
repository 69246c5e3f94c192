// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The states of a VMCS (sched-hooks/state.h): every event in every state,
 * against what docs/residency.md says in prose, written down here anew.
 */
#include "state.h"

#include <pthread.h>
#include <string.h>

#include "check.h"

#define STATE_NAME(name, text)	[RESIDENCY_##name] = #name,
static const char *const states[] = { RESIDENCY_STATES(STATE_NAME) };
#define EVENT_NAME(name, text)	[RESIDENCY_EV_##name] = #name,
static const char *const events[] = { RESIDENCY_EVENTS(EVENT_NAME) };

/* Per state: "EVENT>STATE" for each event that may happen. */
static const char *const expected[RESIDENCY_NR_STATES] = {
	[RESIDENCY_NEW] = "LOAD>LOADED SCHED_OUT>NEW SCHED_IN>NEW RETIRE>DEAD",
	[RESIDENCY_IDLE] = "LOAD>LOADED SCHED_OUT>IDLE SCHED_IN>IDLE "
			   "MIGRATE>IDLE RETIRE>DEAD",
	[RESIDENCY_LOADED] = "ENTER>IN_GUEST SCHED_OUT>LOADED SCHED_IN>LOADED "
			     "MIGRATE>CLEARING CPU_OFFLINE>IDLE",
	[RESIDENCY_IN_GUEST] = "KICK>EXITING EXIT>LOADED MIGRATE>CLEARING",
	[RESIDENCY_EXITING] = "EXIT>LOADED MIGRATE>CLEARING",
	[RESIDENCY_CLEARING] = "ENTER>CLEARING KICK>CLEARING EXIT>CLEARING "
			       "CLEAR>IDLE CPU_OFFLINE>IDLE",
	[RESIDENCY_DEAD] = "",
};

/* The state's number, or -1: the event may not happen. */
static int expect(int state, int event)
{
	char text[160], *word, *save;

	snprintf(text, sizeof(text), "%s", expected[state]);
	for (word = strtok_r(text, " ", &save); word;
	     word = strtok_r(NULL, " ", &save)) {
		char *to = strchr(word, '>');

		*to++ = '\0';
		if (strcmp(word, events[event]))
			continue;
		for (int s = 0; s < RESIDENCY_NR_STATES; s++)
			if (!strcmp(to, states[s]))
				return s;
	}
	return -1;
}

static void every_event_in_every_state(void)
{
	int legal = 0;

	for (int s = 0; s < RESIDENCY_NR_STATES; s++) {
		for (int e = 0; e < RESIDENCY_NR_EVENTS; e++) {
			int want = expect(s, e);

			legal += want >= 0;
			if (residency_next(s, e) != want)
				check_fail("%s in %s: to %d, want %d", events[e],
					   states[s], residency_next(s, e), want);
		}
	}
	CHECK_EQ(legal, 24);
}

static void setter_obeys_and_refuses(void)
{
	plat_test_warnings();
	for (int s = 0; s < RESIDENCY_NR_STATES; s++) {
		for (int e = 0; e < RESIDENCY_NR_EVENTS; e++) {
			int want = expect(s, e);
			u32 state = s;

			CHECK_EQ(residency_step(&state, e),
				 want < 0 ? RESIDENCY_REFUSED : RESIDENCY_DONE);
			CHECK_EQ(state, want < 0 ? s : want);
			CHECK_EQ(plat_test_warnings(), want < 0);
		}
	}
}

static void what_is_no_state_is_refused(void)
{
	for (int e = 0; e < RESIDENCY_NR_EVENTS; e++) {
		u32 state = RESIDENCY_NR_STATES;

		CHECK_EQ(residency_step(&state, e), RESIDENCY_REFUSED);
		CHECK_EQ(state, RESIDENCY_NR_STATES);
	}
	plat_test_warnings();
}

/* Bits of the states that are reached from `from`, itself included. */
static unsigned int reached(int from)
{
	unsigned int set = 1u << from, old;

	do {
		old = set;
		for (int s = 0; s < RESIDENCY_NR_STATES; s++)
			for (int e = 0; set >> s & 1 && e < RESIDENCY_NR_EVENTS; e++)
				if (residency_next(s, e) >= 0)
					set |= 1u << residency_next(s, e);
	} while (set != old);
	return set;
}

static void all_states_are_reached_and_all_can_end(void)
{
	CHECK_EQ(reached(RESIDENCY_NEW), (1u << RESIDENCY_NR_STATES) - 1);
	CHECK_EQ(reached(RESIDENCY_DEAD), 1u << RESIDENCY_DEAD);
	for (int s = 0; s < RESIDENCY_NR_STATES; s++) {
		CHECK(reached(s) >> RESIDENCY_DEAD & 1);
		/* Initialised once: never new again. */
		if (s != RESIDENCY_NEW)
			CHECK(!(reached(s) & 1u << RESIDENCY_NEW));
	}
}

/*
 * Its thread, elsewhere, wants it, and its CPU goes offline: whichever comes
 * first, it is IDLE in the end and nobody is refused.
 */
static u32 shared;
static pthread_barrier_t barrier;

static void *going_offline(void *unused)
{
	(void)unused;
	for (int i = 0; i < 20000; i++) {
		pthread_barrier_wait(&barrier);
		CHECK_EQ(residency_step(&shared, RESIDENCY_EV_CPU_OFFLINE),
			 RESIDENCY_DONE);
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

static void migration_against_offline(void)
{
	pthread_t thread;

	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&thread, NULL, going_offline, NULL);
	for (int i = 0; i < 20000; i++) {
		plat_store(&shared, RESIDENCY_LOADED);
		pthread_barrier_wait(&barrier);
		CHECK_EQ(residency_step(&shared, RESIDENCY_EV_MIGRATE),
			 RESIDENCY_DONE);
		pthread_barrier_wait(&barrier);
		CHECK_EQ(plat_load(&shared), RESIDENCY_IDLE);
	}
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&barrier);
}

int main(void)
{
	CASE(every_event_in_every_state);
	CASE(setter_obeys_and_refuses);
	CASE(what_is_no_state_is_refused);
	CASE(all_states_are_reached_and_all_can_end);
	CASE(migration_against_offline);
	return CHECK_EXIT();
}
