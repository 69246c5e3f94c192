// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Epochs. A reader publishes the epoch that it began in. The reclaimer takes
 * what is queued, begins a new epoch and waits until no reader is left in an
 * older one.
 *
 *   reader                            reclaimer
 *     slot = epoch (seq_cst)            epoch++ (seq_cst)
 *     epoch changed? again              slot is 0 or new? (seq_cst) free
 *     walk                              else wait
 *     slot = 0 (release)
 *
 * A reader that the reclaimer did not see reads the new epoch, and with it
 * every unlink from before.
 */
#include "plat_rcu.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

struct slot {
	unsigned long long epoch;	/* 0: not reading */
	int taken;
} __attribute__((aligned(64)));

static struct slot slots[PLAT_RCU_READERS];
static unsigned long long epoch = 1;
static _Thread_local struct slot *my_slot;
static _Thread_local unsigned int nesting;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static plat_rcu_t *queue;			/* lock */
static unsigned long long nr_queued, nr_done;	/* lock */

void plat_rcu_register(void)
{
	for (unsigned int i = 0; i < PLAT_RCU_READERS; i++) {
		int free = 0;

		if (__atomic_compare_exchange_n(&slots[i].taken, &free, 1, 0,
						__ATOMIC_SEQ_CST,
						__ATOMIC_SEQ_CST)) {
			my_slot = &slots[i];
			return;
		}
	}
	fprintf(stderr, "rcu_shim: more than %d readers\n", PLAT_RCU_READERS);
	abort();
}

void plat_rcu_unregister(void)
{
	__atomic_store_n(&my_slot->taken, 0, __ATOMIC_RELEASE);
	my_slot = NULL;
}

void plat_rcu_lock(void)
{
	unsigned long long now, published;

	if (nesting++)
		return;
	if (!my_slot) {
		fprintf(stderr, "rcu_shim: thread is not registered\n");
		abort();
	}
	now = __atomic_load_n(&epoch, __ATOMIC_SEQ_CST);
	do {
		published = now;
		__atomic_exchange_n(&my_slot->epoch, published, __ATOMIC_SEQ_CST);
		now = __atomic_load_n(&epoch, __ATOMIC_SEQ_CST);
	} while (now != published);
}

void plat_rcu_unlock(void)
{
	if (--nesting == 0)
		__atomic_store_n(&my_slot->epoch, 0, __ATOMIC_RELEASE);
}

static void wait_for_readers(void)
{
	unsigned long long now = __atomic_add_fetch(&epoch, 1, __ATOMIC_SEQ_CST);

	for (unsigned int i = 0; i < PLAT_RCU_READERS; i++)
		for (;;) {
			unsigned long long began =
				__atomic_load_n(&slots[i].epoch,
						__ATOMIC_SEQ_CST);

			if (!began || began >= now)
				break;
			sched_yield();
		}
}

static void *reclaimer(void *unused)
{
	(void)unused;
	for (;;) {
		unsigned long long nr = 0;
		plat_rcu_t *batch;

		pthread_mutex_lock(&lock);
		while (!queue)
			pthread_cond_wait(&changed, &lock);
		batch = queue;
		queue = NULL;
		pthread_mutex_unlock(&lock);

		wait_for_readers();
		while (batch) {
			plat_rcu_t *rcu = batch;

			batch = rcu->next;
			rcu->fn(rcu);
			nr++;
		}
		pthread_mutex_lock(&lock);
		nr_done += nr;
		pthread_cond_broadcast(&changed);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static void start_reclaimer(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, reclaimer, NULL))
		abort();
	pthread_detach(thread);
}

void plat_call_rcu(plat_rcu_t *rcu, void (*fn)(plat_rcu_t *rcu))
{
	pthread_once(&once, start_reclaimer);
	rcu->fn = fn;
	pthread_mutex_lock(&lock);
	rcu->next = queue;
	queue = rcu;
	nr_queued++;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

void plat_rcu_barrier(void)
{
	unsigned long long all;

	pthread_mutex_lock(&lock);
	all = nr_queued;
	while (nr_done < all)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}
