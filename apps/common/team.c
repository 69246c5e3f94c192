// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "team.h"

#include <stdlib.h>
#include <string.h>

#include "dune.h"

struct team_member {
	struct team *team;
	unsigned int number;
	pthread_t thread;
};

void mode_enter(enum mode mode)
{
	if (mode == MODE_DUNE && dune_enter())
		cli_die("dune_enter: %s\n  next: see dmesg for the module's reason", dune_why());
}

void mode_leave(enum mode mode)
{
	if (mode == MODE_DUNE && dune_exit())
		cli_die("a thread left Dune mode on its own\n"
			"  next: dune-stat tells what its vCPU did");
}

static void *member_main(void *arg)
{
	struct team_member *member = arg;
	struct team *team = member->team;

	mode_enter(team->mode);
	pthread_barrier_wait(&team->start);
	team->fn(member->number, team->arg);
	mode_leave(team->mode);
	return NULL;
}

void team_start(struct team *team, unsigned int nr, enum mode mode, team_fn fn, void *arg)
{
	*team = (struct team){ .nr = nr, .mode = mode, .fn = fn, .arg = arg };
	team->members = calloc(nr, sizeof(*team->members));
	if (!team->members)
		cli_die("no memory for %u threads", nr);
	pthread_barrier_init(&team->start, NULL, nr);
	for (unsigned int i = 0; i < nr; i++) {
		struct team_member *member = &team->members[i];
		int err;

		member->team = team;
		member->number = i;
		err = pthread_create(&member->thread, NULL, member_main, member);
		if (err)
			cli_die("thread %u: %s\n  next: fewer --threads", i, strerror(err));
	}
}

void team_join(struct team *team)
{
	for (unsigned int i = 0; i < team->nr; i++)
		pthread_join(team->members[i].thread, NULL);
	pthread_barrier_destroy(&team->start);
	free(team->members);
}
