/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Stopping the threads that change memory (mutators) for a short while, in which
 * another one finishes its round: a collection, a snapshot. A mutator stops only in
 * world_ calls, between two operations: memory is consistent then.
 */
#ifndef WORLD_H
#define WORLD_H

#include <pthread.h>

struct world {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned int mutators;		/* that have not ended */
	unsigned int running;		/* of them, not in world_pause() */
	unsigned int hungry;		/* wait for memory */
	unsigned int stop;		/* atomic for reading */
	unsigned long cycles;		/* rounds that are over */
	unsigned long operations;
	unsigned long wanted;		/* operations at which a round begins */
	unsigned long limit;		/* operations at which mutators wait */
	unsigned long slack;		/* operations that may be made beside a round */
};

void world_init(struct world *world, unsigned int mutators);

/*
 * Mutators: say what was done since the last call; wait while the world is
 * stopped, or until whoever makes the rounds has caught up.
 */
void world_pause(struct world *world, unsigned int operations);
/* Wait for the next round to be over. */
void world_wait_for_memory(struct world *world);
void world_leave(struct world *world, unsigned int operations);

static inline void world_safepoint(struct world *world)
{
	if (__atomic_load_n(&world->stop, __ATOMIC_RELAXED))
		world_pause(world, 0);
}

/*
 * Who makes the rounds: wait until that many operations were made, or somebody waits for
 * memory; 0 when all mutators have ended.
 */
int world_wait_for_work(struct world *world, unsigned long operations);
void world_stop(struct world *world);
/* Mutators go on; the caller may still work. */
void world_start(struct world *world);

#endif /* WORLD_H */
