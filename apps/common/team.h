/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Threads that do the same, in plain Linux or in Dune mode. */
#ifndef TEAM_H
#define TEAM_H

#include <pthread.h>

#include "cli.h"

typedef void (*team_fn)(unsigned int number, void *arg);

struct team {
	unsigned int nr;
	enum mode mode;
	team_fn fn;
	void *arg;
	pthread_barrier_t start;
	struct team_member *members;
};

/*
 * Start nr threads that call fn(0..nr - 1, arg), once all of them are in the
 * mode. Ends the program with a message when that cannot be.
 */
void team_start(struct team *team, unsigned int nr, enum mode mode, team_fn fn, void *arg);
/* Wait for all; a thread that is no longer in its mode ends the program. */
void team_join(struct team *team);

/* Change the calling thread's mode, or end the program with a message. */
void mode_enter(enum mode mode);
void mode_leave(enum mode mode);

#endif /* TEAM_H */
