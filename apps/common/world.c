// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "world.h"

#include <string.h>

/*
 * What mutators may do beside a round, as a multiple of what they do between two:
 * so much that they seldom wait, and so little that of 8000 operations with a
 * round each 1500 some are left when the first round stops the world, however
 * late it comes.
 */
#define SLACK	4

void world_init(struct world *world, unsigned int mutators)
{
	memset(world, 0, sizeof(*world));
	pthread_mutex_init(&world->lock, NULL);
	pthread_cond_init(&world->changed, NULL);
	world->mutators = world->running = mutators;
	world->wanted = ~0ul;
	world->limit = 0;	/* nobody begins before who makes the rounds is there */
}

static void stop_running_locked(struct world *world)
{
	world->running--;
	pthread_cond_broadcast(&world->changed);
}

static void run_again_locked(struct world *world)
{
	while (world->stop)
		pthread_cond_wait(&world->changed, &world->lock);
	world->running++;
}

static void count_locked(struct world *world, unsigned int operations)
{
	world->operations += operations;
	if (operations && world->operations >= world->wanted)
		pthread_cond_broadcast(&world->changed);
}

/* A new limit is set when the next round is prepared. */
static void wait_below_limit_locked(struct world *world)
{
	while (world->operations >= world->limit)
		pthread_cond_wait(&world->changed, &world->lock);
}

void world_pause(struct world *world, unsigned int operations)
{
	pthread_mutex_lock(&world->lock);
	count_locked(world, operations);
	if (world->stop || world->operations >= world->limit) {
		stop_running_locked(world);
		wait_below_limit_locked(world);
		run_again_locked(world);
	}
	pthread_mutex_unlock(&world->lock);
}

void world_wait_for_memory(struct world *world)
{
	unsigned long seen;

	pthread_mutex_lock(&world->lock);
	seen = world->cycles;
	world->hungry++;
	stop_running_locked(world);
	while (world->cycles == seen)
		pthread_cond_wait(&world->changed, &world->lock);
	world->hungry--;
	run_again_locked(world);
	pthread_mutex_unlock(&world->lock);
}

void world_leave(struct world *world, unsigned int operations)
{
	pthread_mutex_lock(&world->lock);
	count_locked(world, operations);
	world->mutators--;
	stop_running_locked(world);
	pthread_mutex_unlock(&world->lock);
}

static void set_limit_locked(struct world *world, unsigned long limit)
{
	world->limit = limit;
	pthread_cond_broadcast(&world->changed);
}

int world_wait_for_work(struct world *world, unsigned long operations)
{
	int more;

	pthread_mutex_lock(&world->lock);
	world->wanted = world->operations + operations;
	world->slack = SLACK * operations;
	set_limit_locked(world, world->wanted);
	while (world->mutators && !world->hungry && world->operations < world->wanted)
		pthread_cond_wait(&world->changed, &world->lock);
	set_limit_locked(world, world->operations + world->slack);
	more = world->mutators != 0;
	pthread_mutex_unlock(&world->lock);
	return more;
}

void world_stop(struct world *world)
{
	pthread_mutex_lock(&world->lock);
	__atomic_store_n(&world->stop, 1, __ATOMIC_RELAXED);
	while (world->running)
		pthread_cond_wait(&world->changed, &world->lock);
	pthread_mutex_unlock(&world->lock);
}

void world_start(struct world *world)
{
	pthread_mutex_lock(&world->lock);
	__atomic_store_n(&world->stop, 0, __ATOMIC_RELAXED);
	world->cycles++;
	set_limit_locked(world, world->operations + world->slack);
	pthread_mutex_unlock(&world->lock);
}
